// A persistent pool of pinned threads. The caller is thread 0. Between jobs the others spin for a
// short while (a decode step has hundreds of jobs, microseconds apart), then sleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace awq {

class ThreadPool {
 public:
  /// 0 threads: as many as the process may use (affinity mask and cgroup quota respected).
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }

  /// Calls f(thread) once on every thread, thread in [0, size()); returns when all are done.
  template <class F>
  void run(F&& f) {
    run_job([](void* context, int thread) { (*static_cast<F*>(context))(thread); }, &f);
  }

  /// Calls f(begin, end) for chunks of [0, count), dealt to whichever thread is free. The chunk
  /// bounds do not depend on the number of threads, so results that depend on them repeat.
  template <class F>
  void parallel_for(int64_t count, int64_t chunk, F&& f) {
    if (count <= 0) return;
    if (count <= chunk || size_ == 1) {
      for (int64_t begin = 0; begin < count; begin += chunk) {
        f(begin, begin + chunk < count ? begin + chunk : count);
      }
      return;
    }
    std::atomic<int64_t> next{0};
    run([&](int) {
      for (;;) {
        const int64_t begin = next.fetch_add(chunk, std::memory_order_relaxed);
        if (begin >= count) return;
        f(begin, begin + chunk < count ? begin + chunk : count);
      }
    });
  }

  /// Jobs run so far: one is one barrier.
  uint64_t jobs() const { return generation_.load(std::memory_order_relaxed); }

  /// Processors that this process may use.
  static int available_processors();

 private:
  using Job = void (*)(void* context, int thread);
  void run_job(Job job, void* context);
  void worker(int thread);

  int size_;
  std::vector<std::thread> threads_;
  Job job_ = nullptr;
  void* context_ = nullptr;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> running_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace awq
