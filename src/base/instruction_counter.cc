#include "base/instruction_counter.h"

#include <dirent.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

namespace awq {

InstructionCounter::InstructionCounter() {
  DIR* threads = ::opendir("/proc/self/task");
  if (threads == nullptr) return;
  perf_event_attr attributes = {};
  attributes.type = PERF_TYPE_HARDWARE;
  attributes.size = sizeof attributes;
  attributes.config = PERF_COUNT_HW_INSTRUCTIONS;
  attributes.exclude_kernel = 1;
  attributes.exclude_hv = 1;
  while (const dirent* entry = ::readdir(threads)) {
    const int thread = std::atoi(entry->d_name);
    if (thread <= 0) continue;
    const long file = ::syscall(SYS_perf_event_open, &attributes, thread, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (file >= 0) files_.push_back(static_cast<int>(file));
  }
  ::closedir(threads);
}

InstructionCounter::~InstructionCounter() {
  for (const int file : files_) ::close(file);
}

uint64_t InstructionCounter::read() const {
  uint64_t sum = 0;
  for (const int file : files_) {
    uint64_t value = 0;
    if (::read(file, &value, sizeof value) == sizeof value) sum += value;
  }
  return sum;
}

}  // namespace awq
