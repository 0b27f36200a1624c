#include "hakmem/api/statistics.h"

#include <errno.h>

#include "hakmem/large/huge.h"
#include "hakmem/mmap_gate/mmap_gate.h"
#include "hakmem/page_arena/idle_budget.h"
#include "hakmem/page_arena/page_arena.h"
#include "hakmem/platform/build.h"
#include "hakmem/platform/format.h"
#include "hakmem/platform/os.h"
#include "hakmem/shared_pool/shared_pool.h"
#include "hakmem/superslab/address_map.h"
#include "hakmem/tiny/heap_pool.h"
#include "hakmem/tiny/heap_slabs.h"

namespace hakmem {
namespace {

// A figure: its name in JSON, what it says to people, its value.
struct Figure {
  const char* name;
  const char* label;
  uint64_t value;
};

constexpr size_t kMostFigures = 64;

struct Figures {
  Figure rows[kMostFigures];
  size_t count = 0;
  void Add(const char* name, const char* label, uint64_t value) {
    if (count < kMostFigures) rows[count++] = {name, label, value};
  }
};

struct HeapSums {
  uint64_t heaps, refills, blocks, takeovers, flushed, remote_frees, remote_pushes, notifications, drains, drained,
      adopted, refused;
};

HeapSums SumHeaps() {
  HeapSums sums = {};
  heap_pool::ForEach(
      [](Heap& heap, void* context) {
        HeapSums& s = *static_cast<HeapSums*>(context);
        const HeapCounters& c = heap.counters;
        ++s.heaps;
        s.refills += c.refills.value();
        s.blocks += c.blocks.value();
        s.takeovers += c.takeovers.value();
        s.flushed += c.flushed.value();
        s.remote_frees += c.remote_frees.value();
        s.remote_pushes += c.remote_pushes.value();
        s.notifications += c.notifications.value();
        s.drains += c.drains.value();
        s.drained += c.drained.value();
        s.adopted += c.adopted.value();
        s.refused += c.claims_refused.value();
      },
      &sums);
  return sums;
}

Figures Collect() {
  Figures f;
  const gate::Account account = gate::GetAccount();
  const pool::Statistics pool = pool::GetStatistics();
  const huge::Statistics huge = huge::GetStatistics();
  const HeapSums heaps = SumHeaps();
  f.Add("mapped", "bytes mapped for blocks", account.mapped);
  f.Add("mapped_peak", "  at the most", account.mapped_peak);
  f.Add("idle", "bytes idle", g_idle.idle());
  f.Add("purged", "bytes given back since the start", account.purged);
  f.Add("metadata", "bytes mapped for metadata", account.metadata);
  f.Add("superslabs", "superslabs in use", pool.superslabs);
  f.Add("superslabs_mapped", "  since the start", pool.superslabs_mapped);
  f.Add("active_slots", "slabs in use, in pieces of 64 KiB", pool.active_slots);
  f.Add("blocks", "small blocks that left their slabs", heaps.blocks);
  f.Add("refills", "refills from slabs", heaps.refills);
  f.Add("takeovers", "refills from freed blocks", heaps.takeovers);
  f.Add("flushed", "blocks given back to slabs", heaps.flushed);
  f.Add("remote_frees", "blocks freed to other heaps' slabs", heaps.remote_frees);
  f.Add("remote_pushes", "  in atomic pushes", heaps.remote_pushes);
  f.Add("notifications", "  inbox notifications", heaps.notifications);
  f.Add("drains", "drains of remote blocks", heaps.drains);
  f.Add("drained", "  blocks in them", heaps.drained);
  f.Add("adopted", "slabs adopted", heaps.adopted);
  f.Add("claims_refused", "claims refused", heaps.refused);
  f.Add("huge_blocks", "huge blocks in use", huge.blocks);
  f.Add("huge_bytes", "  bytes", huge.bytes);
  f.Add("huge_allocated", "  since the start", huge.allocated);
  f.Add("huge_in_place", "  resized in place", huge.in_place);
  f.Add("huge_moved", "  resized by moving pages", huge.moved);
  f.Add("heaps", "heaps", heaps.heaps);
  static constexpr const char* kStageNames[6][2] = {
      {"pool_stage_0", "slots from stage 0, remembered"}, {"pool_stage_05", "  stage 0.5, hot superslab"},
      {"pool_stage_1", "  stage 1, list of the class"},   {"pool_stage_2", "  stage 2, unused"},
      {"pool_stage_3_lru", "  stage 3, idle superslab"},  {"pool_stage_3_new", "  stage 3, new superslab"}};
  for (int i = 0; i < 6; ++i) f.Add(kStageNames[i][0], kStageNames[i][1], pool.acquired[i]);
  f.Add("calls_map", "system calls: mmap", os::CallCount(os::Call::kMap));
  f.Add("calls_unmap", "  munmap", os::CallCount(os::Call::kUnmap));
  f.Add("calls_purge", "  madvise, giving back", os::CallCount(os::Call::kPurge));
  f.Add("calls_remap", "  mremap", os::CallCount(os::Call::kRemap));
  struct NamedLock {
    const char* taken;
    const char* contended;
    const char* label;
    Lock& lock;
  };
  const NamedLock locks[] = {
      {"lock_heap_pool", "lock_heap_pool_contended", "lock of the heap pool", heap_pool::PoolLock()},
      {"lock_shared_pool", "lock_shared_pool_contended", "lock of the shared pool", pool::PoolLock()},
      {"lock_adoption", "lock_adoption_contended", "lock of the adoption board", tiny::BoardLock()},
      {"lock_page_arena", "lock_page_arena_contended", "lock of the page arena", arena::ArenaLock()},
      {"lock_metadata", "lock_metadata_contended", "lock of the metadata", gate::MetadataLock()},
  };
  for (const NamedLock& l : locks) {
    f.Add(l.taken, l.label, l.lock.acquired());
    f.Add(l.contended, "  contended", l.lock.contended());
  }
  return f;
}

void PadTo(Format& out, size_t column) {
  while (out.length() < column) out << " ";
}

}  // namespace

void PrintStatistics(int fd, bool as_json) {
  const Figures figures = Collect();
  char line[160];
  if (!as_json) {
    Format head(line, sizeof(line));
    head << "hakmem: statistics of process " << os::ProcessId() << " (" << kBuildName << " build)\n";
    os::Write(fd, line, head.length());
    for (size_t i = 0; i < figures.count; ++i) {
      Format row(line, sizeof(line));
      row << "hakmem:   " << figures.rows[i].label;
      PadTo(row, 52);
      row << figures.rows[i].value << "\n";
      os::Write(fd, line, row.length());
    }
    return;
  }
  char text[4096];
  Format json(text, sizeof(text));
  json << "{\"allocator\":\"hakmem\",\"build\":\"" << kBuildName << "\",\"pid\":" << os::ProcessId();
  for (size_t i = 0; i < figures.count; ++i) {
    json << ",\"" << figures.rows[i].name << "\":" << figures.rows[i].value;
  }
  json << "}\n";
  os::Write(fd, text, json.length());
}

struct mallinfo2 MallocInfo2() {
  const gate::Account account = gate::GetAccount();
  const pool::Statistics pool = pool::GetStatistics();
  const huge::Statistics huge = huge::GetStatistics();
  struct mallinfo2 info = {};
  info.arena = account.mapped - (huge.bytes < account.mapped ? huge.bytes : account.mapped);
  info.hblks = huge.blocks;
  info.hblkhd = huge.bytes;
  info.uordblks = pool.active_slots * kSlabSize;
  info.fordblks = info.arena > info.uordblks ? info.arena - info.uordblks : 0;
  info.keepcost = g_idle.idle();
  return info;
}

int MallocInfoXml(int options, FILE* stream) {
  if (options != 0) {
    errno = EINVAL;
    return -1;
  }
  const Figures figures = Collect();
  const struct mallinfo2 info = MallocInfo2();
  fprintf(stream, "<malloc version=\"1\">\n<allocator name=\"hakmem\" build=\"%s\"/>\n", kBuildName);
  fprintf(stream, "<system type=\"current\" size=\"%zu\"/>\n<system type=\"max\" size=\"%zu\"/>\n",
          info.arena + info.hblkhd, static_cast<size_t>(gate::GetAccount().mapped_peak));
  fprintf(stream, "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n", info.hblks, info.hblkhd);
  for (size_t i = 0; i < figures.count; ++i) {
    fprintf(stream, "<figure name=\"%s\" value=\"%llu\"/>\n", figures.rows[i].name,
            static_cast<unsigned long long>(figures.rows[i].value));
  }
  return fprintf(stream, "</malloc>\n") < 0 ? -1 : 0;
}

}  // namespace hakmem
