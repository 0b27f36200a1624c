#include "testing/op_stream/checked_allocator.h"

#include <errno.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace hakmem::op_stream {
namespace {

constexpr size_t kEdge = 512;       // written at once at both ends of a new block
constexpr int kUntouched = 0x5A5A;  // errno before each call
constexpr size_t kTooLarge = size_t{PTRDIFF_MAX} + 1;

std::string DescribeBlock(const Block& block) {
  return absl::StrCat("the block of ", block.asked, " bytes at ", absl::Hex(reinterpret_cast<uintptr_t>(block.p)));
}

std::string ErrnoFailure(const char* call, int expected) {
  const int found = errno;
  if (found == expected) return "";
  if (expected == kUntouched) return absl::StrCat(call, " changed errno to ", found);
  return absl::StrCat(call, " failed with errno ", found == kUntouched ? 0 : found, ", not ", expected);
}

std::string DamageFailure(const Block& block, const char* when, size_t at) {
  return absl::StrCat(DescribeBlock(block), ": ", when, ", byte ", at, " of its contents has changed");
}

}  // namespace

std::string CheckedAllocator::Accept(void* p, uint64_t asked, uint64_t alignment, bool zeroed, uint64_t seed,
                                     Block* block) {
  block->p = static_cast<unsigned char*>(p);
  block->asked = asked;
  block->alignment = 0;
  block->of_aligned_alloc = false;
  // Blocks too small for a type of the greatest alignment need not have it.
  const uint64_t least = std::max<uint64_t>(alignment, asked >= alignof(max_align_t) ? alignof(max_align_t) : 8);
  if (reinterpret_cast<uintptr_t>(p) % least != 0) {
    return absl::StrCat(DescribeBlock(*block), " is not aligned to ", least);
  }
  const size_t usable = allocator_.usable_size(p);
  if (usable < asked) return absl::StrCat(DescribeBlock(*block), " has a usable size of ", usable);
  block->contents = {seed, usable, kEdge};
  if (!shadow_.Enter(p, usable)) return absl::StrCat(DescribeBlock(*block), " overlaps a live block");
  if (zeroed) {
    if (const size_t at = FindNonZero(block->p, asked); at != kNoDamage) {
      return absl::StrCat(DescribeBlock(*block), " of calloc is not zero at byte ", at);
    }
  }
  return "";
}

CheckedAllocator::Answer CheckedAllocator::Allocate(const Op& op, uint64_t seed, Block* block) {
  uint64_t size = op.operands[1];
  uint64_t alignment = op.kind == OpKind::kMalloc || op.kind == OpKind::kCalloc ? 0 : uint64_t{1} << op.operands[2];
  void* p = nullptr;
  int result = 0;
  errno = kUntouched;
  switch (op.kind) {
    case OpKind::kCalloc:
      p = allocator_.calloc(op.operands[2], size);
      size *= op.operands[2];
      break;
    case OpKind::kAlignedAlloc:
      if (allocator_.aligned_alloc_multiple) size = (size + alignment - 1) & ~(alignment - 1);
      p = allocator_.aligned_alloc(alignment, size);
      break;
    case OpKind::kPosixMemalign:
      alignment = std::max<uint64_t>(alignment, sizeof(void*));
      result = allocator_.posix_memalign(&p, alignment, size);
      break;
    case OpKind::kMemalign: p = allocator_.memalign(alignment, size); break;
    default: p = allocator_.malloc(size); break;
  }
  const char* call = RowOf(op.kind).name;
  std::string failure;
  if (p == nullptr) {
    if (op.kind == OpKind::kPosixMemalign) {
      if (result != ENOMEM) failure = absl::StrCat(call, " gave ", result, " and no block");
      if (failure.empty() && allocator_.quiet_posix_memalign) failure = ErrnoFailure(call, kUntouched);
    } else {
      failure = ErrnoFailure(call, ENOMEM);
    }
    if (failure.empty() && std::max(size, alignment) <= may_fail_above_) {
      failure = absl::StrCat(call, " gave no block of ", size, " bytes");
    }
    return {failure, ENOMEM};
  }
  if (result != 0) return {absl::StrCat(call, " gave ", result, " and a block"), 0};
  if (allocator_.quiet_success || (op.kind == OpKind::kPosixMemalign && allocator_.quiet_posix_memalign)) {
    failure = ErrnoFailure(call, kUntouched);
  }
  if (failure.empty()) failure = Accept(p, size, alignment, op.kind == OpKind::kCalloc, seed, block);
  if (!failure.empty()) return {failure, 0};
  block->alignment = alignment;
  block->of_aligned_alloc = op.kind == OpKind::kAlignedAlloc;
  Write(block->p, block->contents);
  return {};
}

