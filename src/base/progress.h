// Progress of long work on stderr: one live line with an ETA on a terminal, plain lines elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace awq {

class Timer {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Largest resident set of this process so far.
uint64_t peak_rss_bytes();
/// Resident set now.
uint64_t current_rss_bytes();

/// Silences say() and Progress (--quiet).
void set_quiet(bool quiet);

/// One line on stderr.
void say(std::string_view line);

class Progress {
 public:
  /// `total` steps; `label` begins every line.
  Progress(std::string label, int64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` steps are over; `note` follows the count. On a terminal redrawn at most ten times a
  /// second; elsewhere a line about every tenth of the work, and at the end.
  void update(int64_t done, std::string_view note = {});

 private:
  void draw(int64_t done, std::string_view note, bool last);

  std::string label_;
  int64_t total_;
  int64_t next_line_ = 0;
  bool terminal_;
  bool drawn_ = false;
  double last_draw_ = -1;
  Timer timer_;
};

}  // namespace awq
