// Files: bounded reads, read-only maps, and outputs that appear whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace awq {

bool file_exists(const std::string& path);
bool directory_exists(const std::string& path);

/// Joins with one '/'.
std::string path_join(std::string_view directory, std::string_view name);

/// The whole regular file, refused above `limit` bytes. FIFOs, devices and directories are errors.
Result<std::string> read_file(const std::string& path, size_t limit = size_t{1} << 30);

struct GuardedRange;

/// A read-only map of a regular file. Movable; unmapped on destruction. A read beyond the end of a
/// file that was cut short meanwhile gives zeros, never a fault: check_unchanged() after reading
/// tells.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::string& path);
  /// The same view of bytes in memory, which are copied; `name` stands for the path.
  static MappedFile copy_of(std::span<const std::byte> bytes, const std::string& name);
  /// The same of `size` bytes that `fill` writes.
  static MappedFile made_by(const std::function<void(std::span<std::byte>)>& fill, size_t size,
                            const std::string& name);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  /// Error when the file changed size or time since it was opened, or a read of it failed.
  Status check_unchanged() const;

  /// Lets the kernel drop the pages of [offset, offset + length): they are read again on demand.
  void release(size_t offset, size_t length) const;

 private:
  MappedFile() = default;
  Status map(int fd);
  const std::byte* data_ = nullptr;
  GuardedRange* guard_ = nullptr;
  size_t size_ = 0;
  int64_t mtime_ns_ = 0;
  int fd_ = -1;
  std::string path_;
};

/// What a failed write to `path` ends in; `code` as of errno. A full disk says how to go on.
Error write_error(const std::string& path, int code);

/// A file under a temporary name in the directory of `path`. `commit` syncs and renames; without
/// it the destructor removes the temporary. Write errors (full disk) are reported, never lost.
class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::string& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  Status write(const void* data, size_t size);
  Status commit();

 private:
  AtomicFile() = default;
  int fd_ = -1;
  std::string path_, temporary_;
};

/// Writes `text` to `path` through an AtomicFile.
Status write_file(const std::string& path, std::string_view text);

/// Flushes a directory entry (after a rename inside it).
Status sync_directory(const std::string& path);

}  // namespace awq