CheckedAllocator::Answer CheckedAllocator::Resize(const Op& op, uint64_t seed, Block* block) {
  const uint64_t size = op.operands[1] * (op.kind == OpKind::kRealloc ? 1 : op.operands[2]);
  const char* call = RowOf(op.kind).name;
  const Block before = *block;
  if (before.p != nullptr) {
    if (std::string failure = CheckContents(before); !failure.empty()) return {failure, 0};
    // Before the call: its memory may be another thread's before the call returns.
    if (!shadow_.Remove(before.p, before.contents.size))
      return {absl::StrCat(DescribeBlock(before), " is not alive"), 0};
  }
  errno = kUntouched;
  void* p = op.kind == OpKind::kRealloc ? allocator_.realloc(before.p, size)
                                        : allocator_.reallocarray(before.p, op.operands[2], op.operands[1]);
  if (size == 0 && before.p != nullptr) {
    if (p != nullptr) allocator_.free(p);  // as the standards allow
    *block = {};
    return {};
  }
  if (p == nullptr) {
    if (std::string failure = ErrnoFailure(call, ENOMEM); !failure.empty()) return {failure, 0};
    if (size <= may_fail_above_) return {absl::StrCat(call, " gave no block of ", size, " bytes"), 0};
    if (before.p == nullptr) return {"", ENOMEM};
    if (!shadow_.Enter(before.p, before.contents.size)) {
      return {absl::StrCat(DescribeBlock(before), ", which realloc had to leave, overlaps a live block"), 0};
    }
    const size_t at = FindDamage(before.p, before.contents, SIZE_MAX);
    return {at == kNoDamage ? "" : DamageFailure(before, "after a realloc that failed", at), ENOMEM};
  }
  std::string failure = allocator_.quiet_success ? ErrnoFailure(call, kUntouched) : "";
  if (failure.empty()) failure = Accept(p, size, 0, false, seed, block);
  if (failure.empty() && before.p != nullptr) {
    // Behind what was asked for, the standards promise nothing.
    const size_t at = FindDamage(block->p, before.contents, std::min(before.asked, size));
    if (at != kNoDamage) failure = DamageFailure(*block, "after realloc", at);
  }
  if (!failure.empty()) return {failure, 0};
  Write(block->p, block->contents);
  return {};
}

std::string CheckedAllocator::Free(bool sized, Block* block) {
  if (std::string failure = CheckContents(*block); !failure.empty()) return failure;
  // Before the call: its memory may be another thread's before the call returns.
  if (!shadow_.Remove(block->p, block->contents.size)) return absl::StrCat(DescribeBlock(*block), " is not alive");
  errno = kUntouched;
  // The sized frees are for blocks of malloc, calloc, realloc and aligned_alloc alone (C23, 7.24.3).
  if (sized && block->of_aligned_alloc && allocator_.free_aligned_sized != nullptr) {
    allocator_.free_aligned_sized(block->p, block->alignment, block->asked);
  } else if (sized && block->alignment == 0 && allocator_.free_sized != nullptr) {
    allocator_.free_sized(block->p, block->asked);
  } else {
    allocator_.free(block->p);
  }
  *block = {};
  return allocator_.quiet_free ? ErrnoFailure("free", kUntouched) : "";
}

std::string CheckedAllocator::CheckUsableSize(const Block& block) {
  const size_t usable = allocator_.usable_size(block.p);
  if (usable == block.contents.size) return "";
  return absl::StrCat(DescribeBlock(block), " had a usable size of ", block.contents.size, ", now of ", usable);
}

std::string CheckedAllocator::CheckContents(const Block& block) const {
  const size_t at = FindDamage(block.p, block.contents, SIZE_MAX);
  return at == kNoDamage ? "" : DamageFailure(block, "since it was written", at);
}

