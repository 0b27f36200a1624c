// Giving back the free pages inside a slab that is in use (malloc_trim).

#include <cstdint>

#include "hakmem/diag/check.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/page_arena/page_arena.h"
#include "hakmem/platform/os.h"
#include "hakmem/platform/round_up.h"
#include "hakmem/superslab/owned_slab.h"

namespace hakmem {
namespace {

constexpr size_t kPageSize = size_t{1} << kPageShift;
constexpr size_t kMaxPages = kMaxSpan * kPagesPerSlab;

struct PageCounts {
  uint16_t free_blocks[kMaxPages] = {};  // free blocks that touch the page
};

}  // namespace

size_t OwnedSlab::PurgeFreePages() {
  AssertOwned("purge");
  Slab& slab = *slab_;
  if (!slab.LooksFreed()) return 0;
  const size_t size = slab.block_size();
  const size_t pages = slab.span() * kPagesPerSlab;
  uint16_t* const purged = slab.superslab_->purged_pages + slab.index_;
  auto is_purged = [&](size_t page) { return ((purged[page / kPagesPerSlab] >> (page % kPagesPerSlab)) & 1) != 0; };
  // Indices of the blocks that start in `page` and were handed out before: [first, end).
  auto first_in = [&](size_t page) { return (page * kPageSize + size - 1) / size; };
  // Whether some of the blocks that start in `page` were handed out before, and some never.
  auto is_partly_carved = [&](size_t page) {
    const size_t end = first_in(page + 1) < slab.geometry().capacity ? first_in(page + 1) : slab.geometry().capacity;
    return first_in(page) < slab.carved_ && slab.carved_ < end;
  };
  auto end_in = [&](size_t page) {
    const size_t end = ((page + 1) * kPageSize + size - 1) / size;
    return end < slab.carved_ ? end : slab.carved_;
  };

  const bool handed_out = slab.handed_out_;
  // A drain needs an empty list; both lists are walked, and become one.
  const Chain own = Pop();
  Drain();
  const Chain lists[2] = {own, Pop()};

  PageCounts counts;
  auto count_block = [&](size_t i) {
    for (size_t page = i * size / kPageSize; page <= (i * size + size - 1) / kPageSize; ++page) {
      ++counts.free_blocks[page];
    }
  };
  for (const Chain& list : lists) {
    const Block* block = list.first;
    for (uint32_t n = 0; n < list.count; ++n) {
      count_block(IndexOf(block));
      if (n + 1 < list.count) block = NextOf(block);
    }
  }
  for (size_t page = 0; page < pages; ++page) {
    if (!is_purged(page)) continue;
    for (size_t i = first_in(page); i < end_in(page); ++i) count_block(i);
  }

  // A page goes when every block that was ever handed out and touches it is free. Pages beyond were never touched.
  auto is_free = [&](size_t page) {
    const size_t first = page * kPageSize / size;
    size_t last = (page * kPageSize + kPageSize - 1) / size;
    if (first >= slab.carved_) return false;
    if (last >= slab.carved_) {
      last = slab.carved_ - 1;
      // No more than the end of the last block: purged once, it would be purged for ever.
      if (first_in(page) >= slab.carved_) return false;
    }
    return counts.free_blocks[page] == last - first + 1;
  };
  bool goes[kMaxPages] = {};
  const size_t system_pages = os::PageSize() >> kPageShift;
  for (size_t group = 0; group < pages; group += system_pages) {
    bool whole = true;
    for (size_t page = group; page < group + system_pages; ++page) {
      // The end of the last group may be memory that was never carved: it goes with the rest.
      const bool untouched = page * kPageSize / size >= slab.carved_;
      whole = whole && (untouched || is_free(page));
    }
    for (size_t page = group; page < group + system_pages && whole; ++page) goes[page] = is_free(page);
  }

  // The links inside these pages will be lost: keep the blocks that start elsewhere, count the others as uncarved.
  Chain kept;
  for (const Chain& list : lists) {
    Block* block = list.first;
    for (uint32_t n = 0; n < list.count; ++n) {
      Block* next = n + 1 < list.count ? NextOf(block) : nullptr;
      if (!goes[IndexOf(block) * size / kPageSize]) kept.PushFront(block);
      block = next;
    }
  }
  if (kept.count != 0) Push(kept);

  // A page that was given back before goes again when a block that begins in front of it, and has its place in a page
  // that stayed, may have been handed out since.
  bool goes_again[kMaxPages] = {};
  for (size_t page = 0; page < pages; ++page) {
    const size_t start = page * kPageSize / size * size;
    goes_again[page] =
        handed_out && goes[page] && is_purged(page) && start != page * kPageSize && !is_purged(start / kPageSize);
  }
  auto is_new = [&](size_t page) { return goes[page] && (!is_purged(page) || goes_again[page]); };

  size_t given_back = 0;
  for (size_t page = 0; page < pages;) {
    if (!is_new(page)) {
      ++page;
      continue;
    }
    size_t end = page;
    for (; end < pages && is_new(end); ++end) {
      if (is_purged(end)) continue;
      if (is_partly_carved(end)) {
        // As if nothing in it had been carved: what is carved anew knows whole pages only, and would bring the blocks
        // that are carved after this a second time.
        slab.carved_ = static_cast<uint32_t>(first_in(end));
        continue;
      }
      purged[end / kPagesPerSlab] |= static_cast<uint16_t>(1u << (end % kPagesPerSlab));
      slab.purged_blocks_ += static_cast<uint32_t>(end_in(end) > first_in(end) ? end_in(end) - first_in(end) : 0);
    }
    // A page that the system keeps is as good: its blocks are uncarved all the same.
    // Small pages from here on, or the kernel might fill the gaps again to make a huge one of what is left.
    arena::SetHugePages(slab.superslab().base(), 1, false);
    slab.superslab().huge.store(false, std::memory_order_relaxed);  // a hint
    const size_t from = page * kPageSize & ~(os::PageSize() - 1);
    const size_t to = RoundUp(end * kPageSize, os::PageSize());
    if (gate::Purge(slab.base_ + from, to - from)) {
      given_back += to - from;
    } else {
      slab.clean_ = false;
    }
    page = end;
  }
  slab.handed_out_ = false;
  slab.freed_ = false;
  HAK_ASSERT(slab.free_count_ + slab.purged_blocks_ <= slab.carved_);
  return given_back;
}

}  // namespace hakmem
