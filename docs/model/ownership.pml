/* Ownership of a slab, remote frees, inboxes and the pool of heaps, for spin(1).
 *
 * One slab of a few blocks, and threads that each drive a heap. What is one atomic operation in the allocator is one step
 * here; all steps of all threads are interleaved in every way. README.md maps the names to the code.
 *
 * -DFAULT=n seeds one fault, which spin has to find:
 *
 *      1  a scan of all superslabs drains others' slabs    7  the result of a claim is not looked at
 *      2  a scan of the hot superslab does                 8  an acknowledgement leaves the notified bit set
 *      3  the sticky ring drains before it claims          9  a release does not care for a notification on its way
 *      4  the hot slot does                               10  the inbox is looked at before the heap is pooled
 *      5  the bench slot does                             11  the notifier looks at the heap's state first
 *      6  the mmap gate does                              12  a retirement does not care for a notification on its way
 */
#ifndef FAULT
#define FAULT 0
#endif
#ifndef THREADS
#define THREADS 3
#endif
#ifndef BLOCKS
#define BLOCKS 2
#endif

#define ALL ((1 << BLOCKS) - 1)
#define NOBODY 0
#define RETIRED 9

/* Where refill has a name from. Those whose number is a fault's drain first when that fault is seeded. */
#define SCAN 1
#define HOT_SCAN 2
#define STICKY 3
#define HOT 4
#define BENCH 5
#define GATE 6
#define MAILBOX 20

/* The remote word. Sets of blocks are bits. */
byte owner = 1;
bool notified = false;
byte remote = 0;

/* The slab's own list, the owner's alone; and who touches it now. */
byte home = 0;
byte toucher = NOBODY;

/* The slot is EMPTY: it may be taken and set up anew. */
bool empty_slot = false;

/* Names of the slab; that on the board is out of date from the start. */
bool in_mailbox = false;
bool on_board = true;

/* Of each heap; index 0 is not used. */
byte held[THREADS + 1];   /* blocks that the program has, by the thread that will free them */
bool inbox[THREADS + 1];
bool pooled[THREADS + 1];
byte ended = 0;

#define HomeOrRemote (home | remote)

/* The token of the allocator: only the owner touches the list and the counters. */
inline Touch(h) {
  atomic {
    assert(owner == h);
    assert(toucher == NOBODY);
    toucher = h
  }
}
inline Untouch() { toucher = NOBODY }

/* --- the owner's transitions (remote_word.h, owned_slab.cc) */

inline Retire(h) {
  atomic {
    if
    :: HomeOrRemote == ALL && (!notified || FAULT == 12) ->
       owner = RETIRED; home = 0; remote = 0; notified = false; done = true
    :: else -> done = false
    fi
  }
  if
  :: done -> empty_slot = true
  :: else
  fi
}

inline Settle(h) {
  Touch(h);
  done = (HomeOrRemote == ALL);
  Untouch();
  if
  :: done -> Retire(h)
  :: else
  fi
}

inline Release(h) {
  Touch(h);
  has_blocks = (HomeOrRemote != 0);
  Untouch();
  atomic {
    if
    :: notified && FAULT != 9 -> done = false
    :: else -> owner = NOBODY; notified = false; done = true
    fi
  }
  if
  :: done && has_blocks ->
     if
     :: !in_mailbox -> in_mailbox = true
     :: on_board = true  /* another slab may be in the mailbox */
     fi
  :: else
  fi
}

inline Drain(h) {
  Touch(h);
  assert(home == 0);
  atomic { taken = remote; remote = 0 }
  home = taken;
  taken = 0;
  Untouch()
}

inline ReadInbox(h) {
  atomic { done = inbox[h]; inbox[h] = false }
  if
  :: done ->
     assert(owner == h && notified);
     Touch(h);
     atomic {
       if
       :: FAULT != 8 -> notified = false
       :: else
       fi;
       if
       :: home == 0 -> taken = remote; remote = 0
       :: else
       fi
     }
     home = home | taken;
     taken = 0;
     Untouch();
     Settle(h)
  :: else
  fi
}

/* --- the end of a thread, and heaps that nobody drives (thread_heap.cc, heap_pool.cc) */

inline Empty(h) {
  ReadInbox(h);
  if
  :: owner == h ->
     Settle(h);
     if
     :: owner == h -> Release(h)
     :: else
     fi
  :: else
  fi
}

inline TidyPooled(h) {
  do
  :: inbox[h] ->
     atomic { mine = pooled[h]; pooled[h] = false }
     if
     :: mine ->
        Empty(h);
        pooled[h] = true
     :: else -> break
     fi
  :: else -> break
  od;
  mine = false
}

/* --- frees by others (outbox.cc) */

