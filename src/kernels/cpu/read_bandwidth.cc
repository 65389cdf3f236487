#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "kernels/cpu.h"
#include "tensor/buffer.h"

namespace awq {

using Clock = std::chrono::steady_clock;

// The sum of a chunk: eight independent streams of adds, so that loads are the only limit.
static uint64_t read_words(const uint64_t* words, size_t count) {
  uint64_t sums[8] = {};
  for (size_t i = 0; i + 8 <= count; i += 8) {
    for (size_t lane = 0; lane < 8; ++lane) sums[lane] ^= words[i + lane];
  }
  uint64_t sum = 0;
  for (const uint64_t each : sums) sum ^= each;
  return sum;
}

double measure_read_bandwidth(Device& device, uint64_t bytes, double seconds) {
  constexpr size_t kChunk = size_t{64} << 10;  // words
  const size_t words = std::max<size_t>(kChunk, bytes / 8 / kChunk * kChunk);
  Buffer buffer(words * 8);
  auto* data = buffer.as<uint64_t>();
  const auto chunks = static_cast<int64_t>(words / kChunk);
  ThreadPool& pool = device.pool();
  pool.parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
    std::fill(data + begin * static_cast<int64_t>(kChunk), data + end * static_cast<int64_t>(kChunk),
              uint64_t{0x0123456789ABCDEF});
  });
  std::atomic<uint64_t> sink{0};
  double best = 0;
  const auto start = Clock::now();
  do {
    const auto begin_time = Clock::now();
    pool.parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t chunk = begin; chunk < end; ++chunk) {
        sink ^= read_words(data + chunk * static_cast<int64_t>(kChunk), kChunk);
      }
    });
    const double elapsed = std::chrono::duration<double>(Clock::now() - begin_time).count();
    best = std::max(best, static_cast<double>(words * 8) / elapsed);
  } while (std::chrono::duration<double>(Clock::now() - start).count() < seconds);
  return best;
}

}  // namespace awq
