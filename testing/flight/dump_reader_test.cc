#include "testing/flight/dump_reader.h"

#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hakmem::flight {
namespace {

using ring::Record;

template <class T>
void Append(const T& object, std::string* bytes) {
  bytes->append(reinterpret_cast<const char*>(&object), sizeof(T));
}

Record MakeRecord(uint64_t time_ns, ring::Event event = ring::Event::kMalloc) {
  Record record = {};
  record.sequence = 1;
  record.time_ns = time_ns;
  record.event = static_cast<uint8_t>(event);
  return record;
}

ring::DumpHeader GoodHeader() {
  ring::DumpHeader header = {};
  memcpy(header.magic, ring::kDumpMagic, sizeof(header.magic));
  header.byte_order = ring::kByteOrder;
  header.version = ring::kDumpVersion;
  header.header_size = sizeof(header);
  header.record_size = sizeof(Record);
  return header;
}

void AppendRing(const std::vector<Record>& records, std::string* bytes) {
  Append(ring::DumpSection{ring::SectionKind::kRing, 0, sizeof(ring::RingSection) + records.size() * sizeof(Record)},
         bytes);
  Append(ring::RingSection{records.size(), 8, 1}, bytes);
  for (const Record& record : records) Append(record, bytes);
}

void AppendEnd(uint64_t records, std::string* bytes) {
  std::vector<uint64_t> words(bytes->size() / 8);
  memcpy(words.data(), bytes->data(), bytes->size());
  const uint64_t sum = ring::Checksum(ring::kChecksumStart, words.data(), bytes->size());
  Append(ring::DumpSection{ring::SectionKind::kEnd, 0, sizeof(ring::DumpEnd)}, bytes);
  Append(ring::DumpEnd{records, 5, 6, sum}, bytes);
}

std::string GoodDump() {
  std::string bytes;
  Append(GoodHeader(), &bytes);
  AppendRing({MakeRecord(30), MakeRecord(50)}, &bytes);
  AppendRing({MakeRecord(40)}, &bytes);
  const std::string maps = "1000-3000 r-xp 00002000 08:01 99   /usr/bin/a program\n";
  Append(ring::DumpSection{ring::SectionKind::kModules, 0, maps.size()}, &bytes);
  bytes += maps + std::string((8 - maps.size() % 8) % 8, '\0');
  AppendEnd(3, &bytes);
  return bytes;
}

TEST(DumpReaderTest, ReadsAllRingsInOneTimeLine) {
  DumpFile dump;
  ASSERT_EQ(ReadDump(GoodDump(), &dump), "");
  ASSERT_EQ(dump.records.size(), 3u);
  EXPECT_EQ(dump.records[0].time_ns, 30u);
  EXPECT_EQ(dump.records[1].time_ns, 40u);
  EXPECT_EQ(dump.records[2].time_ns, 50u);
  EXPECT_EQ(dump.overwritten, 5u);
  EXPECT_EQ(dump.lost, 6u);
  ASSERT_EQ(dump.modules.size(), 1u);
  EXPECT_EQ(dump.modules[0].start, 0x1000u);
  EXPECT_EQ(dump.modules[0].offset, 0x2000u);
  EXPECT_EQ(dump.modules[0].path, "/usr/bin/a program");
}

TEST(DumpReaderTest, EveryCutIsNoticed) {
  const std::string good = GoodDump();
  for (size_t length = 0; length < good.size(); ++length) {
    DumpFile dump;
    EXPECT_NE(ReadDump(good.substr(0, length), &dump), "") << length;
  }
  DumpFile dump;
  EXPECT_EQ(ReadDump(good + "x", &dump), "damaged: 1 bytes behind its end");
}

TEST(DumpReaderTest, EveryChangedByteIsNoticed) {
  const std::string good = GoodDump();
  // The reserved word of a section is the only place without a meaning; those before the end are in the checksum.
  const size_t end = good.size() - sizeof(ring::DumpEnd) - sizeof(ring::DumpSection);
  for (size_t i = 0; i < good.size(); ++i) {
    if (i >= end + 4 && i < end + 8) continue;
    if (i >= end + sizeof(ring::DumpSection) + 8 && i < good.size() - 8) continue;  // counts that are only printed
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x41);
    DumpFile dump;
    EXPECT_NE(ReadDump(bad, &dump), "") << i;
  }
}

TEST(DumpReaderTest, SaysWhatIsWrong) {
  DumpFile dump;
  EXPECT_EQ(ReadDump("", &dump), "empty");
  EXPECT_EQ(ReadDump("root:x:0:0:root:/root:/bin/bash\nand so on, for more than a header", &dump),
            "not a dump of hakmem's debug ring");
  const std::string good = GoodDump();
  EXPECT_EQ(ReadDump(good.substr(0, 20), &dump), "damaged: it ends within its header");

  std::string bytes = good;
  std::swap(bytes[8], bytes[11]);
  std::swap(bytes[9], bytes[10]);
  EXPECT_EQ(ReadDump(bytes, &dump), "written by a machine of another byte order");
  bytes = good;
  bytes[12] = 9;
  EXPECT_EQ(ReadDump(bytes, &dump), "has format version 9; this tool reads version 1");
  bytes = good;
  bytes[60] = 1;
  EXPECT_NE(ReadDump(bytes, &dump).find("in the middle of a section"), std::string::npos);
}

TEST(DumpReaderTest, KeepsWhatStandsBeforeTheDamage) {
  const std::string good = GoodDump();
  DumpFile dump;
  EXPECT_NE(ReadDump(good.substr(0, good.size() - 100), &dump), "");
  EXPECT_EQ(dump.records.size(), 3u);
}

TEST(DumpReaderTest, AnUnknownEventOrSectionIsDamage) {
  std::string bytes;
  Append(GoodHeader(), &bytes);
  AppendRing({MakeRecord(1, static_cast<ring::Event>(200))}, &bytes);
  AppendEnd(1, &bytes);
  DumpFile dump;
  EXPECT_EQ(ReadDump(bytes, &dump),
            absl::StrCat("damaged: no event of this kind (200) at byte ",
                         sizeof(ring::DumpHeader) + sizeof(ring::DumpSection) + sizeof(ring::RingSection)));
  bytes.clear();
  Append(GoodHeader(), &bytes);
  Append(ring::DumpSection{static_cast<ring::SectionKind>(77), 0, 0}, &bytes);
  AppendEnd(0, &bytes);
  EXPECT_EQ(ReadDump(bytes, &dump), "damaged: no section of this kind (77) at byte 48");
}

TEST(DumpReaderTest, TellsWhyAFileCannotBeRead) {
  DumpFile dump;
  EXPECT_EQ(ReadDumpFile("/nowhere/at/all", &dump), "No such file or directory");
  EXPECT_EQ(ReadDumpFile("/", &dump), "Is a directory");
}

}  // namespace
}  // namespace hakmem::flight