void CheckedAllocator::Fill(uint64_t seed, Block* block) {
  block->contents.seed = seed;
  block->contents.edge = block->contents.size;
  Write(block->p, block->contents);
}

std::string CheckedAllocator::Refuse(Refusal refusal, const Block& block, int* error) {
  if (!allocator_.refuses) return "";
  int expected = ENOMEM;
  int result = 0;
  void* given = nullptr;  // by posix_memalign
  void* p = nullptr;
  errno = kUntouched;
  switch (refusal) {
    case Refusal::kMallocTooLarge: p = allocator_.malloc(kTooLarge); break;
    case Refusal::kMallocAll: p = allocator_.malloc(SIZE_MAX); break;
    case Refusal::kCallocOverflow: p = allocator_.calloc(SIZE_MAX / 2, 3); break;
    case Refusal::kCallocTooLarge: p = allocator_.calloc(kTooLarge, 1); break;
    case Refusal::kReallocTooLarge: p = allocator_.realloc(block.p, kTooLarge); break;
    case Refusal::kReallocarrayOverflow: p = allocator_.reallocarray(block.p, SIZE_MAX / 2, 3); break;
    case Refusal::kAlignedAllocAlignment:
      if (!allocator_.aligned_alloc_checks) return "";
      p = allocator_.aligned_alloc(3, 8);
      expected = EINVAL;
      break;
    case Refusal::kAlignedAllocTooLarge: p = allocator_.aligned_alloc(64, SIZE_MAX - 63); break;
    case Refusal::kPosixAlignment: result = allocator_.posix_memalign(&given, 24, 8); break;
    case Refusal::kPosixSmallAlignment: result = allocator_.posix_memalign(&given, 4, 8); break;
    case Refusal::kPosixTooLarge: result = allocator_.posix_memalign(&given, 64, kTooLarge); break;
    case Refusal::kFreeNull: allocator_.free(nullptr); break;
    case Refusal::kUsableSizeOfNull: result = static_cast<int>(allocator_.usable_size(nullptr)); break;
  }
  switch (refusal) {
    case Refusal::kFreeNull: return ErrnoFailure("free(NULL)", kUntouched);
    case Refusal::kUsableSizeOfNull: return result == 0 ? "" : absl::StrCat("the usable size of NULL is ", result);
    case Refusal::kPosixAlignment:
    case Refusal::kPosixSmallAlignment:
    case Refusal::kPosixTooLarge: {
      expected = refusal == Refusal::kPosixTooLarge ? ENOMEM : EINVAL;
      *error = result;
      if (result != expected) return absl::StrCat("posix_memalign gave ", result, ", not ", expected);
      if (given != nullptr) return "posix_memalign failed and changed its result";
      return allocator_.quiet_posix_memalign ? ErrnoFailure("posix_memalign", kUntouched) : "";
    }
    default: break;
  }
  if (p != nullptr) return "a request that cannot be met gave a block";
  *error = errno;
  if (std::string failure = ErrnoFailure("a request that cannot be met", expected); !failure.empty()) return failure;
  return block.p != nullptr ? CheckContents(block) : "";
}

bool CheckedAllocator::CheckAndFreeInChild(const Block& block) const {
  if (FindDamage(block.p, block.contents, SIZE_MAX) != kNoDamage) return false;
  if (allocator_.usable_size(block.p) != block.contents.size) return false;
  allocator_.free(block.p);
  return true;
}

bool CheckedAllocator::AllocateInChild() const {
  constexpr size_t kSizes[] = {1, 16, 100, 1000, 5000, 70000, 3000000};
  Block blocks[std::size(kSizes)];
  for (size_t i = 0; i < std::size(kSizes); ++i) {
    void* p = allocator_.malloc(kSizes[i]);
    if (p == nullptr) return may_fail_above_ < kSizes[i];
    blocks[i].p = static_cast<unsigned char*>(p);
    blocks[i].contents = {i + 1, allocator_.usable_size(p), kEdge};
    if (blocks[i].contents.size < kSizes[i]) return false;
    Write(blocks[i].p, blocks[i].contents);
  }
  return std::all_of(std::begin(blocks), std::end(blocks), [&](const Block& b) { return CheckAndFreeInChild(b); });
}

}  // namespace hakmem::op_stream
