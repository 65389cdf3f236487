#include "base/progress.h"

#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "base/format.h"

namespace awq {
namespace {

bool quiet_ = false;

bool stderr_is_terminal() {
  const char* term = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && term != nullptr && std::strcmp(term, "dumb") != 0;
}

size_t terminal_width() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 10) return size.ws_col;
  return 80;
}

// At most `columns` characters of `text`, none of them cut (ours are one column wide each).
std::string_view fit(std::string_view text, size_t columns) {
  size_t bytes = 0;
  for (; bytes < text.size(); ++bytes) {
    const bool starts = (static_cast<unsigned char>(text[bytes]) & 0xC0) != 0x80;
    if (starts && columns-- == 0) break;
  }
  return text.substr(0, bytes);
}

std::string bar(int64_t done, int64_t total) {
  constexpr int64_t kCells = 20;
  const int64_t full = std::clamp<int64_t>(done * kCells / total, 0, kCells);
  return cat("[", std::string(static_cast<size_t>(full), '#'),
             std::string(static_cast<size_t>(kCells - full), '.'), "]");
}

}  // namespace

uint64_t peak_rss_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

uint64_t current_rss_bytes() {
  unsigned long pages = 0, resident = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%lu %lu", &pages, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return static_cast<uint64_t>(resident) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

void set_quiet(bool quiet) { quiet_ = quiet; }

void say(std::string_view line) {
  if (quiet_) return;
  const std::string text = cat(line, "\n");
  std::fwrite(text.data(), 1, text.size(), stderr);
}

Progress::Progress(std::string label, int64_t total)
    : label_(std::move(label)), total_(std::max<int64_t>(total, 1)),
      terminal_(stderr_is_terminal()) {}

Progress::~Progress() {
  if (terminal_ && drawn_) std::fputc('\n', stderr);
}

void Progress::update(int64_t done, std::string_view note) {
  if (quiet_) return;
  const bool last = done >= total_;
  const double now = timer_.seconds();
  if (terminal_) {
    if (!last && now - last_draw_ < 0.1) return;
  } else {
    if (!last && done < next_line_) return;
    next_line_ = done + std::max<int64_t>(1, total_ / 10);
  }
  last_draw_ = now;
  draw(done, note, last);
}

void Progress::draw(int64_t done, std::string_view note, bool last) {
  const double elapsed = timer_.seconds();
  const double left = done > 0 ? elapsed / static_cast<double>(done) *
                                     static_cast<double>(total_ - done)
                               : 0;
  const std::string count = cat(done, "/", total_);
  std::string text = cat(label_, " ",
                         terminal_ ? cat(bar(done, total_), " ", count) : cat("[", count, "]"),
                         note.empty() ? "" : " · ", note, " · ",
                         last ? human_seconds(elapsed) : cat("eta ", human_seconds(left)));
  if (terminal_) {
    std::fprintf(stderr, "\r\x1b[K%s", std::string(fit(text, terminal_width() - 1)).c_str());
    drawn_ = true;
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
  std::fflush(stderr);
}

}  // namespace awq
