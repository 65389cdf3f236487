#include "checkpoint/in_place_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"

namespace awq {

Result<InPlaceFile> InPlaceFile::open(const std::string& path, bool keep) {
  const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (keep ? 0 : O_TRUNC);
  const int fd = ::open(path.c_str(), flags, 0644);
  if (fd < 0) return write_error(path, errno);
  return InPlaceFile(path, fd);
}

InPlaceFile::~InPlaceFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status InPlaceFile::reserve(uint64_t size) {
  int code = 0;
  do {
    code = size == 0 ? 0 : ::posix_fallocate(fd_, 0, static_cast<off_t>(size));
  } while (code == EINTR);
  if (code != 0 && code != EOPNOTSUPP && code != EINVAL) return write_error(path_, code);
  if (code != 0 && ::ftruncate(fd_, static_cast<off_t>(size)) != 0) return write_error(path_, errno);
  return {};
}

Result<uint64_t> InPlaceFile::size() const {
  struct stat status = {};
  if (::fstat(fd_, &status) != 0) return write_error(path_, errno);
  return static_cast<uint64_t>(status.st_size);
}

Status InPlaceFile::write_at(uint64_t offset, const void* data, size_t size) {
  const char* bytes = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t done = ::pwrite(fd_, bytes, size, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return write_error(path_, done < 0 ? errno : EIO);
    bytes += done;
    offset += static_cast<uint64_t>(done);
    size -= static_cast<size_t>(done);
  }
  return {};
}

Status InPlaceFile::read_at(uint64_t offset, void* data, size_t size) const {
  char* bytes = static_cast<char*>(data);
  while (size > 0) {
    const ssize_t done = ::pread(fd_, bytes, size, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) {
      return bad_input(cat(printable(path_), ": ends before offset ", offset + size,
                           "; remove it and begin again"));
    }
    bytes += done;
    offset += static_cast<uint64_t>(done);
    size -= static_cast<size_t>(done);
  }
  return {};
}

Status InPlaceFile::sync() {
  if (::fsync(fd_) != 0 && errno != EINVAL) return write_error(path_, errno);
  return {};
}

}  // namespace awq
