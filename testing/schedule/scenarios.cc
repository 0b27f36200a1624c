#include "testing/schedule/scenarios.h"

#include "hakmem/large/held_word.h"

namespace hakmem::schedule {
namespace {

// Threads that share a world. Each keeps the blocks that it has in a place of its own.
class InWorld : public Scenario {
 public:
  InWorld(int slabs, int heaps, OwnershipFault fault = OwnershipFault::kNone)
      : world_(slabs, heaps, fault), owner_(world_.heap(0)), second_(world_.heap(1)), third_(world_.heap(2)) {}

  std::vector<std::function<void()>> Threads() override { return threads_; }
  std::string Check() override { return world_.Check(out_); }

 protected:
  ModelSlab& slab(int i = 0) { return world_.slab(i); }
  ModelBlock* block(int i, int of_slab = 0) { return &slab(of_slab).blocks[i]; }
  // A thread that frees a block which it has used.
  void Frees(ModelHeap& heap, ModelBlock* block) {
    threads_.push_back([this, &heap, block] {
      Use(block);
      world_.PushRemote(heap, block);
    });
  }
  void Does(std::function<void()> body) { threads_.push_back(std::move(body)); }
  // The block, if there is one, is with the program from now on.
  void Keep(size_t place, ModelBlock* block) {
    if (block == nullptr) return;
    Use(block);
    out_[place] = block;
  }

