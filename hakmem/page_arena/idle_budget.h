// How much memory may lie idle, and whether it is worth giving back now.
//
// Memory that no block uses but that is still resident is idle. Too much of it is purged at the release that makes it
// too much, so that a burst's memory goes back although the program then only sleeps. A load that frees and allocates
// the same memory again and again would pay with page faults; so every refault of purged memory adds to a debt, which
// time pays off, and while the debt is high nothing is purged early.
#ifndef HAKMEM_PAGE_ARENA_IDLE_BUDGET_H_
#define HAKMEM_PAGE_ARENA_IDLE_BUDGET_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "hakmem/platform/store_if_other.h"

namespace hakmem {

class IdleBudget {
 public:
  // What time pays off: at 4 KiB a fault and 1.3 microseconds each, refaulting this much costs about 1 % of a core.
  static constexpr uint64_t kPaidPerMs = 32 << 10;
  static constexpr uint64_t kDebtLimit = 4 << 20;
  // More is not remembered, so a purge is put off for a second at the most: a load that refaults a tenth of a second's
  // worth of memory in each round loses a tenth of its time, and a burst after a burst is given back all the same.
  static constexpr uint64_t kMostDebt = 8 * kDebtLimit;

  // What is idle outweighs so much debt: that a large burst lies idle for good, in a process that only sleeps from then
  // on, is worse than that it is faulted in once more.
  static constexpr uint64_t kIdleForDebt = 16;
  // Once in so many milliseconds: else a load that frees and allocates so much in each round would fault it in each
  // time.
  static constexpr uint64_t kOutweighMs = 4000;

  // With so many times more idle than in use a phase of the program may be over, in which it needed the memory again
  // and again; threads that have ended, and a program that sleeps, give no later occasion.
  static constexpr uint64_t kIdleForUse = 8;
  // A load that comes back to this within so many milliseconds each time is not at its end, unless it uses so many
  // times less than the least at the last end and after it.
  static constexpr uint64_t kPhaseMs = 1000;
  static constexpr uint64_t kDeeper = 2;

  constexpr IdleBudget() = default;

  // `bytes` became idle at `now_ms`.
  void AddIdle(size_t bytes, uint64_t now_ms) {
    idle_.fetch_add(static_cast<int64_t>(bytes), std::memory_order_relaxed);  // an amount, orders nothing
    last_release_ms_.store(now_ms, std::memory_order_relaxed);                // a time, orders nothing
  }
  // `bytes` of idle memory were taken into use or purged.
  void RemoveIdle(size_t bytes) {
    idle_.fetch_sub(static_cast<int64_t>(bytes), std::memory_order_relaxed);  // an amount, orders nothing
  }
  // `bytes` of purged memory are taken into use again.
  void AddRefault(size_t bytes) {
    // Relaxed: an amount, orders nothing; of two threads that add at once one may be forgotten, which does no harm.
    const uint64_t debt = debt_.load(std::memory_order_relaxed) + bytes;
    debt_.store(debt < kMostDebt ? debt : kMostDebt, std::memory_order_relaxed);  // as above
  }

  // `bytes` were purged that stay with who has them; what is taken afresh instead will be a refault, too.
  void AddSetAside(size_t bytes) {
    set_aside_.fetch_add(bytes, std::memory_order_relaxed);  // an amount, orders nothing
  }
  // `bytes` of those were taken into use again, or are there no more. What AddFresh took for them is not taken twice.
  void RemoveSetAside(size_t bytes) {
    size_t had = set_aside_.load(std::memory_order_relaxed);  // an amount, orders nothing
    while (
        !set_aside_.compare_exchange_weak(had, had > bytes ? had - bytes : 0, std::memory_order_relaxed)) {  // as above
    }
  }
  // `bytes` were taken that were never in use, or not since they were forgotten.
  void AddFresh(size_t bytes) {
    const size_t instead = bytes < set_aside() ? bytes : set_aside();
    if (instead == 0) return;
    RemoveSetAside(instead);
    AddRefault(instead);
  }

  // In a forked child: what there is, when threads that are gone were not done with the account. Of what was set aside
  // there may be less, as AddFresh has perhaps taken some.
  void Recount(size_t idle, size_t most_set_aside) {
    StoreIfOther(idle_, static_cast<int64_t>(idle));
    if (set_aside() > most_set_aside) StoreIfOther(set_aside_, most_set_aside);
  }

  size_t idle() const {
    const int64_t idle = idle_.load(std::memory_order_relaxed);  // an amount, orders nothing
    return idle > 0 ? static_cast<size_t>(idle) : 0;
  }
  size_t set_aside() const { return set_aside_.load(std::memory_order_relaxed); }  // an amount, orders nothing

