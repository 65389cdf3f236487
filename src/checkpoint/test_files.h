// Checkpoint files made in memory, whole or broken on purpose, and what tests expect of errors.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"

// Limits on time and memory are those of an optimised build without sanitizers.
#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
#define AWQ_SLOW_BUILD true
#else
#define AWQ_SLOW_BUILD false
#endif

namespace awq {

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

/// The little-endian bytes of a number.
template <class T>
std::string le(T value) {
  std::string bytes(sizeof value, '\0');
  store_le(bytes.data(), value);
  return bytes;
}

/// Header length, header, data.
inline std::string safetensors_file(std::string_view header, std::string_view data = {}) {
  return le<uint64_t>(header.size()) + std::string(header) + std::string(data);
}

/// A GGUF file from its parts. Every part is as given: tests break what they like.
struct GgufBuilder {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> tensor_count, value_count;  // default: as many as were added
  std::string values, tensors, data;
  uint64_t values_added = 0, tensors_added = 0;
  size_t alignment = 32;
  bool pad = true;  // the header, up to the data

  static std::string text(std::string_view s) { return le<uint64_t>(s.size()) + std::string(s); }

  /// `payload` is the encoded value.
  GgufBuilder& value(std::string_view key, uint32_t type, std::string_view payload) {
    values += text(key) + le<uint32_t>(type) + std::string(payload);
    ++values_added;
    return *this;
  }
  GgufBuilder& u32(std::string_view key, uint32_t number) { return value(key, 4, le(number)); }
  GgufBuilder& f32(std::string_view key, float number) { return value(key, 6, le(number)); }
  GgufBuilder& string(std::string_view key, std::string_view s) { return value(key, 8, text(s)); }
  GgufBuilder& array(std::string_view key, uint32_t type, uint64_t count,
                     std::string_view payload) {
    return value(key, 9, le<uint32_t>(type) + le<uint64_t>(count) + std::string(payload));
  }

  /// Only the record. `dims`: innermost first.
  GgufBuilder& record(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                      uint64_t offset) {
    tensors += text(name) + le<uint32_t>(static_cast<uint32_t>(dims.size()));
    for (const uint64_t dim : dims) tensors += le(dim);
    tensors += le(type) + le(offset);
    ++tensors_added;
    return *this;
  }
  /// The record and its bytes, after the padding of the ones before.
  GgufBuilder& tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                      std::string_view bytes) {
    data.resize((data.size() + alignment - 1) / alignment * alignment);
    record(name, dims, type, data.size());
    data += bytes;
    return *this;
  }

  std::string build() const {
    std::string file = magic + le(version) + le(tensor_count.value_or(tensors_added)) +
                       le(value_count.value_or(values_added)) + values + tensors;
    if (pad) file.resize((file.size() + alignment - 1) / alignment * alignment);
    return file + data;
  }
};

/// A fresh directory, removed at the end.
class TempDirectory {
 public:
  TempDirectory() {
    static std::atomic<int> count = 0;
    path_ = path_join(::testing::TempDir(),
                      cat("awq-test-", static_cast<int64_t>(::getpid()), "-", count.fetch_add(1)));
    std::filesystem::create_directories(path_);
  }
  ~TempDirectory() { std::filesystem::remove_all(path_); }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_join(path_, name); }

  /// Writes a file and gives its path.
  std::string write(std::string_view name, std::string_view bytes) const {
    std::ofstream(file(name), std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return file(name);
  }

 private:
  std::string path_;
};

/// The error of a Result says all of `parts`, and is of `kind`.
template <class T>
void expect_error(const Result<T>& result, const std::vector<std::string>& parts,
                  ErrorKind kind = ErrorKind::bad_input) {
  ASSERT_FALSE(result.ok()) << "expected an error that says " << parts.front();
  EXPECT_EQ(result.error().kind, kind) << result.error().message;
  for (const std::string& part : parts) {
    EXPECT_NE(result.error().message.find(part), std::string::npos)
        << "\"" << part << "\" is not in: " << result.error().message;
  }
}

}  // namespace awq