  World world_;
  ModelHeap& owner_;
  ModelHeap& second_;
  ModelHeap& third_;
  std::vector<std::function<void()>> threads_;
  std::vector<ModelBlock*> out_ = std::vector<ModelBlock*>(8);
};

// The owner reads its inbox while two others free the slab's two blocks.
struct Notified : InWorld {
  Notified() : InWorld(1, 3) {
    world_.SetUp(0, 0, 0);
    Does([this] {
      world_.ReadInbox(owner_);
      if (slab().remote.Peek().owner == owner_.id) Keep(0, world_.PopOwn(slab()));
      world_.ReadInbox(owner_);
    });
    Frees(second_, block(0));
    Frees(third_, block(1));
  }
};

// The same with a block that stays out, so that the slab stays in use, and the owner takes what two have pushed.
struct NotifiedOnceForTwo : InWorld {
  NotifiedOnceForTwo() : InWorld(1, 3) {
    slab().capacity = 3;
    world_.SetUp(0, 0, 0);
    out_[7] = block(2);
    Does([this] {
      world_.ReadInbox(owner_);
      Keep(0, world_.PopOwn(slab()));
      Keep(1, world_.PopOwn(slab()));
    });
    Frees(second_, block(0));
    Frees(third_, block(1));
  }
};

// The same, but the owner first drains the slab, as refill does with a bound slab, and then finds it in the inbox.
struct DrainedBeforeRead : InWorld {
  DrainedBeforeRead() : InWorld(1, 3) {
    world_.SetUp(0, 0, 0);
    Does([this] {
      Keep(0, world_.TryCandidate(owner_, slab(), false));
      world_.ReadInbox(owner_);
    });
    Frees(second_, block(0));
    Frees(third_, block(1));
  }
};

// The owner has blocks of its own when it reads the inbox, so that it leaves the others' where they are.
struct NotifiedWithBlocks : InWorld {
  NotifiedWithBlocks() : InWorld(1, 3) {
    world_.SetUp(0, 0, 1);
    Does([this] {
      world_.ReadInbox(owner_);
      if (slab().remote.Peek().owner == owner_.id) Keep(0, world_.TryCandidate(owner_, slab(), false));
    });
    Frees(second_, block(1));
  }
};

// A slab with a block in it is released; one heap claims it by its name, another by freeing into it.
struct Released : InWorld {
  Released() : InWorld(1, 3) {
    world_.SetUp(0, 0, 1);
    Does([this] { world_.ReleaseOrKeep(slab()); });
    Does([this] { Keep(0, world_.TryCandidate(second_, slab(), false)); });
    Frees(third_, block(1));
  }
};

// A heap that was just made claims a slab of nobody's, into which another thread frees.
struct FreshOwner : InWorld {
  FreshOwner() : InWorld(1, 3) {
    world_.SetUp(0, -1, 1);
    Does([this] {
      world_.Make(owner_);
      Keep(0, world_.TryCandidate(owner_, slab(), false));
    });
    Frees(second_, block(1));
  }
};

// Two threads free into a slab that nobody owns: one claims it, the other notifies.
struct PushClaims : InWorld {
  PushClaims() : InWorld(1, 3) {
    world_.SetUp(0, -1, 0);
    Does([this] {
      Use(block(0));
      world_.PushRemote(owner_, block(0));
      world_.ReadInbox(owner_);
    });
    Frees(second_, block(1));
    Does([this] { Keep(0, world_.Refill(third_, Source::kScan)); });
  }
};

// All blocks come home, the slab is retired, and its slot is taken for another class.
struct RetiredAndReused : InWorld {
  RetiredAndReused() : InWorld(1, 3) {
    world_.SetUp(0, 0, 0);
    Does([this] {
      world_.ReadInbox(owner_);
      world_.ReadInbox(owner_);
    });
    Does([this] {
      Use(block(0));
      world_.PushRemote(second_, block(0));
      ModelSlab* found = world_.empty_list.Take();
      if (found == nullptr || !world_.TakeEmpty(*found, found->slot.Peek(), 1)) return;
      world_.SetUpTaken(*found, second_.id, 2);
      Keep(0, block(0));
      Keep(1, block(1));
    });
    Frees(third_, block(1));
  }
};

// A slot of which another heap remembers the slab by name gets another life, and is released in it.
struct NamedFromBefore : InWorld {
  NamedFromBefore() : InWorld(1, 3) {
    world_.SetUp(0, 0, 2);
    Does([this] {
      world_.Settle(owner_, slab());
      ModelSlab* found = world_.empty_list.Take();
      if (found == nullptr || !world_.TakeEmpty(*found, found->slot.Peek(), 1)) return;
      world_.SetUpTaken(*found, owner_.id, 2);
      world_.PushOwn(*found, block(0));
      world_.PushOwn(*found, block(1));
      world_.ReleaseOrKeep(*found);
    });
    Does([this] {
      ModelBlock* block = world_.TryCandidate(second_, slab(), false);
      Expect(block == nullptr || slab().geometry == 2, "a block of an earlier life");
      Keep(0, block);
    });
  }
};

// A released slab is named in the mailbox, the next one on the board.
struct Posted : InWorld {
  Posted() : InWorld(2, 3) {
    world_.SetUp(0, 0, 2);
    world_.SetUp(1, 0, 2);
    Does([this] {
      world_.ReleaseOrKeep(slab(0));
      world_.ReleaseOrKeep(slab(1));
    });
    Does([this] { Keep(0, world_.Refill(second_, Source::kMailbox)); });
    Does([this] { Keep(1, world_.Refill(third_, Source::kGate)); });
  }
};

// A slab that is on the board, out of date, is released while somebody takes it off.
struct PostedAlready : InWorld {
  PostedAlready() : InWorld(2, 3) {
    world_.SetUp(0, 0, 2);
    world_.SetUp(1, -1, 2);
    Expect(world_.mailbox.Post(&slab(1)), "set-up");  // so that the board is used
    world_.PostOnBoard(slab(0));
    Does([this] { world_.ReleaseOrKeep(slab(0)); });
    Does([this] { Keep(0, world_.Refill(second_, Source::kGate)); });
  }
};

// The owner's thread ends while others free into its slab.
struct ThreadEnds : InWorld {
  ThreadEnds() : InWorld(1, 3) {
    world_.SetUp(0, 0, 0);
    Does([this] {
      world_.Empty(owner_);
      world_.PutIntoPool(owner_);
    });
    Frees(second_, block(0));
    Frees(third_, block(1));
  }
};

// A slot gets another class while others take it for what it was, or is.
struct SlotChangesClass : InWorld {
  SlotChangesClass() : InWorld(1, 3) {
    world_.SetUp(0, 0, 2);
    Does([this] {
      slab().size_class.store(2, std::memory_order_relaxed);
      slab().geometry = 2;
      world_.Settle(owner_, slab());
    });
    Does([this] {
      if (world_.TakeEmpty(slab(), slab().slot.Peek(), 1)) Expect(false, "the slot never was EMPTY in this class");
    });
    Does([this] {
      ModelSlab* found = world_.empty_list.Take();
      if (found == nullptr || !world_.TakeEmpty(*found, found->slot.Peek(), 2)) return;
      world_.SetUpTaken(*found, third_.id, 1);
      Keep(0, block(0));
      Keep(1, block(1));
    });
  }
};

// Two slots in the list of EMPTY ones; one is also taken by who remembers it, which leaves its entry out of date.
struct EmptySlots : InWorld {
  EmptySlots() : InWorld(2, 3) {
    for (int i = 0; i < 2; ++i) {
      world_.SetUp(i, 0, 2);
      world_.Settle(owner_, slab(i));
    }
    const SlotValue remembered = slab(1).slot.Peek();
    auto take_and_give_back = [this] {
      ModelSlab* found = world_.empty_list.Take();
      if (found == nullptr || !world_.TakeEmpty(*found, found->slot.Peek(), 1)) return;
      found->geometry = 1;
      world_.GiveBackSlot(*found);
    };
    Does(take_and_give_back);
    Does(take_and_give_back);
    Does([this, remembered] {
      if (!world_.TakeEmpty(slab(1), remembered, 1)) return;
      slab(1).geometry = 1;
      world_.GiveBackSlot(slab(1));
    });
  }
};

// The metadata of a huge block, and the list of spare ones, which has room for them.
class OfHugeBlock : public Scenario {
 public:
  OfHugeBlock() { held_.Give(Start(1)); }
  std::vector<std::function<void()>> Threads() override { return threads_; }

