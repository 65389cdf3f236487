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
  std::string text = cat(label_, " [", done, "/", total_, "]", note.empty() ? "" : " · ", note,
                         " · ", last ? human_seconds(elapsed) : cat("eta ", human_seconds(left)));
  if (terminal_) {
    const size_t width = terminal_width();
    if (text.size() > width) text.resize(width);
    std::fprintf(stderr, "\r\x1b[K%s", text.c_str());
    drawn_ = true;
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
  std::fflush(stderr);
}

}  // namespace awq
