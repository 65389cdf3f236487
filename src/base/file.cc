#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/map_guard.h"

namespace awq {
namespace {

std::string reason(int code) { return std::strerror(code); }

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

int64_t mtime_of(const struct stat& info) {
  return int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

// Opens a regular file for reading. O_NONBLOCK keeps a FIFO from blocking the open.
Result<int> open_regular(const std::string& path, struct stat& info) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return bad_input(cat(printable(path), ": cannot open: ", reason(errno)));
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return bad_input(cat(printable(path), ": not a regular file"));
  }
  return fd;
}

}  // namespace

bool file_exists(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool directory_exists(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

std::string path_join(std::string_view directory, std::string_view name) {
  const bool slash = directory.empty() || directory.back() == '/';
  return cat(directory, slash ? "" : "/", name);
}

Result<std::string> read_file(const std::string& path, size_t limit) {
  struct stat info;
  AWQ_ASSIGN(const int fd, open_regular(path, info));
  std::string text;
  Status status;
  if (static_cast<uint64_t>(info.st_size) > limit) {
    status = bad_input(cat(printable(path), ": ", info.st_size, " bytes, the limit is ", limit));
  } else {
    text.resize(static_cast<size_t>(info.st_size));
    size_t done = 0;
    while (done < text.size()) {
      const ssize_t got = ::read(fd, text.data() + done, text.size() - done);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) status = bad_input(cat(printable(path), ": cannot read: ", reason(errno)));
      if (got <= 0) break;
      done += static_cast<size_t>(got);
    }
    text.resize(done);
  }
  ::close(fd);
  if (!status.ok()) return status.error();
  return text;
}

Result<MappedFile> MappedFile::open(const std::string& path) {
  struct stat info;
  AWQ_ASSIGN(const int fd, open_regular(path, info));
  MappedFile file;
  file.fd_ = fd;
  file.path_ = path;
  file.size_ = static_cast<size_t>(info.st_size);
  file.mtime_ns_ = mtime_of(info);
  AWQ_TRY(file.map(fd));
  return file;
}

MappedFile MappedFile::copy_of(std::span<const std::byte> bytes, const std::string& name) {
  return made_by([&](std::span<std::byte> to) { std::memcpy(to.data(), bytes.data(), to.size()); },
                 bytes.size(), name);
}

MappedFile MappedFile::made_by(const std::function<void(std::span<std::byte>)>& fill, size_t size,
                               const std::string& name) {
  MappedFile file;
  file.path_ = name;
  file.size_ = size;
  const Status mapped = file.map(-1);
  AWQ_CHECK(mapped.ok(), name, ": ", size, " bytes");
  if (size > 0) {
    auto* data = const_cast<std::byte*>(file.data_);
    fill({data, size});
    ::mprotect(data, size, PROT_READ);
  }
  return file;
}

// Of `fd`, or of fresh memory without one.
Status MappedFile::map(int fd) {
  if (size_ == 0) return {};
  const bool memory = fd < 0;
  void* data = ::mmap(nullptr, size_, memory ? PROT_READ | PROT_WRITE : PROT_READ,
                      memory ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) {
    return resource_error(cat(printable(path_), ": cannot map ", size_, " bytes: ", reason(errno)));
  }
  data_ = static_cast<const std::byte*>(data);
  if (!memory) guard_ = guard_map(data_, size_);
  return {};
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(guard_, other.guard_);
  std::swap(size_, other.size_);
  std::swap(mtime_ns_, other.mtime_ns_);
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

MappedFile::~MappedFile() {
  unguard_map(guard_);
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  if (fd_ >= 0) ::close(fd_);
}

Status MappedFile::check_unchanged() const {
  if (fd_ < 0) return {};
  struct stat info;
  if (::fstat(fd_, &info) != 0) {
    return bad_input(cat(printable(path_), ": cannot look at it again: ", reason(errno)));
  }
  if (static_cast<size_t>(info.st_size) != size_) {
    return bad_input(cat(printable(path_), ": had ", size_, " bytes when it was opened, has ",
                         info.st_size, " now; run again when nothing writes to it"));
  }
  if (mtime_of(info) != mtime_ns_) {
    return bad_input(cat(printable(path_),
                         ": was written to while it was being read; run again "
                         "when nothing writes to it"));
  }
  if (map_faulted(guard_)) {
    return bad_input(cat(printable(path_), ": a part of it cannot be read; check the disk"));
  }
  return {};
}

void MappedFile::release(size_t offset, size_t length) const {
  if (fd_ < 0) return;  // memory has no file to be read from again
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = (offset + page - 1) / page * page;
  const size_t end = (offset + length) / page * page;
  if (end > begin && end <= size_) {
    ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
  }
}

Error write_error(const std::string& path, int code) {
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  return {full ? ErrorKind::resources : ErrorKind::runtime,
          cat(printable(path), ": cannot write: ", reason(code),
              full ? "; free some space or choose another output directory" : "")};
}

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  AtomicFile file;
  file.path_ = path;
  file.temporary_ = cat(path, ".", static_cast<int64_t>(::getpid()), ".tmp");
  file.fd_ =
      ::open(file.temporary_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (file.fd_ < 0) return write_error(path, errno);
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  std::swap(temporary_, other.temporary_);
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

Status AtomicFile::write(const void* data, size_t size) {
  const char* bytes = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t done = ::write(fd_, bytes, size);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return write_error(path_, done < 0 ? errno : EIO);
    bytes += done;
    size -= static_cast<size_t>(done);
  }
  return {};
}

Status AtomicFile::commit() {
  AWQ_CHECK(fd_ >= 0, path_);
  const int fd = std::exchange(fd_, -1);
  int code = ::fsync(fd) == 0 ? 0 : errno;
  if (::close(fd) != 0 && code == 0) code = errno;
  if (code == 0 && ::rename(temporary_.c_str(), path_.c_str()) != 0) code = errno;
  if (code != 0) {
    ::unlink(temporary_.c_str());
    return write_error(path_, code);
  }
  return sync_directory(parent_of(path_));
}

Status write_file(const std::string& path, std::string_view text) {
  AWQ_ASSIGN(AtomicFile file, AtomicFile::create(path));
  AWQ_TRY(file.write(text.data(), text.size()));
  return file.commit();
}

Status sync_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return write_error(path, errno);
  const int code = ::fsync(fd) == 0 || errno == EINVAL ? 0 : errno;
  ::close(fd);
  if (code != 0) return write_error(path, code);
  return {};
}

}  // namespace awq
