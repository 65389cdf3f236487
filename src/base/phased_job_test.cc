#include "base/phased_job.h"

#include <gtest/gtest.h>

#include <vector>

namespace awq {
namespace {

// Phase p adds up what phase p - 1 wrote: any item done twice, left out or begun too early changes
// the last sums.
class Sums : public PhasedWork {
 public:
  Sums(int threads, int32_t count, int32_t step) : count_(count), step_(step), bounds_(threads + 1) {
    for (int t = 0; t <= threads; ++t) bounds_[t] = count * t / threads;
    values_[0].assign(count, 1);
    values_[1].assign(count, 0);
    prepared_.assign(threads, -1);
    sums_.assign(threads, 0);
  }
  PhaseItems items(int32_t) override { return {bounds_.data(), step_}; }
  void prepare(int32_t phase, int thread) override {
    EXPECT_LT(prepared_[thread], phase);
    prepared_[thread] = phase;
    sums_[thread] = 0;
    for (const uint32_t value : values_[phase % 2]) sums_[thread] += value;
  }
  void work(int32_t phase, int thread, int32_t begin, int32_t end) override {
    EXPECT_EQ(prepared_[thread], phase);
    EXPECT_LE(end - begin, step_);
    if (slow == thread) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    for (int32_t i = begin; i < end; ++i) {
      values_[(phase + 1) % 2][i] = sums_[thread] * 31 + static_cast<uint32_t>(i);
    }
  }
  void wait(int32_t, int, int32_t) override {}
  const std::vector<uint32_t>& result(int32_t phases) const { return values_[phases % 2]; }
  void restart() {
    values_[0].assign(static_cast<size_t>(count_), 1);
    std::fill(prepared_.begin(), prepared_.end(), -1);
  }

  int slow = -1;

 private:
  int32_t count_, step_;
  std::vector<int32_t> bounds_;
  std::vector<uint32_t> values_[2], sums_;
  std::vector<int32_t> prepared_;
};

std::vector<uint32_t> expected(int32_t count, int32_t phases) {
  ThreadPool pool(1);
  PhasedJob job(pool);
  Sums work(1, count, count);
  job.run(work, phases);
  return work.result(phases);
}

TEST(PhasedJob, EveryItemOnceAndInOrderOfPhases) {
  for (const int threads : {1, 2, 3, 8}) {
    for (const int32_t count : {1, 5, 64}) {
      ThreadPool pool(threads);
      PhasedJob job(pool);
      for (const int32_t step : {1, 7}) {
        Sums work(threads, count, step);
        for (int i = 0; i < 20; ++i) {
          work.restart();
          job.run(work, 41);
          ASSERT_EQ(work.result(41), expected(count, 41)) << threads << " " << count << " " << step;
        }
      }
      EXPECT_EQ(pool.jobs(), 40u);
      EXPECT_EQ(pool.barriers(), 40u * 41);
    }
  }
}

TEST(PhasedJob, AThreadThatIsSlowHoldsNoOthersItems) {
  ThreadPool pool(3);
  PhasedJob job(pool);
  for (const int slow : {0, 1, 2}) {
    Sums work(3, 12, 1);
    work.slow = slow;
    job.run(work, 9);
    EXPECT_EQ(work.result(9), expected(12, 9));
  }
}

TEST(PhasedJob, ThreadsThatSleepJoinLate) {
  ThreadPool pool(4);
  PhasedJob job(pool);
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    Sums work(4, 9, 2);
    job.run(work, 200);
    ASSERT_EQ(work.result(200), expected(9, 200));
  }
}

}  // namespace
}  // namespace awq
