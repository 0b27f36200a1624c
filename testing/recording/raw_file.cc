#include "testing/recording/raw_file.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <queue>

#include "absl/strings/str_cat.h"
#include "hakmem/trace/trace_format.h"

namespace hakmem::recording {
namespace {

using op_stream::OpKind;
using trace::ChunkHeader;
using trace::Field;
using trace::FileHeader;

// What one chunk holds.
struct Chunk {
  ChunkHeader header;
  std::vector<Event> events;
  bool damaged = false;  // after those events
};

// The numbers of a record.
struct Record {
  trace::Op op = trace::Op::kEnd;
  bool failed = false;
  uint64_t tick = 0;
  uint64_t old_block = 0;
  uint64_t block = 0;
  uint64_t size = 0;
  uint64_t alignment_log2 = 0;
  uint64_t took = 0;
  uint64_t thread = 0;
};

class ChunkReader {
 public:
  ChunkReader(std::string_view records, const ChunkHeader& header)
      : records_(records), tick_(header.tick), thread_(header.thread) {}

  void Read(Chunk* chunk, Oddities* oddities) {
    while (at_ < records_.size() && records_[at_] != 0) {
      Record record;
      if (!ReadRecord(&record) || (thread_ == 0 && record.op != trace::Op::kThread)) {
        chunk->damaged = true;
        return;
      }
      Add(record, chunk, oddities);
    }
  }

 private:
  std::optional<uint64_t> Number() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && at_ < records_.size(); shift += 7) {
      const auto byte = static_cast<uint8_t>(records_[at_++]);
      const uint64_t bits = byte & 0x7f;
      if ((bits << shift) >> shift != bits) return std::nullopt;
      value |= bits << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }

  bool ReadRecord(Record* record) {
    const auto first = static_cast<uint8_t>(records_[at_++]);
    record->failed = (first & trace::kFailed) != 0;
    const size_t op = first & ~trace::kFailed;
    if (op == 0 || op >= trace::kOps) return false;
    record->op = static_cast<trace::Op>(op);
    bool has_old = false;
    for (const Field field : trace::kOpRows[op].fields) {
      if (field == Field::kNone) break;
      // A failed call has all but the block that it did not get; of a realloc's two, the old one is there.
      const bool missing =
          field == Field::kTook || (field == Field::kBlock && (record->op != trace::Op::kRealloc || has_old));
      if (record->failed && missing) continue;
      const std::optional<uint64_t> number = Number();
      if (!number) return false;
      switch (field) {
        case Field::kNone: break;
        case Field::kTick: record->tick = tick_ += *number; break;
        case Field::kBlock:
          block_ += trace::Unfold(*number) << trace::kBlockShift;
          if (record->op == trace::Op::kRealloc && !has_old) record->old_block = block_;
          record->block = block_;
          has_old = true;
          break;
        case Field::kSize:
        case Field::kKeep: record->size = *number; break;
        case Field::kAlignment: record->alignment_log2 = *number; break;
        case Field::kTook: record->took = *number; break;
        case Field::kThread: record->thread = *number; break;
        case Field::kSystemThread: break;
      }
    }
    return record->alignment_log2 < 64 && record->thread <= UINT32_MAX &&
           (record->op != trace::Op::kThread || record->thread != 0);
  }

