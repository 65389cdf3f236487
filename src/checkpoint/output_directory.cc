#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
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
  bool overwrite = false;
  bool remove = false;  // the partial directory, when it is ours and was not committed

  ~Impl();
};

OutputDirectory::OutputDirectory(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OutputDirectory::OutputDirectory(OutputDirectory&&) noexcept = default;
OutputDirectory::~OutputDirectory() = default;

namespace {

// Marks a partial directory as one of ours. It outlives the rename by a moment, so that a run
// killed at any time leaves a directory that the next run knows.
constexpr const char* kMarker = ".awq-partial";

// Without a temporary name: a kill must leave the marker or nothing.
Status mark(const std::string& directory) {
  const std::string path = path_join(directory, kMarker);
  const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return runtime_error(cat(printable(path), ": ", std::strerror(errno)));
  ::close(fd);
  return {};
}

// Removes all but the marker: what a kill leaves of the rest is known as ours.
std::error_code remove_contents(const std::string& directory) {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(directory, code)) {
    if (entry.path().filename() != kMarker) fs::remove_all(entry.path(), code);
    if (code) break;
  }
  return code;
}

void remove_marked(const std::string& directory) {
  std::error_code ignored = remove_contents(directory);
  fs::remove_all(directory, ignored);
}

// The first entry of a directory that `quantize` would not have written; empty when it wrote all.
std::string foreign_entry(const std::string& directory) {
  static constexpr std::string_view kOurs[] = {
      "config.json", "generation_config.json", "quantization_report.json", "tokenizer.json",
      "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.model",
      "chat_template.jinja", "chat_template.json", "LICENSE", "model.safetensors.index.json"};
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(directory, code)) {
    const std::string name = entry.path().filename();
    const bool weights = name.rfind("model", 0) == 0 && entry.path().extension() == ".safetensors";
    const bool known = weights || name == kMarker || name == OutputDirectory::kJournal ||
                       name == OutputDirectory::kJournalTokens ||
                       std::find(std::begin(kOurs), std::end(kOurs), name) != std::end(kOurs);
    if (!known || !entry.is_regular_file(code) || entry.is_symlink(code)) return name;
  }
  return code ? "?" : "";
}

std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// Whether `inner` is `outer` or lies inside it, links resolved.
bool lies_in(const std::string& inner, const std::string& outer) {
  std::error_code code;
  const fs::path whole = fs::canonical(outer, code);
  if (code) return false;
  fs::path part = fs::canonical(inner, code);
  if (code) return false;
  for (;; part = part.parent_path()) {
    if (part == whole) return true;
    if (part == part.parent_path()) return false;
  }
}

// The inputs, and what lies in those that are directories: weights may be links to elsewhere.
std::vector<std::string> input_files(const std::vector<std::string>& inputs) {
  std::vector<std::string> files = inputs;
  std::error_code ignored;
  for (const std::string& input : inputs) {
    for (const auto& entry : fs::directory_iterator(input, ignored)) files.push_back(entry.path());
  }
  return files;
}

Status check_target(const std::string& target, bool overwrite,
                    const std::vector<std::string>& inputs) {
  const std::string name = printable(target);
  struct stat info;
  if (::lstat(target.c_str(), &info) != 0) return {};
  for (const std::string& input : input_files(inputs)) {
    if (!lies_in(input, target)) continue;
    return usage_error(cat(name, ": is or contains the input ", printable(input),
                           ", which is never replaced; choose another output"));
  }
  if (!S_ISDIR(info.st_mode)) {
    return usage_error(cat(name, ": exists and is not a directory; choose another output"));
  }
  if (!overwrite) {
    return usage_error(cat(name, ": exists; choose another output or give --overwrite"));
  }
  std::error_code code;
  const bool empty = fs::is_empty(fs::path(target), code);
  if (!code && empty) return {};
  if (code || !file_exists(path_join(target, "quantization_report.json"))) {
    return usage_error(cat(name, ": not written by awq (no quantization_report.json); --overwrite "
                           "replaces only what awq wrote"));
  }
  if (const std::string foreign = foreign_entry(target); !foreign.empty()) {
    return usage_error(cat(name, ": holds ", printable(foreign), ", which awq did not write; "
                           "--overwrite would delete it"));
  }
  return {};
}

