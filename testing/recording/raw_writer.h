// Makes recordings up for tests, in the form of hakmem/trace/trace_format.h.
#ifndef TESTING_RECORDING_RAW_WRITER_H_
#define TESTING_RECORDING_RAW_WRITER_H_

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "hakmem/trace/trace_format.h"

namespace hakmem::recording {

class RawWriter {
 public:
  explicit RawWriter(uint32_t chunk_bytes = 256) : chunk_bytes_(chunk_bytes) {
    memcpy(header_.start.magic, trace::kFileMagic, sizeof(trace::kFileMagic));
    header_.start.byte_order = trace::kByteOrder;
    header_.start.version = trace::kVersion;
    header_.start.chunk_bytes = chunk_bytes;
    header_.start.page_size = 4096;
  }

  trace::FileHeader& header() { return header_; }

  // Appends a record to a stream. `fields` are as in kOpRows, but for the first, which is the tick itself, and blocks,
  // which are addresses.
  void Add(uint32_t stream, trace::Op op, std::vector<uint64_t> fields, bool failed = false) {
    Stream& to = streams_[stream];
    if (to.chunks.empty()) Begin(stream, &to, fields[0]);
    std::string record = Encode(to, op, fields, failed);
    if (to.chunks.back().records.size() + record.size() > chunk_bytes_ - sizeof(trace::ChunkHeader)) {
      Begin(stream, &to, fields[0]);
      record = Encode(to, op, fields, failed);
    }
    if (op == trace::Op::kThread) to.thread = static_cast<uint32_t>(fields[1]);
    to.chunks.back().records += record;
    to.tick = fields[0];
    for (size_t i = 0; i < fields.size(); ++i) {
      if (trace::kOpRows[static_cast<size_t>(op)].fields[i] == trace::Field::kBlock) to.block = fields[i];
    }
  }

  // The chunks stand in the order in which they were begun.
  std::string Bytes() {
    header_.start.checksum = trace::Checksum(&header_.start, offsetof(trace::FileStart, checksum));
    std::string bytes(reinterpret_cast<const char*>(&header_), sizeof(header_));
    bytes.resize(chunk_bytes_);
    for (const auto& [stream, index] : order_) {
      const std::vector<Chunk>& chunks = streams_[stream].chunks;
      Chunk chunk = chunks[index];
      const bool full = index + 1 < chunks.size();
      const size_t used = chunk.records.size();
      chunk.records.resize(chunk_bytes_ - sizeof(trace::ChunkHeader));
      if (full) {
        chunk.header.used = static_cast<uint32_t>(used);
        std::vector<uint64_t> words((used + 7) / 8);
        memcpy(words.data(), chunk.records.data(), words.size() * 8);
        chunk.header.checksum = trace::Checksum(words.data(), words.size() * 8);
      }
      bytes.append(reinterpret_cast<const char*>(&chunk.header), sizeof(chunk.header));
      bytes += chunk.records;
    }
    return bytes;
  }

 private:
  struct Chunk {
    trace::ChunkHeader header = {};
    std::string records;
  };
  struct Stream {
    std::vector<Chunk> chunks;
    uint32_t thread = 0;
    uint64_t tick = 0;
    uint64_t block = 0;
  };

  static void PutNumber(uint64_t value, std::string* out) {
    for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
    out->push_back(static_cast<char>(value));
  }

  void Begin(uint32_t number, Stream* stream, uint64_t tick) {
    Chunk chunk;
    chunk.header.magic = trace::kChunkMagic;
    chunk.header.stream = number;
    chunk.header.sequence = static_cast<uint32_t>(stream->chunks.size());
    chunk.header.thread = stream->thread;
    chunk.header.tick = tick;
    stream->tick = tick;
    stream->block = 0;
    order_.emplace_back(number, stream->chunks.size());
    stream->chunks.push_back(chunk);
  }

  static std::string Encode(const Stream& stream, trace::Op op, const std::vector<uint64_t>& fields, bool failed) {
    std::string record(1, static_cast<char>(static_cast<uint8_t>(op) | (failed ? trace::kFailed : 0)));
    uint64_t block = stream.block;
    for (size_t i = 0; i < fields.size(); ++i) {
      switch (trace::kOpRows[static_cast<size_t>(op)].fields[i]) {
        case trace::Field::kTick: PutNumber(fields[i] - stream.tick, &record); break;
        case trace::Field::kBlock:
          PutNumber(trace::Fold(static_cast<uint64_t>(static_cast<int64_t>(fields[i] - block) >> trace::kBlockShift)),
                    &record);
          block = fields[i];
          break;
        default: PutNumber(fields[i], &record); break;
      }
    }
    return record;
  }

  uint32_t chunk_bytes_;
  trace::FileHeader header_ = {};
  std::map<uint32_t, Stream> streams_;
  std::vector<std::pair<uint32_t, size_t>> order_;
};

}  // namespace hakmem::recording

#endif  // TESTING_RECORDING_RAW_WRITER_H_
