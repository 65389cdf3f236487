#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <new>
#include <numeric>

namespace awq {
namespace {

TEST(ThreadPool, TheCallerAlwaysRunsAndNoThreadTwice) {
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    std::vector<int> calls(static_cast<size_t>(threads), 0);
    for (int i = 1; i <= 1000; ++i) {
      pool.run([&](int thread) { ++calls[static_cast<size_t>(thread)]; });
      EXPECT_EQ(calls[0], i);
      for (int count : calls) EXPECT_LE(count, i);
    }
    EXPECT_EQ(pool.jobs(), 1000u);
  }
}

TEST(ThreadPool, WhatAThreadBeganIsDoneAtTheEnd) {
  ThreadPool pool(3);
  for (int i = 0; i < 200; ++i) {
    std::atomic<int> begun{0}, done{0};
    pool.run([&](int thread) {
      ++begun;
      if (thread != 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
      ++done;
    });
    EXPECT_EQ(begun.load(), done.load());
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

TEST(ThreadPool, WhatAJobThrowsReachesTheCaller) {
  ThreadPool pool(3);
  for (int thrower : {0, 1}) {
    const auto job = [&](int thread) {
      if (thrower == 0 ? thread == 0 : thread != 0) throw std::bad_alloc();
      std::this_thread::sleep_for(std::chrono::milliseconds(thrower == 0 ? 0 : 50));
    };
    EXPECT_THROW(pool.run(job), std::bad_alloc);
    int calls = 0;
    pool.parallel_for(10, 10, [&](int64_t, int64_t) { ++calls; });
    EXPECT_EQ(calls, 1);
  }
}

TEST(ThreadPool, SleepersWakeForAJobThatWaitsForThem) {
  ThreadPool pool(2);
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    std::atomic<int> here{0};
    pool.run([&](int) {
      ++here;
      while (here.load() < 2) std::this_thread::yield();
    });
    EXPECT_EQ(here.load(), 2);
  }
}

}  // namespace
}  // namespace awq
