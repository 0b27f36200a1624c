// The text form of a stream, for people: a line for the header, then a line an operation, the thread first. Text after
// a
// '#' and empty lines are skipped.
//
//   stream threads=2 slots=8 max_size=4096 max_live=65536
//   0 malloc 3 128
//   0 hand 3 1 0      # slot 3 of thread 0 to slot 0 of thread 1
//   1 free 0
#ifndef TESTING_OP_STREAM_TEXT_H_
#define TESTING_OP_STREAM_TEXT_H_

#include <string>
#include <string_view>

#include "testing/op_stream/codec.h"
#include "testing/op_stream/op_stream.h"

namespace hakmem::op_stream {

std::string ToText(const Op& op);
std::string ToText(const Stream& stream);

// On an error, which names the line, the stream holds the operations before it.
Decoded ParseText(std::string_view text);

}  // namespace hakmem::op_stream

#endif  // TESTING_OP_STREAM_TEXT_H_
