// Makes a stream out of others: parts of it, several side by side, a seed for fuzzing. What comes out is valid, has
// bounds as tight as they can be, and has no operation that does nothing.
#ifndef TESTING_RECORDING_EDIT_H_
#define TESTING_RECORDING_EDIT_H_

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "testing/op_stream/codec.h"
#include "testing/op_stream/op_stream.h"

namespace hakmem::recording {

using op_stream::OpKind;
using op_stream::Stream;

// Leaves out the operations that do nothing at their place (plan.h says which).
Stream Clean(const Stream& stream);

// Numbers the slots of a clean stream anew, so that each thread needs few, and sets the header's bounds to what is
// used. Blocks that do not find one of `most_slots` slots are left out with all that is done to them.
Stream Repack(const Stream& clean, uint32_t most_slots = op_stream::kMaxSlots);

struct FilterOptions {
  std::set<uint32_t> threads = {};  // empty: all
  std::set<OpKind> kinds = {};      // empty: all
  uint64_t least_size = 0;
  uint64_t most_size = UINT64_MAX;
};

// Keeps the operations of some threads, kinds and sizes.
//   - A block that comes from a thread left out is allocated where it comes in; one that goes to such a thread is freed
//     where it leaves. Threads keep their numbers; thread 0 stays, perhaps only to start the others.
//   - free, hand, start and end are kept whatever the kinds: they belong to the blocks and threads that are.
//   - A block that realloc brings into the range of sizes is allocated there, and one that leaves it is freed there.
Stream Filter(const Stream& stream, const FilterOptions& options);

// What is done with blocks that are alive where a cut begins.
enum class Alive {
  kAllocate,  // each is allocated first, by the thread that holds it
  kLeaveOut,  // with all that the piece does to it
};

// The operations [from, to), with the threads that run there started first.
Stream Cut(const Stream& stream, size_t from, size_t to, Alive alive);

// Streams side by side, each with threads of its own, mixed evenly: halfway through the result each is halfway through.
// The first threads of all but the first are started at the beginning and run to their streams' ends. A barrier holds
// the threads of all. Empty when there would be too many threads, with the reason in `error`.
Stream Merge(const std::vector<Stream>& streams, std::string* error);

// As much of [from, to) as fits `limits`: the threads that do most, renumbered; of blocks that are too large, the
// greatest size allowed; blocks beyond the slots left out. DecodeLoose with the same limits gives what was encoded.
Stream FitSeed(const Stream& stream, size_t from, size_t to, const op_stream::LooseLimits& limits);

}  // namespace hakmem::recording

#endif  // TESTING_RECORDING_EDIT_H_
