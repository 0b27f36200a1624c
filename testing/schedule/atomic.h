// Atomics, mutexes and plain data for code that runs under the scheduler (execution.h).
//
// schedule::Atomic stands in for std::atomic as the parameter of hakmem's lock-free templates. Each call passes its
// place in the source, so that a test can try a weaker order there.
#ifndef TESTING_SCHEDULE_ATOMIC_H_
#define TESTING_SCHEDULE_ATOMIC_H_

#include <atomic>
#include <cstdint>
#include <cstring>
#include <source_location>

#include "testing/schedule/execution.h"

namespace hakmem::schedule {

template <class T>
class Atomic {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  using Where = std::source_location;

 public:
  Atomic(T value = {}) : location_(Execution::Current().NewLocation(ToWord(value))) {}  // as std::atomic: implicit
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(std::memory_order order, Where where = Where::current()) const {
    return FromWord(Execution::Current().Load(location_, order, where));
  }
  void store(T value, std::memory_order order, Where where = Where::current()) {
    Execution::Current().Store(location_, ToWord(value), order, where);
  }
  T exchange(T value, std::memory_order order, Where where = Where::current()) {
    return Change(order, [value](T) { return value; }, where);
  }
  T fetch_add(T value, std::memory_order order, Where where = Where::current()) {
    return Change(order, [value](T old) { return static_cast<T>(old + value); }, where);
  }
  T fetch_sub(T value, std::memory_order order, Where where = Where::current()) {
    return Change(order, [value](T old) { return static_cast<T>(old - value); }, where);
  }
  bool compare_exchange_strong(T& expected, T value, std::memory_order order, std::memory_order /*failure*/,
                               Where where = Where::current()) {
    struct Context {
      uint64_t expected;
      uint64_t value;
      bool done;
    } context = {ToWord(expected), ToWord(value), false};
    const uint64_t before = Execution::Current().Modify(
        location_, order,
        [](uint64_t old, uint64_t* stored, void* opaque) {
          Context& c = *static_cast<Context*>(opaque);
          c.done = old == c.expected;
          *stored = c.value;
          return c.done;
        },
        &context, where);
    if (!context.done) expected = FromWord(before);
    return context.done;
  }
  bool compare_exchange_weak(T& expected, T value, std::memory_order order, std::memory_order failure,
                             Where where = Where::current()) {
    return compare_exchange_strong(expected, value, order, failure, where);
  }

 private:
  static uint64_t ToWord(T value) {
    uint64_t word = 0;
    memcpy(&word, &value, sizeof(T));
    return word;
  }
  static T FromWord(uint64_t word) {
    T value;
    memcpy(&value, &word, sizeof(T));
    return value;
  }
  template <class F>
  T Change(std::memory_order order, F f, const Where& where) {
    return FromWord(Execution::Current().Modify(
        location_, order,
        [](uint64_t old, uint64_t* stored, void* opaque) {
          *stored = ToWord((*static_cast<F*>(opaque))(FromWord(old)));
          return true;
        },
        &f, where));
  }

  int location_;
};

class Mutex {
 public:
  Mutex() : number_(Execution::Current().NewMutex()) {}
  void Acquire() { Execution::Current().LockMutex(number_); }
  void Release() { Execution::Current().UnlockMutex(number_); }

 private:
  int number_;
};

// Data that no atomic guards: an access that may race fails the execution.
template <class T>
class Plain {
 public:
  Plain(T value = {}, const char* name = "plain data") : value_(value), name_(name) {}
  Plain(const Plain&) = delete;
  operator T() const { return Get(); }
  Plain& operator=(T value) {
    Execution::Current().WritePlain(state_, name_);
    value_ = value;
    return *this;
  }
  Plain& operator=(const Plain& other) { return *this = other.Get(); }
  T operator->() const { return Get(); }
  T Get() const {
    Execution::Current().ReadPlain(state_, name_);
    return value_;
  }

 private:
  T value_;
  const char* name_;
  mutable Execution::PlainState state_;
};

}  // namespace hakmem::schedule

#endif  // TESTING_SCHEDULE_ATOMIC_H_
