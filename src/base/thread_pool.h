// A persistent pool of pinned threads. The caller is thread 0. Between jobs the others spin for a
// short while (a decode step has hundreds of jobs, microseconds apart), then sleep. A job never waits
// for a thread that has not begun it: on a busy machine a thread may be off its processor for
// milliseconds, and the others do its share meanwhile.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <type_traits>
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

  /// Calls f(0) on the caller, and f(thread) once on each other thread that comes before the caller is
  /// done; returns when all that began are done. The work must be dealt by f, not by thread. What f
  /// throws (memory that runs out) is thrown again here, once, after all threads left f.
  template <class F>
  void run(F&& f) {
    using Function = std::remove_reference_t<F>;
    run_job([](void* context, int thread) { (*static_cast<Function*>(context))(thread); },
            const_cast<void*>(static_cast<const void*>(&f)));
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

  /// Jobs run so far.
  uint64_t jobs() const { return state_.load(std::memory_order_relaxed) >> kGenerationShift; }
  /// Points so far at which the caller waited for what other threads had begun: the end of every job,
  /// and those inside of jobs that were reported (base/phased_job.h).
  uint64_t barriers() const { return jobs() + inner_barriers_; }
  void count_barriers(uint64_t count) { inner_barriers_ += count; }

  /// Processors that this process may use.
  static int available_processors();

 private:
  using Job = void (*)(void* context, int thread);
  // state_: the job's number, whether threads may still join it, and how many work on it.
  static constexpr int kGenerationShift = 16;
  static constexpr uint64_t kOpen = uint64_t{1} << 15, kActive = kOpen - 1;
  static bool joinable(uint64_t state, uint64_t seen) {
    return (state & kOpen) != 0 && state >> kGenerationShift != seen;
  }
  void run_job(Job job, void* context);
  void call(Job job, void* context, int thread) noexcept;
  void worker(int thread);

  int size_;
  uint64_t inner_barriers_ = 0;  // the caller's
  std::vector<std::thread> threads_;
  Job job_ = nullptr;
  void* context_ = nullptr;
  std::atomic<uint64_t> state_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::exception_ptr failure_;  // of the present job, guarded by mutex_
  std::condition_variable wake_;
};

}  // namespace awq