inline Push(h, b) {
  atomic {
    assert(owner != RETIRED);
    held[h] = held[h] & ~b;
    remote = remote | b;
    if
    :: owner == NOBODY -> owner = h; done = true
    :: else ->
       done = false;
       if
       :: notified -> to = NOBODY
       :: else -> to = owner; notified = true
       fi
    fi
  }
  if
  :: done -> Settle(h)
  :: !done && to != NOBODY ->
#if FAULT == 11
     mine = pooled[to];
     atomic { assert(!inbox[to]); inbox[to] = true }
#else
     atomic { assert(!inbox[to]); inbox[to] = true }
     mine = pooled[to];
#endif
     if
     :: mine -> mine = false; TidyPooled(to)
     :: else
     fi;
     to = NOBODY
  :: else
  fi
}

inline Free(h, b) {
  if
  :: owner == h ->
     Touch(h);
     held[h] = held[h] & ~b;
     home = home | b;
     Untouch();
     Settle(h)
  :: else -> Push(h, b)
  fi
}

/* --- refill (refill.cc): a name from any source, and the one function that follows */

inline UnownedDrain(h) {
  atomic { taken = remote; remote = 0 }
  if
  :: taken != 0 ->
     Touch(h);
     home = home | taken;
     taken = 0;
     Untouch()
  :: else
  fi
}

inline TryCandidate(h) {
  if
  :: source == FAULT -> UnownedDrain(h)
  :: else
  fi;
  atomic {
    done = (owner == h || owner == NOBODY || FAULT == 7);
    fresh = (owner == NOBODY);
    if
    :: owner == NOBODY -> owner = h
    :: else
    fi
  }
  if
  :: done ->
     if
     :: home == 0 && remote != 0 -> Drain(h)
     :: else
     fi;
     if
     :: home != 0 ->
        Touch(h);
        if
        :: (home & 1) != 0 -> home = home & ~1; held[h] = held[h] | 1
        :: (home & 2) != 0 -> home = home & ~2; held[h] = held[h] | 2
        :: (home & 4) != 0 -> home = home & ~4; held[h] = held[h] | 4
        fi;
        Untouch()
     :: fresh -> Release(h)  /* it has no blocks, or the slab is of another class by now */
     :: else
     fi
  :: else
  fi;
  fresh = false;
  source = 0
}

/* A slot that is EMPTY is taken and set up: all blocks are there to be carved (shared_pool.cc, OwnedSlab::SetUp). */
inline TakeEmptySlot(h) {
  atomic { done = empty_slot; empty_slot = false }
  if
  :: done ->
     assert(owner == RETIRED && toucher == NOBODY);
     atomic { owner = h; home = ALL }
  :: else
  fi
}

proctype Thread(byte h) {
  byte b = 0;
  byte source = 0;
  byte to = NOBODY;
  byte taken = 0;
  byte other = 0;
  bool done = false;
  bool mine = false;
  bool fresh = false;
  bool has_blocks = false;

  do
  :: (held[h] & 1) != 0 -> Free(h, 1)
  :: (held[h] & 2) != 0 -> Free(h, 2)
  :: (held[h] & 4) != 0 -> Free(h, 4)
  :: source = STICKY; TryCandidate(h)
  :: source = HOT; TryCandidate(h)
  :: source = BENCH; TryCandidate(h)
  :: atomic { in_mailbox -> in_mailbox = false; source = MAILBOX } TryCandidate(h)
  :: atomic { on_board -> on_board = false; source = GATE } TryCandidate(h)
  :: atomic { (owner == NOBODY || FAULT == SCAN) -> source = SCAN } TryCandidate(h)
  :: atomic { (owner == NOBODY || FAULT == HOT_SCAN) -> source = HOT_SCAN } TryCandidate(h)
  :: inbox[h] -> ReadInbox(h)
  :: empty_slot -> TakeEmptySlot(h)
  :: break
  od;

  /* The thread ends: what it holds is freed, then its heap is emptied and pooled. */
  do
  :: (held[h] & 1) != 0 -> Free(h, 1)
  :: (held[h] & 2) != 0 -> Free(h, 2)
  :: (held[h] & 4) != 0 -> Free(h, 4)
  :: held[h] == 0 -> break
  od;
  Empty(h);
#if FAULT == 10
  done = inbox[h];
  pooled[h] = true;
  if
  :: done -> TidyPooled(h)
  :: else
  fi;
#else
  pooled[h] = true;
  TidyPooled(h);
#endif
  ended++
}

/* At the end all blocks are home, so the slab has been retired, and nothing waits to be read. */
proctype Witness() {
  byte i = 1;
  ended == THREADS;
  assert(owner == RETIRED);
  assert(home == 0 && remote == 0 && !notified);
  do
  :: i <= THREADS -> assert(held[i] == 0 && !inbox[i] && pooled[i]); i++
  :: else -> break
  od
}

init {
  atomic {
    /* All blocks are out, each with another thread as far as there are. */
    held[THREADS] = held[THREADS] | 1;
    held[2] = held[2] | 2;
#if BLOCKS == 3
    held[1] = held[1] | 4;
#endif
    byte n = 1;
    do
    :: n <= THREADS -> run Thread(n); n++
    :: else -> break
    od;
    run Witness()
  }
}
