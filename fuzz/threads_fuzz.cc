// Several threads that hand blocks over, with threads that start and end on the way.

#include <mutex>
#include <thread>

#include "fuzz/input.h"
#include "fuzz/player.h"

namespace {

using hakmem::fuzz::Held;
using hakmem::fuzz::Input;
using hakmem::fuzz::Player;

constexpr size_t kThreads = 3;
constexpr size_t kSlots = 16;
constexpr int kMostShortThreads = 3;

// Blocks on their way from one thread to another.
struct Exchange {
  std::mutex mutex;
  Held slots[kSlots];

  Held Swap(size_t slot, Held held) {
    const std::lock_guard<std::mutex> hold(mutex);
    std::swap(slots[slot], held);
    return held;
  }
};

void Play(Exchange* exchange, Input input, int may_start) {
  Player player(hakmem::fuzz::kHakmem, input);
  while (!player.input().done()) {
    const unsigned op = player.input().Byte();
    if (op % 4 == 0) {
      Held mine;
      player.GiveAway(&mine);
      const Held theirs = exchange->Swap(op / 4 % kSlots, mine);
      if (theirs.p != nullptr) player.Adopt(theirs);
    } else if (op == 255 && may_start > 0) {
      // Its blocks stay behind: whoever finds them in the exchange frees them.
      --may_start;
      const size_t length = player.input().left() / 2;
      const Input part(reinterpret_cast<const uint8_t*>(player.input().rest()), length < 40 ? length : 40);
      std::thread(Play, exchange, part, 0).join();
    } else {
      player.Step();
      player.CheckNoOverlap();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Exchange exchange;
  const size_t share = size / kThreads;
  {
    std::thread first(Play, &exchange, Input(data, share), kMostShortThreads);
    std::thread second(Play, &exchange, Input(data + share, share), kMostShortThreads);
    Play(&exchange, Input(data + 2 * share, share), kMostShortThreads);
    first.join();
    second.join();
  }
  for (Held& held : exchange.slots) {
    if (held.p == nullptr) continue;
    held.Check(held.size);
    hak_free(held.p);
  }
  return 0;
}