 protected:
  static char* Start(uintptr_t n) { return reinterpret_cast<char*>(n << 21); }
  // Frees the block at `start` that the metadata stand for, or did.
  bool Free(char* start) {
    if (!held_.Take(start)) return false;
    pieces_ = pieces_ - 1;
    spares_lock_.Acquire();
    is_spare_ = true;
    spares_lock_.Release();
    return true;
  }
  // Makes a block of spare metadata.
  bool Make(char* start) {
    spares_lock_.Acquire();
    const bool found = is_spare_;
    is_spare_ = false;
    spares_lock_.Release();
    if (!found) return false;
    pieces_ = pieces_ + 1;
    held_.Give(start);
    return true;
  }
  void Resize(char* start) {
    if (!held_.Take(start)) return;
    pieces_ = pieces_ + 1;
    held_.Give(start);
  }

  huge::BasicHeldWord<Atomic> held_;
  Plain<int> pieces_{1, "a huge block's metadata"};
  Mutex spares_lock_;
  Plain<bool> is_spare_{false, "the spare metadata"};
  std::vector<std::function<void()>> threads_;
};

// Two threads free the same block, while a third makes another one of its metadata.
struct HugeFreedTwice : OfHugeBlock {
  HugeFreedTwice() {
    const auto frees = [this](bool& freed) { return [this, &freed] { freed = Free(Start(1)); }; };
    threads_ = {frees(first), frees(second), [this] { made = Make(Start(2)); }};
  }
  std::string Check() override {
    if (first == second) return first ? "a huge block freed twice" : "a huge block that nobody could free";
    return made && !held_.Is(Start(2)) ? "a huge block freed by who meant another one" : "";
  }
  bool first = false;
  bool second = false;
  bool made = false;
};

// A block is freed while another thread resizes it, and a third makes another one of its metadata.
struct HugeFreedAndResized : OfHugeBlock {
  HugeFreedAndResized() {
    threads_ = {[this] { Resize(Start(1)); }, [this] { freed = Free(Start(1)); }, [this] { made = Make(Start(2)); }};
  }
  std::string Check() override {
    return freed != held_.Is(Start(1)) && made == held_.Is(Start(2)) ? "" : "a huge block is lost, or there twice";
  }
  bool freed = false;
  bool made = false;
};

struct Refills : InWorld {
  Refills(Source source, OwnershipFault fault) : InWorld(1, 3, fault) {
    world_.SetUp(0, 0, 0);
    second_.sticky = source == Source::kSticky ? &slab() : nullptr;
    second_.hot = source == Source::kHot ? &slab() : nullptr;
    second_.bench = source == Source::kBench ? &slab() : nullptr;
    if (source == Source::kMailbox) Expect(world_.mailbox.Post(&slab()), "set-up");
    if (source == Source::kGate) world_.PostOnBoard(slab());
    Does([this] {
      Keep(0, world_.TryCandidate(owner_, slab(), false));
      world_.ReleaseOrKeep(slab());
    });
    Does([this, source] { Keep(1, world_.Refill(second_, source)); });
    Does([this] {
      world_.PushRemote(third_, block(0));
      world_.PushRemote(third_, block(1));
    });
  }
};

template <class T>
NamedScenario Named(const char* name) {
  return {name, [] { return std::make_unique<T>(); }};
}

}  // namespace

const std::vector<NamedScenario>& Scenarios() {
  static const std::vector<NamedScenario> all = {
      Named<Notified>("Notified"),
      Named<NotifiedOnceForTwo>("NotifiedOnceForTwo"),
      Named<DrainedBeforeRead>("DrainedBeforeRead"),
      Named<NotifiedWithBlocks>("NotifiedWithBlocks"),
      Named<Released>("Released"),
      Named<FreshOwner>("FreshOwner"),
      Named<PushClaims>("PushClaims"),
      Named<RetiredAndReused>("RetiredAndReused"),
      Named<NamedFromBefore>("NamedFromBefore"),
      Named<Posted>("Posted"),
      Named<PostedAlready>("PostedAlready"),
      Named<ThreadEnds>("ThreadEnds"),
      Named<SlotChangesClass>("SlotChangesClass"),
      Named<EmptySlots>("EmptySlots"),
      Named<HugeFreedTwice>("HugeFreedTwice"),
      Named<HugeFreedAndResized>("HugeFreedAndResized"),
  };
  return all;
}

MakeScenario RefillFrom(Source source, OwnershipFault fault) {
  return [=] { return std::make_unique<Refills>(source, fault); };
}

}  // namespace hakmem::schedule
