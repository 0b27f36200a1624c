#include "testing/schedule/heap_model.h"

#include <algorithm>

namespace hakmem::schedule {

World::World(int slabs, int heaps, OwnershipFault fault) : fault_(fault) {
  for (int i = 0; i < slabs; ++i) slabs_.push_back(std::make_unique<ModelSlab>());
  for (int i = 0; i < heaps; ++i) {
    heaps_.push_back(std::make_unique<ModelHeap>());
    heaps_.back()->id = static_cast<HeapId>(i + 1);
    heaps_.back()->state.Set(HeapState::kDriven);
  }
}

void World::SetUp(int i, int owner, int home) {
  ModelSlab& it = slab(i);
  Expect(it.slot.Change(it.slot.Peek(), SlotState::kActive), "set-up");
  it.remote.Reset(owner < 0 ? kNoHeap : heap(owner).id);
  for (int b = 0; b < home; ++b) PushOwn(it, &it.blocks[b]);
}

int World::Used(ModelSlab& slab) const { return slab.capacity - slab.free_count - slab.remote.Peek().count; }

void World::TakeOver(ModelSlab& slab, const RemoteState& drained) {
  slab.free = slab.BlockOf(drained);
  slab.free_count = drained.count;
  slab.looked = 0;
}

void World::Drain(ModelSlab& slab) {
  Expect(slab.free_count == 0, "a drain onto a list that is not empty");
  TakeOver(slab, slab.remote.Drain());
}

void World::PushOwn(ModelSlab& slab, ModelBlock* block) {
  block->next = slab.free;
  slab.free = block;
  slab.free_count = slab.free_count + 1;
}

ModelBlock* World::PopOwn(ModelSlab& slab) {
  ModelBlock* block = slab.free;
  if (block == nullptr) return nullptr;
  slab.free_count = slab.free_count - 1;
  slab.free = slab.free_count == 0 ? nullptr : block->next.Get();
  return block;
}

bool World::Retire(ModelHeap& heap, ModelSlab& slab) {
  const RemoteState state = slab.remote.Peek();
  if (slab.capacity - slab.free_count != state.count) return false;
  if (!slab.remote.Retire(heap.id, state.count)) return false;
  slab.free = nullptr;
  slab.free_count = 0;
  return true;
}

void World::Settle(ModelHeap& heap, ModelSlab& slab) {
  if (Used(slab) == 0 && Retire(heap, slab)) return GiveBackSlot(slab);
  slab.looked = slab.remote.Peek().count;  // as Place
}

bool World::ReleaseOrKeep(ModelSlab& slab) {
  const bool has_blocks = slab.free_count != 0 || slab.remote.Peek().count != 0;
  if (!slab.remote.Release()) return false;
  if (has_blocks && !mailbox.Post(&slab)) PostOnBoard(slab);
  return true;
}

void World::PushRemote(ModelHeap& heap, ModelBlock* block) {
  ModelSlab& slab = *block->slab;
  const PushResult result = slab.remote.Push(slab.HeadOf(block), 1, heap.id,
                                             [&](const RemoteState& old) { block->next = slab.BlockOf(old); });
  switch (result.outcome) {
    case PushOutcome::kClaimed: Settle(heap, slab); break;
    case PushOutcome::kNotify: Notify(result.owner, slab); break;
    case PushOutcome::kQueued: break;
    case PushOutcome::kRefused: Expect(false, "a push to a slab that is not in use"); break;
  }
}

void World::Notify(HeapId owner, ModelSlab& slab) {
  ModelHeap& it = heap(static_cast<int>(owner) - 1);
  Expect(it.entered, "an owner that is not in the heap table");
  it.inbox.Put(&slab);
  if (it.state.IsPooled()) TidyPooled(it);
}

void World::ReadInbox(ModelHeap& heap) {
  ModelSlab* slab = heap.inbox.TakeAll();
  while (slab != nullptr) {
    ModelSlab* next = slab->inbox_next;
    Expect(slab->remote.Peek().owner == heap.id, "a notified slab of another owner in the inbox");
    const bool take = slab->free_count == 0;
    const RemoteState state = slab->remote.Acknowledge(take);
    Expect(state.notified, "a slab in the inbox that is not notified");
    if (take) TakeOver(*slab, state);
    Settle(heap, *slab);
    slab = next;
  }
}

// What must not be: the fault that the token of the allocator makes impossible to write.
void World::UnownedDrain(ModelSlab& slab) {
  const RemoteState state = slab.remote.Drain();
  ModelBlock* block = slab.BlockOf(state);
  for (uint16_t i = 0; i < state.count; ++i) {
    ModelBlock* next = block->next;
    PushOwn(slab, block);
    block = next;
  }
}

ModelBlock* World::TryCandidate(ModelHeap& heap, ModelSlab& slab, bool drains_first) {
  if (drains_first && slab.remote.Peek().count != 0) UnownedDrain(slab);
  const bool was_ours = slab.remote.Peek().owner == heap.id;
  if (!was_ours && !slab.remote.Claim(heap.id)) return nullptr;
  slab.looked = slab.remote.Peek().count;
  if (slab.free_count == 0 && slab.remote.Peek().count != 0) Drain(slab);
  if (ModelBlock* block = PopOwn(slab); block != nullptr) return block;
  if (!was_ours) ReleaseOrKeep(slab);
  return nullptr;
}

ModelBlock* World::Refill(ModelHeap& heap, Source source) {
  auto from = [&](Plain<ModelSlab*>& name, OwnershipFault fault) -> ModelBlock* {
    ModelSlab* slab = name;
    if (slab == nullptr) return nullptr;
    name = nullptr;
    return TryCandidate(heap, *slab, fault_ == fault);
  };
  switch (source) {
    case Source::kSticky: return from(heap.sticky, OwnershipFault::kStickyDrains);
    case Source::kHot: return from(heap.hot, OwnershipFault::kHotDrains);
    case Source::kBench: return from(heap.bench, OwnershipFault::kBenchDrains);
    case Source::kMailbox:
      if (ModelSlab* slab = mailbox.Take(); slab != nullptr) return TryCandidate(heap, *slab, false);
      return nullptr;
    case Source::kGate:
      if (ModelSlab* slab = TakeFromBoard(); slab != nullptr) {
        return TryCandidate(heap, *slab, fault_ == OwnershipFault::kGateDrains);
      }
      return nullptr;
    case Source::kScan:
    case Source::kHotScan: {
      const bool drains =
          fault_ == (source == Source::kScan ? OwnershipFault::kScanDrains : OwnershipFault::kHotScanDrains);
      for (const std::unique_ptr<ModelSlab>& slab : slabs_) {
        if (drains && slab->remote.Peek().count != 0) UnownedDrain(*slab);
        if (slab->remote.Peek().owner != kNoHeap) continue;
        if (ModelBlock* block = TryCandidate(heap, *slab, false); block != nullptr) return block;
      }
      return nullptr;
    }
  }
  return nullptr;
}

void World::PostOnBoard(ModelSlab& slab) {
  board_lock_.Acquire();
  if (!slab.on_board) {
    slab.on_board = true;
    slab.board_next = board_;
    board_ = &slab;
  }
  board_lock_.Release();
}

ModelSlab* World::TakeFromBoard() {
  board_lock_.Acquire();
  ModelSlab* slab = board_;
  if (slab != nullptr) {
    board_ = slab->board_next;
    slab->on_board = false;
  }
  board_lock_.Release();
  return slab;
}

void World::Make(ModelHeap& heap) { heap.entered = true; }

void World::Empty(ModelHeap& heap) {
  ReadInbox(heap);
  for (const std::unique_ptr<ModelSlab>& slab : slabs_) {
    if (slab->remote.Peek().owner != heap.id) continue;
    if (Used(*slab) == 0 && Retire(heap, *slab)) {
      GiveBackSlot(*slab);
    } else {
      ReleaseOrKeep(*slab);
    }
  }
}

void World::PutIntoPool(ModelHeap& heap) {
  pool_lock_.Acquire();
  heap.state.SetPooled();
  pool_lock_.Release();
  if (!heap.inbox.IsEmpty()) TidyPooled(heap);
}

void World::TidyPooled(ModelHeap& heap) {
  while (!heap.inbox.IsEmpty()) {
    pool_lock_.Acquire();
    const bool ours = heap.state.Get() == HeapState::kPooled;
    if (ours) heap.state.Set(HeapState::kDriven);
    pool_lock_.Release();
    if (!ours) return;
    Empty(heap);
    pool_lock_.Acquire();
    heap.state.SetPooled();
    pool_lock_.Release();
  }
}

bool World::TakeEmpty(ModelSlab& slab, SlotValue value, int size_class) {
  if (value.state != SlotState::kEmpty) return false;
  if (slab.size_class.load(std::memory_order_relaxed) != size_class) return false;  // as TakeEmpty looks at the span
  if (!slab.slot.Change(value, SlotState::kActive)) return false;
  Expect(slab.geometry == size_class, "a slot taken with the class of an earlier life");
  return true;
}

void World::SetUpTaken(ModelSlab& slab, HeapId owner, int size_class) {
  Expect(slab.remote.Peek().owner == kRetired, "a slot taken whose slab is in use");
  slab.size_class.store(size_class, std::memory_order_relaxed);  // as SetUp
  slab.geometry = size_class;
  slab.free = nullptr;
  slab.free_count = 0;
  slab.looked = 0;
  slab.remote.Reset(owner);
}

void World::GiveBackSlot(ModelSlab& slab) {
  Expect(slab.slot.Change(slab.slot.Peek(), SlotState::kEmpty), "a slot that was not ACTIVE and ours");
  empty_list.Add(slab);
}

std::string World::CheckBlocks(ModelSlab& slab, const std::vector<ModelBlock*>& out) {
  const RemoteState state = slab.remote.Peek();
  std::array<int, kModelBlocks> places = {};
  auto count = [&](const ModelBlock* block) {
    if (block != nullptr && block->slab == &slab) ++places[static_cast<size_t>(block - slab.blocks)];
  };
  for (const ModelBlock* block : out) count(block);
  if (state.owner == kRetired) {
    for (const int n : places) {
      if (n != 0) return "a slab not in use of which a block is out";
    }
    return "";
  }
  ModelBlock* block = slab.BlockOf(state);
  for (int i = 0; i < state.count; ++i, block = block->next) {
    if (block == nullptr) return "the remote list is shorter than its count";
    count(block);
  }
  block = slab.free;
  for (int i = 0; i < slab.free_count; ++i, block = i < slab.free_count ? block->next.Get() : nullptr) {
    if (block == nullptr) return "the free list is shorter than its count";
    count(block);
  }
  for (int i = 0; i < slab.capacity; ++i) {
    if (places[static_cast<size_t>(i)] == 0) return "a block is lost";
    if (places[static_cast<size_t>(i)] > 1) return "a block is in two places";
  }
  return "";
}

// A slab that has something to give, or to be given back, is known to somebody who will look at it.
std::string World::CheckNames(ModelSlab& slab) {
  const RemoteState state = slab.remote.Peek();
  if (state.owner == kRetired) return "";
  int in_inboxes = 0;
  for (const std::unique_ptr<ModelHeap>& heap : heaps_) {
    // Taken and put back: the check runs once.
    ModelSlab* head = heap->inbox.TakeAll();
    for (ModelSlab* it = head; it != nullptr;) {
      ModelSlab* next = it->inbox_next;
      if (it == &slab) {
        ++in_inboxes;
        if (state.owner != heap->id) return "in the inbox of a heap that does not own the slab";
        if (heap->state.Get() == HeapState::kPooled) return "a notification that nobody reads: its heap is pooled";
      }
      heap->inbox.Put(it);
      it = next;
    }
    if (state.owner == heap->id && heap->state.Get() == HeapState::kPooled && !state.notified) {
      return "a pooled heap keeps a slab";
    }
  }
  if (in_inboxes != (state.notified ? 1 : 0)) return "the notified bit and the inbox do not agree";
  if (state.owner != kNoHeap) {
    // The owner looks at what its inbox brings, and at what it saw to have blocks.
    if (state.count != slab.looked && !state.notified) return "blocks that their owner was not told of";
    return "";
  }
  bool named = false;
  ModelSlab* in_box = mailbox.Take();
  if (in_box == &slab) named = true;
  if (in_box != nullptr && !mailbox.Post(in_box)) return "a mailbox that was emptied is not empty";
  for (ModelSlab* it = board_; it != nullptr; it = it->board_next) named = named || it == &slab;
  for (const std::unique_ptr<ModelHeap>& heap : heaps_) {
    named = named || heap->sticky == &slab || heap->hot == &slab || heap->bench == &slab;
  }
  if (slab.free_count + state.count != 0 && !named) return "a slab without owner whom nobody knows";
  return "";
}

std::string World::Check(const std::vector<ModelBlock*>& out) {
  for (const std::unique_ptr<ModelSlab>& slab : slabs_) {
    if (std::string wrong = CheckBlocks(*slab, out); !wrong.empty()) return wrong;
    if (std::string wrong = CheckNames(*slab); !wrong.empty()) return wrong;
  }
  std::vector<ModelSlab*> listed;
  while (ModelSlab* slab = empty_list.Take()) {
    if (std::find(listed.begin(), listed.end(), slab) != listed.end())
      return "a slot is twice in the list of empty slots";
    listed.push_back(slab);
  }
  for (const std::unique_ptr<ModelSlab>& slab : slabs_) {
    const bool is_listed = std::find(listed.begin(), listed.end(), slab.get()) != listed.end();
    if (slab->slot.Peek().state == SlotState::kEmpty && !is_listed) return "an EMPTY slot is not in the list";
  }
  return "";
}

}  // namespace hakmem::schedule
