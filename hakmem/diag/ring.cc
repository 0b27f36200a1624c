#include "hakmem/diag/ring.h"

#include <pthread.h>

#include <atomic>

#include "hakmem/platform/os.h"

namespace hakmem::ring {

constinit bool g_on = false;

namespace {

constexpr size_t kWords = sizeof(Record) / sizeof(uint64_t);

struct alignas(64) Slot {
  std::atomic<uint64_t> words[kWords];  // a Record; the first word is its sequence
};
static_assert(sizeof(Slot) == sizeof(Record));

struct alignas(64) Ring {
  Ring* next;                      // constant once the ring can be found
  std::atomic<uint32_t> driver;    // thread id; 0: nobody
  std::atomic<uint64_t> written;   // the driver's; read by anybody
  std::atomic<uint64_t> ended_ns;  // when it was last left
  Slot slots[1];                   // `capacity` of them
};

constinit uint64_t capacity = 0;  // a power of two; constant once on
constinit Allocate allocate_memory = nullptr;
constinit std::atomic<Ring*> first_ring{nullptr};
constinit std::atomic<uint64_t> lost{0};

// The ring that the calling thread drives. A key without destructor, made when the rings are switched on: the library
// keeps to one thread-local pointer, which is the heap's.
pthread_key_t ring_key;

// The C library forgets the values of keys while a thread ends; the ring is then found by its driver.
Ring* OwnRing() {
  if (auto* ring = static_cast<Ring*>(pthread_getspecific(ring_key)); HAK_LIKELY(ring != nullptr)) return ring;
  const uint32_t me = static_cast<uint32_t>(os::ThreadId());
  // Acquire: the rings are set up when they can be found.
  for (Ring* ring = first_ring.load(std::memory_order_acquire); ring != nullptr; ring = ring->next) {
    if (ring->driver.load(std::memory_order_relaxed) == me) return ring;  // the caller's own number
  }
  return nullptr;
}

// The ring that was left longest ago, nullptr when all are driven.
Ring* LongestLeft() {
  Ring* best = nullptr;
  uint64_t best_ns = UINT64_MAX;
  // Acquire: the rings are set up when they can be found.
  for (Ring* ring = first_ring.load(std::memory_order_acquire); ring != nullptr; ring = ring->next) {
    if (ring->driver.load(std::memory_order_relaxed) != 0) continue;        // a look: the exchange decides
    const uint64_t ended = ring->ended_ns.load(std::memory_order_relaxed);  // a hint which to take
    if (ended >= best_ns) continue;
    best = ring;
    best_ns = ended;
  }
  return best;
}

Ring* MakeRing(uint32_t me) {
  auto* ring = static_cast<Ring*>(allocate_memory(sizeof(Ring) + (capacity - 1) * sizeof(Slot), alignof(Ring)));
  if (ring == nullptr) return nullptr;
  ring->driver.store(me, std::memory_order_relaxed);        // the exchange below publishes
  ring->next = first_ring.load(std::memory_order_relaxed);  // a look: the exchange decides
  // Release: who finds the ring finds it set up.
  while (!first_ring.compare_exchange_weak(ring->next, ring, std::memory_order_release, std::memory_order_relaxed)) {
  }
  return ring;
}

Ring* Attach() {
  const uint32_t me = static_cast<uint32_t>(os::ThreadId());
  while (Ring* ring = LongestLeft()) {
    uint32_t nobody = 0;
    // Acquire: sees what the former driver wrote, its place in the ring above all.
    if (ring->driver.compare_exchange_strong(nobody, me, std::memory_order_acquire, std::memory_order_relaxed)) {
      return ring;
    }
  }
  return MakeRing(me);
}

void WriteTo(Ring& ring, const Record& record) {
  const uint64_t at = ring.written.load(std::memory_order_relaxed);  // the driver's own
  Slot& slot = ring.slots[at & (capacity - 1)];
  uint64_t words[kWords];
  __builtin_memcpy(words, &record, sizeof(words));
  slot.words[0].store(0, std::memory_order_relaxed);  // the releases below keep it before them
  for (size_t i = 1; i < kWords; ++i) {
    slot.words[i].store(words[i], std::memory_order_release);  // who reads the word finds the sequence gone
  }
  slot.words[0].store(at + 1, std::memory_order_release);  // who reads the number finds the words written
  ring.written.store(at + 1, std::memory_order_release);   // publishes the record to who asks how many there are
}

// False while the record is written to, or was never written.
bool ReadFrom(const Slot& slot, Record* record) {
  uint64_t words[kWords];
  words[0] = slot.words[0].load(std::memory_order_acquire);  // the words below are those of this number, or later ones
  if (words[0] == 0) return false;
  for (size_t i = 1; i < kWords; ++i) {
    words[i] = slot.words[i].load(std::memory_order_acquire);  // after a later one the look below finds another number
  }
  if (slot.words[0].load(std::memory_order_relaxed) != words[0]) return false;  // ordered by the loads before
  __builtin_memcpy(record, words, sizeof(words));
  return true;
}

void WriteAs(Ring& ring, Event event, const void* pointer, const void* slab, unsigned size_class, uint32_t owner,
             uint64_t value, const void* caller) {
  Record record = {};
  record.time_ns = os::NowNs();
  record.pointer = reinterpret_cast<uintptr_t>(pointer);
  record.slab = reinterpret_cast<uintptr_t>(slab);
  record.caller = reinterpret_cast<uintptr_t>(caller);
  record.value = value;
  record.thread = ring.driver.load(std::memory_order_relaxed);  // the caller's own id
  record.owner = owner;
  record.event = static_cast<uint8_t>(event);
  record.size_class = static_cast<uint8_t>(size_class);
  WriteTo(ring, record);
}

}  // namespace

void Start(uint64_t records, Allocate allocate) {
  if (pthread_key_create(&ring_key, nullptr) != 0) return;
  capacity = 1;
  while (capacity < records) capacity <<= 1;
  allocate_memory = allocate;
  g_on = true;
}

void Write(Event event, const void* pointer, const void* slab, unsigned size_class, uint32_t owner, uint64_t value,
           const void* caller) {
  Ring* ring = OwnRing();
  if (HAK_UNLIKELY(ring == nullptr)) {
    ring = Attach();
    if (ring == nullptr) {
      lost.fetch_add(1, std::memory_order_relaxed);  // a count, orders nothing
      return;
    }
    pthread_setspecific(ring_key, ring);
    WriteAs(*ring, Event::kThreadStart, nullptr, nullptr, 0, kNoOwner, 0, nullptr);
  }
  WriteAs(*ring, event, pointer, slab, size_class, owner, value, caller);
}

void EndThread() {
  if (!g_on) return;
  Ring* ring = OwnRing();
  if (ring == nullptr) return;
  WriteAs(*ring, Event::kThreadEnd, nullptr, nullptr, 0, kNoOwner, 0, nullptr);
  pthread_setspecific(ring_key, nullptr);
  ring->ended_ns.store(os::NowNs(), std::memory_order_relaxed);  // a hint
  ring->driver.store(0, std::memory_order_release);              // the next driver sees what this one wrote
}

void RepairAfterFork() {
  if (!g_on) return;
  const uint32_t me = static_cast<uint32_t>(os::ThreadId());
  const Ring* const mine = static_cast<Ring*>(pthread_getspecific(ring_key));
  // Relaxed throughout: the child has one thread.
  for (Ring* ring = first_ring.load(std::memory_order_relaxed); ring != nullptr; ring = ring->next) {
    ring->driver.store(ring == mine ? me : 0, std::memory_order_relaxed);  // as above
  }
  Note(Event::kFork, nullptr);
}

void Visit(const Visitor& visitor) {
  // Acquire: the rings are set up when they can be found.
  for (const Ring* ring = first_ring.load(std::memory_order_acquire); ring != nullptr; ring = ring->next) {
    const RingInfo info = {ring->written.load(std::memory_order_acquire), capacity,  // acquire: sees the records
                           ring->driver.load(std::memory_order_relaxed)};            // for printing
    if (visitor.begin_ring != nullptr && !visitor.begin_ring(info, visitor.context)) return;
    for (uint64_t at = info.written > capacity ? info.written - capacity : 0; at < info.written; ++at) {
      Record record;
      if (!ReadFrom(ring->slots[at & (capacity - 1)], &record)) continue;
      if (!visitor.record(record, visitor.context)) return;
    }
  }
}

uint64_t Lost() { return lost.load(std::memory_order_relaxed); }  // a count, orders nothing

}  // namespace hakmem::ring