  // Whether nothing became idle for longer than `delay_ms`.
  bool IsOld(uint64_t now_ms, uint64_t delay_ms) const {
    return now_ms >= last_release_ms_.load(std::memory_order_relaxed) + delay_ms;  // a time, orders nothing
  }

  // `bytes` are in blocks that have pieces of their own. Who calls this sees to it that one thread does at a time.
  void SetOwnPieces(size_t bytes) { own_pieces_.store(bytes, std::memory_order_relaxed); }  // an amount, orders nothing
  size_t own_pieces() const { return own_pieces_.load(std::memory_order_relaxed); }         // as above

  // `in_use` bytes are in other blocks at `now_ms`, and `keep` may lie idle. Forgets the debt at the end of a phase.
  void LookForEnd(uint64_t now_ms, size_t in_use, size_t keep) {
    in_use += own_pieces();
    // Relaxed, here and below: guesses; of two threads that look at once both may find the end, which does no harm.
    const size_t bottom = bottom_.load(std::memory_order_relaxed);  // as above
    if (in_use < bottom) {
      bottom_.store(in_use, std::memory_order_relaxed);  // as above
    } else if (in_use / kDeeper > bottom) {
      // The program takes memory again. What it came down to, perhaps after a purge, is no end the next time.
      if (bottom < low_.load(std::memory_order_relaxed)) low_.store(bottom, std::memory_order_relaxed);  // as above
      bottom_.store(in_use, std::memory_order_relaxed);                                                  // as above
    }
    if (idle() <= keep || in_use > idle() / kIdleForUse) return;
    const uint64_t last = low_ms_.load(std::memory_order_relaxed);         // as above
    if (now_ms != last) low_ms_.store(now_ms, std::memory_order_relaxed);  // as above
    const bool again = last != 0 && now_ms < last + kPhaseMs;
    if (again && in_use >= low_.load(std::memory_order_relaxed) / kDeeper) return;  // as above
    low_.store(in_use, std::memory_order_relaxed);                                  // as above
    debt_.store(0, std::memory_order_relaxed);                                      // as in AddRefault
  }

  // How many bytes should be purged now: those above `keep` when that is worth it, all when they lie idle for longer
  // than `delay_ms`, 0 otherwise.
  size_t Excess(uint64_t now_ms, size_t keep, uint64_t delay_ms) {
    const size_t idle_now = idle();
    if (idle_now == 0) return 0;
    const uint64_t released = last_release_ms_.load(std::memory_order_relaxed);  // a time, orders nothing
    if (now_ms >= released + delay_ms) return idle_now;
    if (idle_now <= keep) return 0;
    if (const uint64_t debt = PayOff(now_ms); debt > kDebtLimit) {
      const uint64_t last = outweighed_ms_.load(std::memory_order_relaxed);  // a time, orders nothing
      if (debt > idle_now / kIdleForDebt || (last != 0 && now_ms < last + kOutweighMs)) return 0;
      outweighed_ms_.store(now_ms, std::memory_order_relaxed);  // as above
      // Or the rest of the burst, which alone outweighs less, would stay.
      debt_.store(0, std::memory_order_relaxed);  // as in AddRefault
    }
    // Down to half, so that the next release does not purge again.
    return idle_now - keep / 2;
  }

 private:
  // Pays off what time allows and returns the rest of the debt.
  uint64_t PayOff(uint64_t now_ms) {
    // Relaxed: two threads that pay at once pay a little too much or too little, which does no harm.
    const uint64_t last = paid_ms_.exchange(now_ms, std::memory_order_relaxed);
    const uint64_t paid = now_ms > last ? (now_ms - last) * kPaidPerMs : 0;
    uint64_t debt = debt_.load(std::memory_order_relaxed);  // as above
    debt = debt > paid ? debt - paid : 0;
    debt_.store(debt, std::memory_order_relaxed);  // as above
    return debt;
  }

  std::atomic<int64_t> idle_{0};
  std::atomic<size_t> set_aside_{0};
  std::atomic<uint64_t> debt_{0};
  std::atomic<uint64_t> last_release_ms_{0};
  std::atomic<uint64_t> paid_ms_{0};
  std::atomic<uint64_t> outweighed_ms_{0};
  std::atomic<uint64_t> low_ms_{0};  // when little was in use last
  std::atomic<size_t> low_{0};       // how little it was at the last end, or after it
  std::atomic<size_t> bottom_{0};    // how little it was since memory was taken last
  std::atomic<size_t> own_pieces_{0};
};

extern IdleBudget g_idle;

}  // namespace hakmem

#endif  // HAKMEM_PAGE_ARENA_IDLE_BUDGET_H_
