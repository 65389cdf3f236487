#include "base/phased_job.h"

#include <algorithm>
#include <thread>

#include "base/pause.h"

namespace awq {

// A turn is a pause of 10 to 60 ns. Threads that are all running come within a few of them.
constexpr int32_t kPatience = 96;      // turns until the work of others is looked at
constexpr int32_t kSpinTurns = 16384;  // turns until the processor is left to others

PhasedJob::PhasedJob(ThreadPool& pool)
    : pool_(pool), threads_(pool.size()),
      cursors_(std::make_unique<Cursor[]>(static_cast<size_t>(pool.size()))) {}

void PhasedJob::run(PhasedWork& work, int32_t phases) {
  if (first_ > UINT32_MAX / 2) {  // no thread is inside: numbers may start again
    for (int i = 0; i < threads_; ++i) cursors_[static_cast<size_t>(i)].value.store(0);
    first_ = 1;
  }
  done_.store(0, std::memory_order_relaxed);
  pool_.run([&](int thread) { thread_main(work, phases, thread); });
  pool_.count_barriers(static_cast<uint64_t>(phases) - 1);  // the job itself is one
  first_ += static_cast<uint32_t>(phases);
}

void PhasedJob::thread_main(PhasedWork& work, int32_t phases, int thread) {
  int64_t target = 0;
  for (int32_t phase = 0; phase < phases; ++phase) {
    if (thread == 0) work.enter(phase);
    const PhaseItems items = work.items(phase);
    target += items.bounds[threads_];
    if (done_.load(std::memory_order_acquire) >= target) continue;  // this thread came late
    bool prepared = false;
    const int32_t own = do_range(work, phase, items, thread, thread, prepared);
    if (own > 0) done_.fetch_add(own, std::memory_order_acq_rel);
    wait_for(work, phase, items, target, thread, prepared);
  }
}

// Takes steps of a range until none are left; returns the number of items.
int32_t PhasedJob::do_range(PhasedWork& work, int32_t phase, const PhaseItems& items, int range,
                            int thread, bool& prepared) {
  const uint32_t number = first_ + static_cast<uint32_t>(phase);
  const int32_t first = items.bounds[range], end = items.bounds[range + 1];
  std::atomic<uint64_t>& cursor = cursors_[static_cast<size_t>(range)].value;
  int32_t count = 0;
  for (uint64_t seen = cursor.load(std::memory_order_relaxed);;) {
    // A cursor of an earlier phase stands at the beginning; one of a later phase says that this
    // thread slept through the end of its own.
    const auto of = static_cast<uint32_t>(seen >> 32);
    const int32_t at = of < number ? first : static_cast<int32_t>(seen);
    if (of > number || at >= end) return count;
    const int32_t next = std::min(at + items.step, end);
    const uint64_t taken = uint64_t{number} << 32 | static_cast<uint32_t>(next);
    if (!cursor.compare_exchange_weak(seen, taken, std::memory_order_acq_rel)) continue;
    seen = taken;
    if (!prepared) work.prepare(phase, thread);
    prepared = true;
    work.work(phase, thread, at, next);
    count += next - at;
  }
}

void PhasedJob::wait_for(PhasedWork& work, int32_t phase, const PhaseItems& items, int64_t target,
                         int thread, bool& prepared) {
  for (int32_t turn = 0; done_.load(std::memory_order_acquire) < target; ++turn) {
    if (turn < kPatience) {
      work.wait(phase, thread, turn);
    } else if (turn % kPatience == 0) {
      for (int i = 1; i < threads_; ++i) {
        const int32_t taken =
            do_range(work, phase, items, (thread + i) % threads_, thread, prepared);
        if (taken > 0) done_.fetch_add(taken, std::memory_order_acq_rel);
      }
    }
    if (turn < kSpinTurns) {
      pause_processor();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace awq
