#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "checkpoint/writer.h"

namespace awq {
namespace fs = std::filesystem;

struct OutputDirectory::Impl {
  std::string target, partial;
  int lock = -1;
  bool overwrite = false, committed = false;
};

OutputDirectory::OutputDirectory(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OutputDirectory::OutputDirectory(OutputDirectory&&) noexcept = default;

OutputDirectory::~OutputDirectory() {
  if (impl_ == nullptr) return;
  std::error_code ignored;
  if (!impl_->committed) fs::remove_all(impl_->partial, ignored);
  if (impl_->lock >= 0) ::close(impl_->lock);
}

static std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

Result<OutputDirectory> OutputDirectory::create(const std::string& target, bool overwrite) {
  auto impl = std::make_unique<Impl>();
  impl->target = without_slashes(target);
  impl->overwrite = overwrite;
  impl->partial = impl->target + ".partial";
  const std::string name = printable(impl->target);
  struct stat info;
  if (::lstat(impl->target.c_str(), &info) == 0) {
    if (!S_ISDIR(info.st_mode)) {
      return usage_error(cat(name, ": exists and is not a directory; choose another output"));
    }
    if (!overwrite) {
      return usage_error(cat(name, ": exists; choose another output or give --overwrite"));
    }
    if (!file_exists(path_join(impl->target, "config.json")) &&
        !fs::is_empty(fs::path(impl->target))) {
      return usage_error(cat(name, ": not a model directory (no config.json); --overwrite replaces "
                             "models only"));
    }
  }
  if (::mkdir(impl->partial.c_str(), 0755) != 0 && errno != EEXIST) {
    return usage_error(cat(name, ": cannot create ", printable(impl->partial), ": ",
                           std::strerror(errno)));
  }
  // The lock is on the directory itself, so it moves with the rename and leaves no file behind.
  impl->lock = ::open(impl->partial.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (impl->lock < 0 || ::flock(impl->lock, LOCK_EX | LOCK_NB) != 0) {
    impl->committed = true;  // not ours to remove
    return usage_error(cat(name, ": another process is writing it (", printable(impl->partial),
                           " is locked)"));
  }
  // What a killed run left behind.
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(impl->partial, code)) {
    fs::remove_all(entry.path(), code);
  }
  return OutputDirectory(std::move(impl));
}

std::string OutputDirectory::file(std::string_view name) const {
  return name.empty() ? impl_->partial : path_join(impl_->partial, name);
}

Status OutputDirectory::commit() {
  AWQ_TRY(sync_directory(impl_->partial));
  const std::string name = printable(impl_->target);
  const bool replace = impl_->overwrite && directory_exists(impl_->target);
  const unsigned flags = replace ? RENAME_EXCHANGE : RENAME_NOREPLACE;
  if (::syscall(SYS_renameat2, AT_FDCWD, impl_->partial.c_str(), AT_FDCWD, impl_->target.c_str(),
                flags) != 0) {
    // File systems without these flags: an empty or absent target can be renamed over.
    if ((errno != EINVAL && errno != ENOSYS) || replace ||
        ::rename(impl_->partial.c_str(), impl_->target.c_str()) != 0) {
      return runtime_error(cat(name, ": cannot put the finished model in place: ",
                               std::strerror(errno)));
    }
  }
  if (replace) {  // what is called partial now is the old model
    std::error_code ignored;
    fs::remove_all(impl_->partial, ignored);
  }
  impl_->committed = true;
  const size_t slash = impl_->target.rfind('/');
  return sync_directory(slash == std::string::npos ? "."
                        : slash == 0               ? "/"
                                                   : impl_->target.substr(0, slash));
}

}  // namespace awq
