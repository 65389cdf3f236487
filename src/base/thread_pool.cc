#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <string>

#include "base/file.h"

namespace awq {
namespace {

constexpr auto kSpin = std::chrono::microseconds(50);

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

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
  const bool pin = size_ <= static_cast<int>(processors.size()) && size_ > 1;
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

void ThreadPool::run_job(Job job, void* context) {
  if (size_ == 1) {
    generation_.fetch_add(1, std::memory_order_relaxed);
    job(context, 0);
    return;
  }
  job_ = job;
  context_ = context;
  running_.store(size_ - 1, std::memory_order_relaxed);
  generation_.fetch_add(1);
  if (sleepers_.load() > 0) {
    std::lock_guard lock(mutex_);
    wake_.notify_all();
  }
  job(context, 0);
  for (int spins = 0; running_.load(std::memory_order_acquire) > 0; ++spins) {
    if (spins < 4096) {
      pause_cpu();
    } else {
      std::this_thread::yield();  // more threads than processors: let the others finish
    }
  }
}

void ThreadPool::worker(int thread) {
  uint64_t seen = 0;
  for (;;) {
    const auto start = std::chrono::steady_clock::now();
    while (generation_.load(std::memory_order_acquire) == seen && !stop_.load()) {
      for (int i = 0; i < 64; ++i) pause_cpu();
      if (std::chrono::steady_clock::now() - start < kSpin) continue;
      std::unique_lock lock(mutex_);
      sleepers_.fetch_add(1);
      wake_.wait(lock, [&] { return generation_.load() != seen || stop_.load(); });
      sleepers_.fetch_sub(1);
    }
    if (stop_.load()) return;
    ++seen;  // run_job waits for every worker, so no generation is skipped
    job_(context_, thread);
    running_.fetch_sub(1, std::memory_order_acq_rel);
  }
}

}  // namespace awq