  void Add(const Record& record, Chunk* chunk, Oddities* oddities) {
    if (record.op == trace::Op::kThread) thread_ = static_cast<uint32_t>(record.thread);
    Event event{.tick = record.tick,
                .block = record.block,
                .size = record.size,
                .thread = thread_,
                .kind = Event::Kind::kGet,
                .alignment_log2 = static_cast<uint8_t>(record.alignment_log2)};
    const auto give_up = [&event](OpKind op) {
      event.kind = Event::Kind::kGiveUp;
      event.op = op;
    };
    if (record.failed) {
      ++oddities->failed;
      return;
    }
    switch (record.op) {
      case trace::Op::kMalloc: event.op = OpKind::kMalloc; break;
      case trace::Op::kCalloc: event.op = OpKind::kCalloc; break;
      case trace::Op::kAlignedAlloc: event.op = OpKind::kAlignedAlloc; break;
      case trace::Op::kPosixMemalign: event.op = OpKind::kPosixMemalign; break;
      case trace::Op::kMemalign: event.op = OpKind::kMemalign; break;
      case trace::Op::kRealloc: {
        Event lift = event;
        lift.kind = Event::Kind::kLift;
        lift.block = record.old_block;
        lift.tick -= std::min(record.took, lift.tick);
        chunk->events.push_back(lift);
        event.kind = Event::Kind::kLower;
        break;
      }
      case trace::Op::kFree: give_up(OpKind::kFree); break;
      case trace::Op::kFreeSized:
      case trace::Op::kFreeAlignedSized: give_up(OpKind::kFreeSized); break;
      case trace::Op::kFreeNull: ++oddities->free_null; return;
      case trace::Op::kTrim: event.kind = Event::Kind::kTrim; break;
      case trace::Op::kFork: event.kind = Event::Kind::kFork; break;
      case trace::Op::kThread:
      case trace::Op::kThreadEnd: event.kind = Event::Kind::kNothing; break;
      case trace::Op::kEnd: return;
    }
    chunk->events.push_back(event);
  }

  std::string_view records_;
  size_t at_ = 0;
  uint64_t tick_;
  uint64_t block_ = 0;
  uint32_t thread_;
};

class FileReader {
 public:
  explicit FileReader(std::string_view bytes) : bytes_(bytes) {}

  RawFile Read() {
    if (!ReadHeader()) return std::move(out_);
    out_.readable = true;
    for (size_t at = chunk_bytes_; at < bytes_.size(); at += chunk_bytes_) ReadChunk(at);
    if (bytes_.size() % chunk_bytes_ != 0) {
      Damage(bytes_.size() / chunk_bytes_ * chunk_bytes_, "the file is cut short", UINT64_MAX);
    }
    CheckSequences();
    Merge();
    if (!out_.error.empty()) absl::StrAppend(&out_.error, "; ", out_.events.size(), " events before it are sound");
    return std::move(out_);
  }

 private:
  bool Fail(const std::string& what) {
    out_.error = what;
    return false;
  }

  bool ReadHeader() {
    if (!IsRawFile(bytes_)) return Fail("this is no recording: it does not begin with HAKTRACE");
    FileHeader header;
    if (bytes_.size() < sizeof(header)) return Fail("the header is cut short");
    memcpy(&header, bytes_.data(), sizeof(header));
    if (header.start.byte_order != trace::kByteOrder) {
      return Fail(header.start.byte_order == __builtin_bswap32(trace::kByteOrder)
                      ? "the recording was made on a machine of the other byte order"
                      : "the header is damaged");
    }
    if (header.start.version != trace::kVersion) {
      return Fail(absl::StrCat("version ", header.start.version, " of the format; this program reads version ",
                               trace::kVersion));
    }
    if (trace::Checksum(&header.start, offsetof(trace::FileStart, checksum)) != header.start.checksum) {
      return Fail("the header is damaged");
    }
    chunk_bytes_ = header.start.chunk_bytes;
    if (chunk_bytes_ < 2 * sizeof(ChunkHeader) || chunk_bytes_ % 8 != 0) return Fail("the header is damaged");
    if (header.start.forked_from != 0) {
      out_.note = absl::StrCat("recorded from a fork of process ", header.start.forked_from, " on");
    }
    if (header.state.ended_error != 0) {
      absl::StrAppend(&out_.note, out_.note.empty() ? "" : "; ",
                      "the recording ended early: ", strerror(static_cast<int>(header.state.ended_error)));
    }
    out_.oddities.lost = header.state.lost;
    return true;
  }

  // What happened after `tick` is left out: a stream is missing its part of it. A chunk of which not even the stream is
  // known sets no bound; where it is missed, CheckSequences does.
  void Damage(size_t at, const std::string& what, uint64_t tick) {
    if (out_.error.empty()) out_.error = absl::StrCat(what, " in the chunk at byte ", at);
    end_ = std::min(end_, tick);
  }

