#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <numeric>

namespace awq {
namespace {

TEST(ThreadPool, EveryThreadRunsOnce) {
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    std::vector<int> calls(static_cast<size_t>(threads), 0);
    for (int i = 0; i < 1000; ++i) {
      pool.run([&](int thread) { ++calls[static_cast<size_t>(thread)]; });
    }
    for (int count : calls) EXPECT_EQ(count, 1000);
  }
}

TEST(ThreadPool, ParallelForCoversTheRangeOnce) {
  ThreadPool pool(3);
  for (int64_t count : {0, 1, 7, 64, 1000}) {
    std::vector<int> hits(static_cast<size_t>(count), 0);
    pool.parallel_for(count, 7, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
    });
    EXPECT_EQ(std::accumulate(hits.begin(), hits.end(), 0), count);
    for (int hit : hits) EXPECT_EQ(hit, 1);
  }
}

TEST(ThreadPool, WakesAfterSleeping) {
  ThreadPool pool(2);
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    std::atomic<int> sum{0};
    pool.run([&](int) { sum += 1; });
    EXPECT_EQ(sum.load(), 2);
  }
}

}  // namespace
}  // namespace awq
