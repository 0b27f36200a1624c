// Text into a fixed buffer, without allocation, locale or errno: for messages of an allocator that may be broken.
#ifndef HAKMEM_PLATFORM_FORMAT_H_
#define HAKMEM_PLATFORM_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hakmem {

struct Hex {
  uint64_t value;
};
inline Hex AsHex(const void* p) { return {reinterpret_cast<uintptr_t>(p)}; }

// At most `most` characters of a string that the user gave.
struct Clip {
  const char* text;
  size_t most;
};

class Format {
 public:
  // `size` includes the closing zero; what does not fit is cut.
  Format(char* buffer, size_t size) : buffer_(buffer), room_(size - 1) { buffer_[0] = 0; }

  Format& Append(const char* text, size_t length) {
    if (length > room_ - length_) length = room_ - length_;
    memcpy(buffer_ + length_, text, length);
    length_ += length;
    buffer_[length_] = 0;
    return *this;
  }
  Format& operator<<(const char* text) { return Append(text, strlen(text)); }
  Format& operator<<(Clip clip) { return Append(clip.text, strnlen(clip.text, clip.most)); }
  Format& operator<<(Hex hex) {
    char digits[18];
    size_t at = sizeof(digits);
    uint64_t v = hex.value;
    do {
      digits[--at] = "0123456789abcdef"[v & 15];
      v >>= 4;
    } while (v != 0);
    digits[--at] = 'x';
    digits[--at] = '0';
    return Append(digits + at, sizeof(digits) - at);
  }
  Format& operator<<(uint64_t v) {
    char digits[20];
    size_t at = sizeof(digits);
    do {
      digits[--at] = static_cast<char>('0' + v % 10);
      v /= 10;
    } while (v != 0);
    return Append(digits + at, sizeof(digits) - at);
  }
  Format& operator<<(uint32_t v) { return *this << static_cast<uint64_t>(v); }
  Format& operator<<(int v) {
    if (v < 0) Append("-", 1);
    return *this << static_cast<uint64_t>(v < 0 ? -static_cast<int64_t>(v) : v);
  }

  const char* text() const { return buffer_; }
  size_t length() const { return length_; }

 private:
  char* buffer_;
  size_t room_;
  size_t length_ = 0;
};

}  // namespace hakmem

#endif  // HAKMEM_PLATFORM_FORMAT_H_
