#include "base/map_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <mutex>

namespace awq {

// Ranges are linked once and reused, never freed: the handler may walk the list at any time.
struct GuardedRange {
  std::atomic<uintptr_t> begin = 0, end = 0;  // 0, 0: free
  std::atomic<bool> faulted = false;
  GuardedRange* next = nullptr;
};

namespace {

std::atomic<GuardedRange*> ranges = nullptr;
static_assert(std::atomic<uintptr_t>::is_always_lock_free);
uintptr_t page_size = 4096;
struct sigaction previous;

// Puts zero pages from `address` to the end of its range. False when it is in no range.
bool cover(uintptr_t address) {
  for (GuardedRange* range = ranges.load(); range != nullptr; range = range->next) {
    const uintptr_t begin = range->begin.load(), end = range->end.load();
    if (address < begin || address >= end) continue;
    const uintptr_t page = address / page_size * page_size;
    range->faulted.store(true);
    return ::mmap(reinterpret_cast<void*>(page), end - page, PROT_READ,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
  }
  return false;
}

void on_bus_error(int, siginfo_t* info, void*) {
  if (cover(reinterpret_cast<uintptr_t>(info->si_addr))) return;
  // Not ours: the read is repeated on return and meets the handler that was there before.
  ::sigaction(SIGBUS, &previous, nullptr);
}

void install_handler() {
  page_size = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  struct sigaction action = {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, &previous);
}

}  // namespace

GuardedRange* guard_map(const void* data, size_t size) {
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  static const bool installed = (install_handler(), true);
  static_cast<void>(installed);
  GuardedRange* range = ranges.load();
  while (range != nullptr && range->end.load() != 0) range = range->next;
  if (range == nullptr) {
    range = new GuardedRange;
    range->next = ranges.load();
    ranges.store(range);
  }
  range->faulted.store(false);
  range->begin.store(reinterpret_cast<uintptr_t>(data));
  range->end.store(reinterpret_cast<uintptr_t>(data) + size);  // now it is found
  return range;
}

void unguard_map(GuardedRange* range) {
  if (range == nullptr) return;
  range->end.store(0);
  range->begin.store(0);
}

bool map_faulted(const GuardedRange* range) { return range != nullptr && range->faulted.load(); }

}  // namespace awq
