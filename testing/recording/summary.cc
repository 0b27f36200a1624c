#include "testing/recording/summary.h"

#include <algorithm>
#include <bit>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "testing/recording/edit.h"
#include "testing/recording/ops.h"

namespace hakmem::recording {
namespace {

constexpr size_t kBarWidth = 40;

std::string Bytes(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.*f %s", unit == 0 ? 0 : 1, value, kUnits[unit]);
}

}  // namespace

Summary Summarize(const Stream& stream) {
  Summary summary;
  const Stream clean = Clean(stream);
  summary.left_out = stream.ops.size() - clean.ops.size();
  summary.threads.resize(stream.header.threads);
  summary.threads[0].lives = 1;
  LiveBlocks live;
  for (size_t i = 0; i < clean.ops.size(); ++i) {
    const Op& op = clean.ops[i];
    ++summary.ops[static_cast<size_t>(op.kind)];
    ++summary.threads[op.thread].ops;
    if (op.kind == OpKind::kHand) ++summary.threads[op.thread].handed_out;
    if (op.kind == OpKind::kStart) ++summary.threads[op.operands[0]].lives;
    if (Makes(op.kind) && !Frees(op, true)) {
      ++summary.sizes[static_cast<size_t>(std::bit_width(AskedBytes(op)))];
      summary.bytes_made += AskedBytes(op);
    }
    live.Apply(op);
    summary.peak_blocks = std::max(summary.peak_blocks, live.blocks());
    if (live.bytes() > summary.peak_bytes) {
      summary.peak_bytes = live.bytes();
      summary.peak_at = i + 1;
    }
  }
  summary.end_bytes = live.bytes();
  summary.end_blocks = live.blocks();
  return summary;
}

std::string ToText(const Summary& summary) {
  std::string text;
  uint64_t total = 0;
  uint64_t made = 0;
  for (const uint64_t count : summary.ops) total += count;
  for (const uint64_t count : summary.sizes) made += count;
  absl::StrAppend(&text, "operations: ", total);
  if (summary.left_out != 0) absl::StrAppend(&text, " (and ", summary.left_out, " that do nothing)");
  absl::StrAppend(&text, "\n");
  for (size_t kind = 0; kind < op_stream::kOpKinds; ++kind) {
    if (summary.ops[kind] == 0) continue;
    absl::StrAppendFormat(&text, "  %-14s %12d\n", op_stream::RowOf(static_cast<OpKind>(kind)).name, summary.ops[kind]);
  }
  absl::StrAppend(&text, "live at the peak: ", Bytes(summary.peak_bytes), " (", summary.peak_bytes,
                  " bytes) after operation ", summary.peak_at, "; at most ", summary.peak_blocks, " blocks\n");
  absl::StrAppend(&text, "live at the end: ", Bytes(summary.end_bytes), " in ", summary.end_blocks, " blocks\n");
  absl::StrAppend(&text, "asked for altogether: ", Bytes(summary.bytes_made), " in ", made, " blocks\n");
  absl::StrAppend(&text, "threads: ", summary.threads.size(), "\n");
  for (size_t t = 0; t < summary.threads.size(); ++t) {
    const Summary::Thread& thread = summary.threads[t];
    absl::StrAppendFormat(&text, "  %-4d %12d operations, started %d times, %d blocks handed to others\n", t,
                          thread.ops, thread.lives, thread.handed_out);
  }
  absl::StrAppend(&text, "sizes of blocks made:\n");
  const uint64_t most = *std::max_element(summary.sizes.begin(), summary.sizes.end());
  for (size_t bits = 0; bits < summary.sizes.size(); ++bits) {
    const uint64_t count = summary.sizes[bits];
    if (count == 0) continue;
    const uint64_t least = bits == 0 ? 0 : uint64_t{1} << (bits - 1);
    const std::string range = bits < 2 ? absl::StrCat(least) : absl::StrCat(least, " to ", (least - 1) * 2 + 1);
    absl::StrAppendFormat(&text, "  %-26s %12d %5.1f%% %s\n", range, count,
                          100.0 * static_cast<double>(count) / static_cast<double>(made),
                          std::string((count * kBarWidth + most - 1) / most, '#'));
  }
  return text;
}

}  // namespace hakmem::recording
