#include "kernels/cuda/decode/partition.h"

#include <algorithm>

namespace awq::cuda::fused {
namespace {

// Equal shares of `count` things of `size` chunks.
std::vector<uint32_t> deal(int64_t count, int64_t size, int64_t blocks) {
  std::vector<uint32_t> starts(static_cast<size_t>(blocks) + 1);
  for (int64_t b = 0; b <= blocks; ++b) {
    starts[static_cast<size_t>(b)] = static_cast<uint32_t>(b * count / blocks * size);
  }
  return starts;
}

}  // namespace

double imbalance(const std::vector<uint32_t>& starts) {
  uint32_t largest = 0;
  for (size_t b = 0; b + 1 < starts.size(); ++b) {
    largest = std::max(largest, starts[b + 1] - starts[b]);
  }
  const double mean = static_cast<double>(starts.back()) / static_cast<double>(starts.size() - 1);
  return mean == 0 ? 1 : largest / mean;
}

std::vector<uint32_t> partition(int64_t units, int64_t chunks, int64_t blocks, double worth) {
  const std::vector<uint32_t> whole = deal(units, chunks, blocks);
  const std::vector<uint32_t> split = deal(units * chunks, 1, blocks);
  return imbalance(whole) <= worth * imbalance(split) ? whole : split;
}

}  // namespace awq::cuda::fused
