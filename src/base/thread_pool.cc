#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "base/pause.h"

namespace awq {
namespace {

constexpr auto kSpin = std::chrono::microseconds(500);

// The processors in this process's affinity mask.
std::vector<int> allowed_processors() {
  cpu_set_t mask;
  std::vector<int> processors;
  if (::sched_getaffinity(0, sizeof mask, &mask) == 0) {
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (CPU_ISSET(i, &mask)) processors.push_back(i);
    }
  }
  return processors;
}

// Whole processors that the cgroup quota allows; a large number when there is no quota.
int cgroup_processors() {
  const auto text = read_file("/sys/fs/cgroup/cpu.max", 4096);
  if (!text.ok() || text->rfind("max", 0) == 0) return 1 << 20;
  char* end = nullptr;
  const double quota = std::strtod(text->c_str(), &end);
  const double period = end == nullptr ? 0 : std::strtod(end, nullptr);
  return period > 0 && quota > 0 ? std::max(1, static_cast<int>(std::ceil(quota / period))) : 1 << 20;
}

}  // namespace

int ThreadPool::available_processors() {
  const int allowed = static_cast<int>(allowed_processors().size());
  return std::max(1, std::min(allowed, cgroup_processors()));
}

ThreadPool::ThreadPool(int threads) : size_(threads > 0 ? threads : available_processors()) {
  const std::vector<int> processors = allowed_processors();
  // A part of the processors is left to the system to choose: other processes may want a part too.
  const bool pin = size_ == static_cast<int>(processors.size()) && size_ > 1;
  for (int thread = 1; thread < size_; ++thread) {
    threads_.emplace_back([this, thread] { worker(thread); });
    if (!pin) continue;
    cpu_set_t mask;
    CPU_ZERO(&mask);
    CPU_SET(processors[static_cast<size_t>(thread)], &mask);
    ::pthread_setaffinity_np(threads_.back().native_handle(), sizeof mask, &mask);
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stop_.store(true);
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::call(Job job, void* context, int thread) noexcept {
  try {
    job(context, thread);
  } catch (...) {
    std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::current_exception();
  }
}

void ThreadPool::run_job(Job job, void* context) {
  const uint64_t number = (state_.load(std::memory_order_relaxed) >> kGenerationShift) + 1;
  if (size_ == 1) {
    state_.store(number << kGenerationShift, std::memory_order_relaxed);
    job(context, 0);
    return;
  }
  AWQ_CHECK((state_.load(std::memory_order_relaxed) & (kOpen | kActive)) == 0, "a job in a job");
  job_ = job;
  context_ = context;
  state_.store(number << kGenerationShift | kOpen);
  if (sleepers_.load() > 0) {
    std::lock_guard lock(mutex_);
    wake_.notify_all();
  }
  call(job, context, 0);
  state_.fetch_and(~kOpen);
  for (int spins = 0; (state_.load(std::memory_order_acquire) & kActive) != 0; ++spins) {
    if (spins < 4096) {
      pause_processor();
    } else {
      std::this_thread::yield();  // more threads than processors: let the others finish
    }
  }
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void ThreadPool::worker(int thread) {
  uint64_t seen = 0;
  auto idle_since = std::chrono::steady_clock::now();
  while (!stop_.load()) {
    uint64_t state = state_.load(std::memory_order_acquire);
    if (joinable(state, seen)) {
      if (!state_.compare_exchange_strong(state, state + 1, std::memory_order_acq_rel)) continue;
      seen = state >> kGenerationShift;
      call(job_, context_, thread);
      state_.fetch_sub(1, std::memory_order_release);
      idle_since = std::chrono::steady_clock::now();
      continue;
    }
    for (int i = 0; i < 64; ++i) pause_processor();
    if (std::chrono::steady_clock::now() - idle_since < kSpin) continue;
    // Any newer job ends the sleep, even one that is over by now: the next is near.
    std::unique_lock lock(mutex_);
    sleepers_.fetch_add(1);
    const uint64_t last = state >> kGenerationShift;
    wake_.wait(lock, [&] { return state_.load() >> kGenerationShift != last || stop_.load(); });
    sleepers_.fetch_sub(1);
    idle_since = std::chrono::steady_clock::now();
  }
}

}  // namespace awq
