// A file that is written where it will stay, inside a directory that is not there yet for anyone
// else: what a killed run wrote can be read again and continued.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/result.h"

namespace awq {

class InPlaceFile {
 public:
  /// `keep`: what is there stays; else the file begins empty. Errors (full disk) name the path.
  static Result<InPlaceFile> open(const std::string& path, bool keep);
  InPlaceFile(InPlaceFile&& other) noexcept
      : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  InPlaceFile& operator=(InPlaceFile&&) = delete;
  ~InPlaceFile();

  Result<uint64_t> size() const;
  /// Makes it `size` bytes long, reserved on disk where the file system can; what is there stays.
  Status reserve(uint64_t size);
  Status write_at(uint64_t offset, const void* data, size_t size);
  /// Bad input when the file ends before.
  Status read_at(uint64_t offset, void* data, size_t size) const;
  /// Until it is on disk.
  Status sync();

 private:
  InPlaceFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_ = -1;
};

}  // namespace awq
