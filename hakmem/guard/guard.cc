#include "hakmem/guard/guard.h"

#include <atomic>
#include <cstdint>
#include <cstring>

#include "hakmem/diag/check.h"
#include "hakmem/large/huge.h"
#include "hakmem/superslab/address_map.h"

namespace hakmem::guard {
namespace {

constinit std::atomic<void*> queue[kQueueBlocks] = {};
constinit std::atomic<uint64_t> turn{0};
constinit std::atomic<uint64_t> oldest{0};  // no block of an earlier turn need be looked for
constinit std::atomic<size_t> waiting_bytes{0};

bool IsHuge(const Region& region) {
  return region.kind.load(std::memory_order_relaxed) == Region::Kind::kHuge;  // RegionOf orders
}

const Slab& SlabIn(const Region& region, const void* p) {
  return static_cast<Superslab&>(const_cast<Region&>(region)).SlabAt(p);
}

std::atomic<uint32_t>& AskedAt(const Region& region, const void* p) {
  const size_t unit = static_cast<size_t>(static_cast<const char*>(p) - region.base()) / kMinBlock;
  return static_cast<const Superslab&>(region).asked_sizes[unit];
}

size_t GivenSize(const Region& region, const void* p) {
  return IsHuge(region) ? huge::UsableSize(&region) : SlabIn(region, p).block_size();
}

// The first of `size` bytes that is not `pattern`; `size` when all are.
size_t FindOther(const unsigned char* at, size_t size, unsigned char pattern) {
  size_t i = 0;
  uint64_t expected;
  memset(&expected, pattern, sizeof(expected));
  for (; i + sizeof(expected) <= size; i += sizeof(expected)) {
    uint64_t word;
    memcpy(&word, at + i, sizeof(word));
    if (word != expected) break;
  }
  while (i < size && at[i] == pattern) ++i;
  return i;
}

size_t GuardLength(size_t asked, size_t given) { return given - asked < kMostGuard ? given - asked : kMostGuard; }

size_t FilledLength(const Slab& slab) { return slab.block_size() < kMostFilled ? slab.block_size() : kMostFilled; }

// "..., block 0x... of 100 bytes asked for, 128 given".
void DescribeBlock(Format& f, const void* p, size_t asked, size_t given) {
  f << ", block " << AsHex(p) << ", " << static_cast<uint64_t>(asked) << " bytes asked for, "
    << static_cast<uint64_t>(given) << " given";
}

// Reports a block out of the queue that was written to.
void CheckFreed(const void* p) {
  const Slab* slab = address_map::SlabOf(p);
  HAK_CHECK(slab != nullptr);  // a slab stays in use while a block of it waits
  const unsigned char* bytes = static_cast<const unsigned char*>(p);
  const size_t length = FilledLength(*slab);
  const size_t at = FindOther(bytes, length, kFreedByte);
  if (HAK_LIKELY(at == length)) return;
  char detail[200];
  Format f(detail, sizeof(detail));
  f << "byte " << static_cast<uint64_t>(at) << " is now " << Hex{bytes[at]};
  DescribeBlock(f, p, AskedSize(slab->superslab(), p), slab->block_size());
  ReportFault(Fault::kWrittenAfterFree, "free", p, detail);
}

void Leave(void* p, FreeNow free_now) {
  CheckFreed(p);
  const Slab* slab = address_map::SlabOf(p);
  waiting_bytes.fetch_sub(slab->block_size(), std::memory_order_relaxed);  // an amount
  free_now(p);
}

// Lets the next one in turn go. False when there is none.
bool TakeOldest(FreeNow free_now) {
  // Relaxed, all: numbers; the exchange passes the block on. A block that is not in its place yet leaves when its place
  // is taken.
  uint64_t first = oldest.load(std::memory_order_relaxed);
  const uint64_t end = turn.load(std::memory_order_relaxed);  // a number
  const uint64_t start = first + kQueueBlocks < end ? end - kQueueBlocks : first;
  if (start >= end) return false;
  if (oldest.compare_exchange_strong(first, start + 1, std::memory_order_relaxed)) {  // decides whose turn it is
    // Acquire and release: as in Delay.
    if (void* p = queue[start % kQueueBlocks].exchange(nullptr, std::memory_order_acq_rel)) Leave(p, free_now);
  }
  return true;
}

}  // namespace

void Dress(void* p, size_t size) {
  Region& region = *address_map::RegionOf(p);
  if (IsHuge(region)) {
    static_cast<huge::HugeBlock&>(region).asked.store(size, std::memory_order_relaxed);  // the caller's own block
  } else {
    AskedAt(region, p).store(static_cast<uint32_t>(size), std::memory_order_relaxed);  // ditto
  }
  memset(static_cast<char*>(p) + size, kGuardByte, GuardLength(size, GivenSize(region, p)));
}

size_t AskedSize(const Region& region, const void* p) {
  // Relaxed: who has the block has it from its allocator, by whatever way orders that.
  if (IsHuge(region)) return static_cast<const huge::HugeBlock&>(region).asked.load(std::memory_order_relaxed);
  return AskedAt(region, p).load(std::memory_order_relaxed);  // as above
}

bool CheckGuard(const char* where, const Region& region, const void* p) {
  const size_t asked = AskedSize(region, p);
  const size_t given = GivenSize(region, p);
  const unsigned char* end = static_cast<const unsigned char*>(p) + asked;
  const size_t length = GuardLength(asked, given);
  const size_t at = FindOther(end, length, kGuardByte);
  if (HAK_LIKELY(at == length)) return true;
  char detail[200];
  Format f(detail, sizeof(detail));
  f << "byte " << static_cast<uint64_t>(at) << " behind the end is now " << Hex{end[at]};
  DescribeBlock(f, p, asked, given);
  ReportFault(Fault::kWrittenPastEnd, where, p, detail);
  return false;
}

void Delay(void* p, FreeNow free_now) {
  Region* region = address_map::RegionOf(p);
  const bool in_slab =
      region != nullptr && region->kind.load(std::memory_order_relaxed) == Region::Kind::kSuperslab;  // RegionOf orders
  if (!in_slab) {
    // What is no start of a huge block, or no block at all, is reported by `free_now`.
    if (region != nullptr && IsHuge(*region) && region->base() == p) CheckGuard("free", *region, p);
    free_now(p);
    return;
  }
  const Slab& slab = SlabIn(*region, p);
  if (address_map::SlabOf(p) == nullptr) {
    // The slab is not in use any more: no guard is there, and nothing may be written. `free_now` reports.
    free_now(p);
    return;
  }
  CheckGuard("free", *region, p);
  memset(p, kFreedByte, FilledLength(slab));
  waiting_bytes.fetch_add(slab.block_size(), std::memory_order_relaxed);  // an amount
  const uint64_t at = turn.fetch_add(1, std::memory_order_relaxed);       // a number: the exchange passes the block on
  // Acquire and release: who takes a block out sees the pattern as it was filled in.
  if (void* before = queue[at % kQueueBlocks].exchange(p, std::memory_order_acq_rel)) Leave(before, free_now);
  while (waiting_bytes.load(std::memory_order_relaxed) > kQueueBytes && TakeOldest(free_now)) {  // an amount
  }
}

void Flush(FreeNow free_now) {
  for (std::atomic<void*>& slot : queue) {
    if (void* p = slot.exchange(nullptr, std::memory_order_acq_rel)) Leave(p, free_now);  // as above
  }
}

void CheckWaiting() {
  for (std::atomic<void*>& slot : queue) {
    // Out of the queue and in again: nobody else lets it go meanwhile. Orders as above.
    void* p = slot.exchange(nullptr, std::memory_order_acq_rel);
    if (p == nullptr) continue;
    CheckFreed(p);
    void* expected = nullptr;
    // When another block has come in between, this one waits for ever: the process ends.
    static_cast<void>(slot.compare_exchange_strong(expected, p, std::memory_order_acq_rel));
  }
}

}  // namespace hakmem::guard