// Locks the partial directory itself, so that the lock moves with the rename and leaves no file
// behind. -1: another process has it, or removed it meanwhile.
int lock_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return -1;
  struct stat locked, there;
  const bool ours = ::flock(fd, LOCK_EX | LOCK_NB) == 0 && ::fstat(fd, &locked) == 0 &&
                    ::lstat(path.c_str(), &there) == 0 && locked.st_ino == there.st_ino &&
                    locked.st_dev == there.st_dev;
  if (ours) return fd;
  ::close(fd);
  return -1;
}

// Empties a directory that a killed run left behind.
Status clear_partial(const std::string& partial) {
  std::error_code code;
  if (!fs::is_empty(partial, code) && !file_exists(path_join(partial, kMarker))) {
    return usage_error(cat(printable(partial),
                           ": exists and was not made by awq; remove it or "
                           "choose another output"));
  }
  code = remove_contents(partial);
  if (code) return runtime_error(cat(printable(partial), ": cannot be emptied: ", code.message()));
  return mark(partial);
}

// Where the file system cannot exchange two names: the old model is moved aside first.
int replace_in_steps(const std::string& partial, const std::string& target) {
  const std::string aside = target + ".replaced";
  if (::rename(target.c_str(), aside.c_str()) != 0) return errno;
  if (::rename(partial.c_str(), target.c_str()) != 0) {
    const int code = errno;
    static_cast<void>(::rename(aside.c_str(), target.c_str()));
    return code;
  }
  static_cast<void>(::rename(aside.c_str(), partial.c_str()));  // where the caller removes it
  return 0;
}

// 0 or errno. A target that is replaced is called `partial` afterwards.
int put_in_place(const std::string& partial, const std::string& target, bool replace) {
  const unsigned flags = replace ? RENAME_EXCHANGE : RENAME_NOREPLACE;
  if (::syscall(SYS_renameat2, AT_FDCWD, partial.c_str(), AT_FDCWD, target.c_str(), flags) == 0) {
    return 0;
  }
  if (errno != EINVAL && errno != ENOSYS) return errno;
  if (replace) return replace_in_steps(partial, target);
  return ::rename(partial.c_str(), target.c_str()) == 0 ? 0 : errno;
}

}  // namespace

OutputDirectory::Impl::~Impl() {
  if (remove) remove_marked(partial);
  if (lock >= 0) ::close(lock);
}

Result<OutputDirectory> OutputDirectory::create(const std::string& target, bool overwrite,
                                                const std::vector<std::string>& inputs,
                                                bool resume) {
  auto impl = std::make_unique<Impl>();
  impl->target = without_slashes(target);
  impl->overwrite = overwrite;
  impl->partial = impl->target + ".partial";
  const std::string name = printable(impl->target);
  if (target.empty()) return usage_error("the output needs a name");
  AWQ_TRY(check_target(impl->target, overwrite, inputs));
  if (::mkdir(impl->partial.c_str(), 0755) != 0 && errno != EEXIST) {
    return usage_error(
        cat(name, ": cannot create ", printable(impl->partial), ": ", std::strerror(errno)));
  }
  impl->lock = lock_directory(impl->partial);
  if (impl->lock < 0) {
    return usage_error(cat(name, ": ", printable(impl->partial),
                           " is locked by another process "
                           "that writes it, or is not a directory"));
  }
  const bool left = file_exists(path_join(impl->partial, kMarker)) &&
                    file_exists(path_join(impl->partial, kJournal));
  if (!(resume && left)) AWQ_TRY(clear_partial(impl->partial));
  impl->remove = true;
  return OutputDirectory(std::move(impl));
}

std::string OutputDirectory::file(std::string_view name) const {
  return name.empty() ? impl_->partial : path_join(impl_->partial, name);
}

void OutputDirectory::keep() { impl_->remove = false; }

Status OutputDirectory::commit() {
  AWQ_TRY(sync_directory(impl_->partial));
  const bool replace = impl_->overwrite && directory_exists(impl_->target);
  if (replace) AWQ_TRY(mark(impl_->target));  // it will be the partial one
  if (const int code = put_in_place(impl_->partial, impl_->target, replace); code != 0) {
    return runtime_error(cat(printable(impl_->target),
                             ": cannot put the finished model in place: ", std::strerror(code)));
  }
  impl_->remove = false;
  std::error_code ignored;
  if (replace) remove_marked(impl_->partial);
  for (const char* name : {kJournal, kJournalTokens, kMarker}) {
    fs::remove(path_join(impl_->target, name), ignored);
  }
  const size_t slash = impl_->target.rfind('/');
  return sync_directory(slash == std::string::npos ? "."
                        : slash == 0               ? "/"
                                                   : impl_->target.substr(0, slash));
}

}  // namespace awq
