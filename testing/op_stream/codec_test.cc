#include "testing/op_stream/codec.h"

#include <gtest/gtest.h>

#include <string>

#include "testing/op_stream/checksum.h"
#include "testing/op_stream/random_stream.h"

namespace hakmem::op_stream {
namespace {

Stream RandomStream(uint64_t seed, uint32_t ops = 500) {
  return MakeRandomStream({.seed = seed, .ops = ops, .header = {.threads = 1 + static_cast<uint32_t>(seed % 7)}});
}

std::string RandomBytes(SeededRandom* random) {
  std::string bytes(random->Below(300), '\0');
  const bool small = random->OneIn(2);
  for (char& byte : bytes) byte = static_cast<char>(small ? random->Below(20) : random->Next());
  return bytes;
}

bool IsPrefix(const Stream& part, const Stream& whole) {
  return part.header == whole.header && part.ops.size() <= whole.ops.size() &&
         std::equal(part.ops.begin(), part.ops.end(), whole.ops.begin());
}

TEST(Checksum, IsCrc32c) {
  // The check value of the polynomial's catalogue entry.
  EXPECT_EQ(Crc32c("123456789", 9), 0xE3069283u);
  EXPECT_EQ(Crc32c("6789", 4, Crc32c("12345", 5)), 0xE3069283u);
}

TEST(LooseForm, AnyBytesAreAValidStreamWithinTheLimits) {
  SeededRandom random(1);
  const LooseLimits limits = {.threads = 3, .slots = 10, .max_size = 5000, .max_live = 20000, .ops = 100};
  for (int round = 0; round < 5000; ++round) {
    const Stream stream = DecodeLoose(RandomBytes(&random), limits);
    ASSERT_EQ(FindError(stream), "");
    ASSERT_LE(stream.header.threads, limits.threads);
    ASSERT_LE(stream.header.slots, limits.slots);
    ASSERT_LE(stream.header.max_size, limits.max_size);
    ASSERT_LE(stream.header.max_live, limits.max_live);
    ASSERT_LE(stream.ops.size(), limits.ops);
  }
}

TEST(LooseForm, WhatWasDecodedIsEncodedToTheSameStream) {
  SeededRandom random(2);
  for (int round = 0; round < 5000; ++round) {
    const Stream stream = DecodeLoose(RandomBytes(&random), {});
    const std::string bytes = EncodeLoose(stream);
    ASSERT_EQ(DecodeLoose(bytes, {}), stream);
    ASSERT_EQ(EncodeLoose(DecodeLoose(bytes, {})), bytes);
  }
}

TEST(LooseForm, ReachesEveryOperation) {
  SeededRandom random(3);
  bool seen[kOpKinds] = {};
  for (int round = 0; round < 200; ++round) {
    for (const Op& op : DecodeLoose(RandomBytes(&random), {}).ops) seen[static_cast<size_t>(op.kind)] = true;
  }
  for (size_t kind = 0; kind < kOpKinds; ++kind) EXPECT_TRUE(seen[kind]) << RowOf(static_cast<OpKind>(kind)).name;
}

TEST(FileForm, RoundTrips) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const Stream stream = RandomStream(seed);
    const Decoded decoded = DecodeFile(EncodeFile(stream));
    ASSERT_EQ(decoded.error, "");
    ASSERT_EQ(decoded.stream, stream);
  }
}

TEST(FileForm, RoundTripsOverSeveralChunks) {
  const Stream stream = RandomStream(3, 60000);
  const std::string bytes = EncodeFile(stream);
  ASSERT_GT(bytes.size(), 150000u);
  const Decoded decoded = DecodeFile(bytes);
  EXPECT_EQ(decoded.error, "");
  EXPECT_EQ(decoded.stream, stream);
}

TEST(FileForm, EmptyStream) {
  const Stream stream;
  const Decoded decoded = DecodeFile(EncodeFile(stream));
  EXPECT_EQ(decoded.error, "");
  EXPECT_EQ(decoded.stream, stream);
}

TEST(FileForm, CutShortGivesAnErrorAndAPrefix) {
  const Stream stream = RandomStream(5, 40000);
  const std::string bytes = EncodeFile(stream);
  ASSERT_GT(bytes.size(), 100000u);
  size_t most = 0;
  for (size_t size = 0; size < bytes.size(); size += size < 200 || size + 1000 > bytes.size() ? 1 : 499) {
    const Decoded decoded = DecodeFile(std::string_view(bytes).substr(0, size));
    ASSERT_NE(decoded.error, "") << size;
    if (!decoded.readable) continue;
    ASSERT_TRUE(IsPrefix(decoded.stream, stream)) << size;
    most = std::max(most, decoded.stream.ops.size());
  }
  EXPECT_EQ(most, stream.ops.size());  // only the end mark was missing
}

TEST(FileForm, EveryChangedByteIsNoticed) {
  const Stream stream = RandomStream(6, 300);
  const std::string bytes = EncodeFile(stream);
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (const int flip : {1, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      const Decoded decoded = DecodeFile(damaged);
      ASSERT_NE(decoded.error, "") << at;
      if (decoded.readable) {
        ASSERT_TRUE(IsPrefix(decoded.stream, stream)) << at;
      }
    }
  }
}

TEST(FileForm, DamageInALaterChunkKeepsTheChunksBefore) {
  const Stream stream = RandomStream(7, 60000);
  std::string bytes = EncodeFile(stream);
  bytes[bytes.size() - 1000] ^= 4;
  const Decoded decoded = DecodeFile(bytes);
  EXPECT_TRUE(decoded.readable);
  EXPECT_NE(decoded.error.find("the sum does not agree"), std::string::npos) << decoded.error;
  EXPECT_GT(decoded.stream.ops.size(), 1000u);
  EXPECT_TRUE(IsPrefix(decoded.stream, stream));
}

TEST(FileForm, SaysWhatIsWrong) {
  const std::string sound = EncodeFile(RandomStream(8, 10));
  EXPECT_NE(DecodeFile("GIF89a").error.find("does not begin with HKOS"), std::string::npos);
  std::string later = sound;
  later[4] = 9;
  EXPECT_NE(DecodeFile(later).error.find("version 9"), std::string::npos) << DecodeFile(later).error;
  EXPECT_NE(DecodeFile(sound.substr(0, 6)).error.find("header is damaged"), std::string::npos);
  EXPECT_NE(DecodeFile(sound + "x").error.find("follow the end mark"), std::string::npos);
}

TEST(FileForm, RandomBytesBehindAHeaderAreRefused) {
  SeededRandom random(9);
  const std::string header = EncodeFile(Stream{}).substr(0, 4 + 1 + 1 + 1 + 3 + 5 + 4);
  ASSERT_TRUE(DecodeFile(header).readable);
  for (int round = 0; round < 2000; ++round) {
    const Decoded decoded = DecodeFile(header + RandomBytes(&random));
    ASSERT_NE(decoded.error, "");
    ASSERT_EQ(FindError(decoded.stream), "");
  }
}

}  // namespace
}  // namespace hakmem::op_stream
