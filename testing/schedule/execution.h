// One execution of a few threads under a scheduler that decides everything: who takes the next step, and which store a
// load sees.
//
// Threads are fibers of one real thread. Every operation on an atomic (atomic.h) and on a mutex is a switching point.
// What a load may see follows the C++ memory model as far as these rules go:
//
//   - each atomic has the history of its stores, in one order (modification order), to which a store appends;
//   - each thread has a view: for each atomic, the oldest store that it may still read. Reading and writing move it on;
//   - a releasing store carries its thread's view; an acquiring load that reads it, or a later read-modify-write on top
//   of
//     it (release sequence), joins that view to its own;
//   - a relaxed load may read any store that its view allows, an old one too. A read-modify-write reads the last one;
//   - a sequentially consistent load sees at least the last store that was sequentially consistent, and what an earlier
//     load of that kind saw;
//   - plain data (Plain) carry vector clocks: two accesses that are not ordered by the above, one of them a write, are
//   a
//     data race, which fails the execution.
//
// Not modelled: loads that see stores which come later in the same execution (load buffering), stores that enter the
// modification order before an existing one, spurious failure of a weak exchange, fences.
#ifndef TESTING_SCHEDULE_EXECUTION_H_
#define TESTING_SCHEDULE_EXECUTION_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <source_location>
#include <string>
#include <vector>

namespace hakmem::schedule {

inline constexpr int kMaxThreads = 4;  // the one that sets up and checks among them, which is thread 0
inline constexpr int kMaxLocations = 64;

// What has happened, as far as somebody knows.
struct Knowledge {
  std::array<uint32_t, kMaxThreads> clock = {};   // events of each thread
  std::array<uint16_t, kMaxLocations> view = {};  // of each atomic, the number of the oldest store that may be read

  void Join(const Knowledge& other);
};

// A place in the source where an order is given.
struct Site {
  const char* file = "";
  const char* function = "";
  uint32_t line = 0;
  uint32_t column = 0;

  static Site Of(const std::source_location& where) {
    return {where.file_name(), where.function_name(), where.line(), where.column()};
  }
  bool operator==(const Site& other) const {
    return line == other.line && column == other.column && file == other.file;
  }
  bool operator<(const Site& other) const;
};

enum class Operation : uint8_t { kLoad, kStore, kModify };

// Decides: answers 0 .. count - 1.
class Chooser {
 public:
  virtual ~Chooser() = default;
  virtual int Choose(int count) = 0;
};

struct Limits {
  int preemptions = 2;    // switches away from a thread that could go on
  int old_reads = 2;      // loads that see another store than the last
  int most_steps = 2000;  // more are taken for an endless loop
};

// Tells which order a site has in this execution, and hears of every site that is reached.
class Orders {
 public:
  virtual ~Orders() = default;
  virtual std::memory_order Of(const Site& site, Operation operation, std::memory_order written) = 0;
};

class Execution {
 public:
  Execution(const Limits& limits, Chooser& chooser, Orders* orders);
  ~Execution();

  // The one that runs now.
  static Execution& Current();

  // Runs the bodies, each in a thread of its own, up to their ends, or up to the first failure. What was made before,
  // by the caller, is known to them; afterwards the caller knows all that they did.
  void Run(const std::vector<std::function<void()>>& bodies);

  bool failed() const { return failed_; }
  const std::string& failure() const { return failure_; }
  const std::vector<std::string>& steps() const { return steps_; }
  void RecordSteps() { record_ = true; }

  // For the code under test.
  [[noreturn]] void FailInThread(const std::string& why);
  void Fail(const std::string& why);

  // For atomics, mutexes and plain data.
  int NewLocation(uint64_t value);
  uint64_t Load(int location, std::memory_order order, const std::source_location& where);
  void Store(int location, uint64_t value, std::memory_order order, const std::source_location& where);
  // Reads the last value; `next(value, &stored)` says whether, and what, is stored.
  using Next = bool (*)(uint64_t value, uint64_t* stored, void* context);
  uint64_t Modify(int location, std::memory_order order, Next next, void* context, const std::source_location& where);

  void LockMutex(int mutex);
  void UnlockMutex(int mutex);
  int NewMutex();

  struct Access {
    int thread = 0;
    uint32_t at = 0;
  };
  struct PlainState {
    Access write;
    std::array<uint32_t, kMaxThreads> reads = {};
  };
  void ReadPlain(PlainState& state, const char* what);
  void WritePlain(PlainState& state, const char* what);

 private:
  struct Stored {
    uint64_t value;
    Knowledge released;  // what an acquiring reader learns
  };
  struct Location {
    std::vector<Stored> history;
    uint16_t consistent = 0;  // the oldest store that a sequentially consistent load may read
  };
  struct Thread;
  struct Mutex {
    int holder = -1;
    Knowledge released;
  };

  void Step();
  void Pass();
  void SwitchTo(int thread);
  void BackToCaller();
  static void Enter();
  bool CanRun(int thread) const;
  int PickNext(bool current_goes_on);
  void Note(const char* what, int location, uint64_t value, const std::source_location& where);

  Limits limits_;
  Chooser& chooser_;
  Orders* orders_;
  std::vector<Location> locations_;
  std::vector<Mutex> mutexes_;
  std::array<Knowledge, kMaxThreads> known_;
  std::vector<Thread*> threads_;
  int current_ = 0;
  int preemptions_ = 0;
  int old_reads_ = 0;
  int step_count_ = 0;
  bool failed_ = false;
  bool record_ = false;
  std::string failure_;
  std::vector<std::string> steps_;
};

}  // namespace hakmem::schedule

#endif  // TESTING_SCHEDULE_EXECUTION_H_