  void ReadChunk(size_t at) {
    const std::string_view bytes = bytes_.substr(at, chunk_bytes_);
    if (bytes.size() < sizeof(ChunkHeader)) return;
    Chunk chunk;
    memcpy(&chunk.header, bytes.data(), sizeof(ChunkHeader));
    if (chunk.header.magic == 0) return;  // not begun
    std::string_view records = bytes.substr(sizeof(ChunkHeader));
    const size_t used = chunk.header.used;
    if (chunk.header.magic != trace::kChunkMagic || chunk.header.stream == 0 ||
        used > chunk_bytes_ - sizeof(ChunkHeader)) {
      Damage(at, "the header is damaged", UINT64_MAX);
      return;
    }
    const bool whole = bytes.size() == chunk_bytes_;
    if (used != 0 && whole) {
      const size_t summed = (used + 7) / 8 * 8;
      if (Sum(records.substr(0, summed)) != chunk.header.checksum) {
        Damage(at, "the sum does not agree", chunk.header.tick);
        return;
      }
      records = records.substr(0, used);
    }
    ChunkReader(records, chunk.header).Read(&chunk, &out_.oddities);
    if (chunk.damaged || !whole) {
      Damage(at, whole ? "a record is damaged" : "the file is cut short",
             chunk.events.empty() ? chunk.header.tick : chunk.events.back().tick);
    }
    const uint32_t stream = chunk.header.stream;
    const uint32_t sequence = chunk.header.sequence;
    if (!streams_[stream].try_emplace(sequence, std::move(chunk)).second) {
      Damage(at, absl::StrCat("a second chunk ", sequence, " of stream ", stream), UINT64_MAX);
    }
  }

  static uint64_t Sum(std::string_view bytes) {
    std::vector<uint64_t> words(bytes.size() / 8);
    memcpy(words.data(), bytes.data(), bytes.size());
    return trace::Checksum(words.data(), bytes.size());
  }

  // A chunk that is missing leaves a hole in its stream.
  void CheckSequences() {
    for (const auto& [number, chunks] : streams_) {
      uint32_t next = 0;
      uint64_t tick = 0;
      for (const auto& [sequence, chunk] : chunks) {
        if (sequence != next) {
          end_ = std::min(end_, tick);
          if (out_.error.empty()) out_.error = absl::StrCat("chunk ", next, " of stream ", number, " is missing");
          break;
        }
        ++next;
        tick = chunk.events.empty() ? chunk.header.tick : chunk.events.back().tick;
      }
    }
  }

  // At equal ticks what gives a block up stands before what gets one; within a stream the order is that of the file.
  void Merge() {
    std::vector<std::vector<Event>> lines;
    for (auto& [number, chunks] : streams_) {
      std::vector<Event> line;
      uint64_t tick = 0;
      for (auto& [sequence, chunk] : chunks) {
        for (Event& event : chunk.events) {
          tick = std::max(tick, event.tick);
          event.tick = tick;
          line.push_back(event);
        }
        chunk.events = {};
      }
      lines.push_back(std::move(line));
    }
    using Head = std::pair<std::pair<uint64_t, bool>, size_t>;
    std::priority_queue<Head, std::vector<Head>, std::greater<>> heads;
    std::vector<size_t> at(lines.size());
    const auto push = [&](size_t i) {
      if (at[i] == lines[i].size()) return;
      const Event& event = lines[i][at[i]];
      heads.push({{event.tick, !event.gives_up()}, i});
    };
    for (size_t i = 0; i < lines.size(); ++i) push(i);
    while (!heads.empty() && heads.top().first.first <= end_) {
      const size_t i = heads.top().second;
      heads.pop();
      out_.events.push_back(lines[i][at[i]++]);
      push(i);
    }
  }

  std::string_view bytes_;
  RawFile out_;
  size_t chunk_bytes_ = 0;
  std::map<uint32_t, std::map<uint32_t, Chunk>> streams_;  // by number, then by sequence
  uint64_t end_ = UINT64_MAX;
};

}  // namespace

bool IsRawFile(std::string_view bytes) {
  return bytes.substr(0, sizeof(trace::kFileMagic)) == std::string_view(trace::kFileMagic, sizeof(trace::kFileMagic));
}

RawFile ReadRawFile(std::string_view bytes) { return FileReader(bytes).Read(); }

}  // namespace hakmem::recording
