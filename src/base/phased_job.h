// Many dependent phases inside one pool job: what a decode step needs, whose phases take a few
// microseconds each. Every phase has items 0 .. n, cut into one range per thread, so that a thread
// reads the same memory each time; a phase is over when all its items are done, not when all threads
// came by: a thread that is off its processor is not waited for, the others take over what it has not
// begun. Nothing is allocated in run().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/thread_pool.h"

namespace awq {

/// The items of a phase: thread t begins with [bounds[t], bounds[t + 1]), `step` at a time.
struct PhaseItems {
  const int32_t* bounds = nullptr;  ///< [threads + 1], ascending from 0
  int32_t step = 1;
};

class PhasedWork {
 public:
  virtual ~PhasedWork() = default;
  virtual PhaseItems items(int32_t phase) = 0;  ///< the same for all threads
  /// The caller of run() comes to a phase.
  virtual void enter(int32_t /*phase*/) {}
  /// Before the thread's first items of a phase, while all earlier phases are over and this is not.
  virtual void prepare(int32_t phase, int thread) = 0;
  virtual void work(int32_t phase, int thread, int32_t begin, int32_t end) = 0;
  /// Something short and useful while the thread waits for the end of `phase`, such as fetching
  /// memory; called with 0, 1, ..
  virtual void wait(int32_t phase, int thread, int32_t turn) = 0;
};

class PhasedJob {
 public:
  explicit PhasedJob(ThreadPool& pool);

  /// All phases 0 .. `phases`, in order. What an item writes may be read from the next phase on. Work
  /// must not throw, nor depend on which thread does it.
  void run(PhasedWork& work, int32_t phases);

 private:
  struct alignas(64) Cursor {
    std::atomic<uint64_t> value{0};  // number of the phase << 32 | next item
  };
  void thread_main(PhasedWork& work, int32_t phases, int thread);
  int32_t do_range(PhasedWork& work, int32_t phase, const PhaseItems& items, int range, int thread,
                   bool& prepared);
  void wait_for(PhasedWork& work, int32_t phase, const PhaseItems& items, int64_t target, int thread,
                bool& prepared);

  ThreadPool& pool_;
  int threads_;
  uint32_t first_ = 1;  // the number of phase 0
  std::unique_ptr<Cursor[]> cursors_;
  alignas(64) std::atomic<int64_t> done_{0};  // items of this run
};

}  // namespace awq
