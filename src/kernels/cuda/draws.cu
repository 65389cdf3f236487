#include "kernels/cuda/draws.h"

#include <algorithm>
#include <deque>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/tile_math.cuh"
#include "kernels/cuda/tile_product.h"

namespace awq::cuda {
namespace {

using namespace sampling;

constexpr int kPartThreads = 256, kPart = 2048;  ///< logits of a block of the first two kernels
constexpr int kChooseThreads = 1024, kWindow = 2048;

struct Part {
  Best best;
  int32_t bad;  ///< index, or INT32_MAX
};

/// Of a row: how many tokens have a weight, and what they weigh, by octaves.
struct Octaves {
  unsigned long long sums[kOctaves];
  unsigned long long above;  ///< of what min-p keeps
  uint32_t counts[kOctaves];
};

struct Draws {
  Matrix logits;
  DrawRule rule;
  int reach;         ///< of the penalty: 0 for none
  int32_t* recent;   ///< [sequences][reach], a ring
  int32_t* said;     ///< [sequences]: tokens put there so far
  float* after;      ///< [sequences][reach]: penalized logits
  Part* parts;       ///< [sequences][gridDim.x]
  int part_count;
  Octaves* octaves;  ///< [sequences]
  uint64_t* random;  ///< [sequences]
  int32_t* tokens;   ///< [sequences]
  const uint64_t* host_random;  ///< [sequences], of this draw
  Drawn* answers;               ///< [sequences], of this draw
};

__device__ float* logits_of(const Draws& d, int64_t row) {
  return d.logits.data + row * d.logits.stride;
}

// A block a row. All are read before any is written: a token may have been said twice.
__global__ void penalize_kernel(const __grid_constant__ Draws d) {
  let_next_start();
  wait_for_previous();
  const int64_t row = blockIdx.x;
  const int count = min(d.said[row], d.reach);
  const int32_t* recent = d.recent + row * d.reach;
  float* after = d.after + row * d.reach;
  float* logits = logits_of(d, row);
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    after[i] = penalized(logits[recent[i]], d.rule.repeat_penalty);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < count; i += blockDim.x) logits[recent[i]] = after[i];
}

__global__ void __launch_bounds__(kPartThreads) facts_kernel(const __grid_constant__ Draws d) {
  __shared__ Best shared[32];
  __shared__ int32_t bad;
  const int64_t row = blockIdx.y;
  let_next_start();
  if (threadIdx.x == 0) bad = INT32_MAX;
  __syncthreads();
  wait_for_previous();
  if (blockIdx.x == 0) {  // what the kernels behind this one need, and those before do not
    auto* words = reinterpret_cast<uint32_t*>(d.octaves + row);
    for (int i = threadIdx.x; i < sizeof(Octaves) / 4; i += kPartThreads) words[i] = 0;
    if (threadIdx.x == 0) d.random[row] = d.host_random[row];
  }
  const float* logits = logits_of(d, row);
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kPart;
  const int64_t end = min(d.logits.cols, begin + kPart);
  Best best = Best::none();
#pragma unroll 4
  for (int64_t i = begin + threadIdx.x; i < end; i += kPartThreads) {
    const float logit = __ldcg(logits + i);
    if (is_bad(logit)) atomicMin(&bad, static_cast<int32_t>(i));
    if (logit > -INFINITY) best.take({logit, static_cast<int32_t>(i)});
  }
  best = block_best(best, shared);
  __syncthreads();
  if (threadIdx.x == 0) d.parts[row * gridDim.x + blockIdx.x] = {best, bad};
}

// Of the whole row; all threads get it.
__device__ Part read_parts(const Draws& d, int64_t row, Best* shared, int32_t* bad) {
  if (threadIdx.x == 0) *bad = INT32_MAX;
  __syncthreads();
  Best best = Best::none();
  for (int i = threadIdx.x; i < d.part_count; i += blockDim.x) {
    const Part part = d.parts[row * d.part_count + i];
    best.take(part.best);
    if (part.bad != INT32_MAX) atomicMin(bad, part.bad);
  }
  best = block_best(best, shared);
  __syncthreads();
  return {best, *bad};
}

// Weights by octaves. A block's sums are 32 bits: those of the upper and of the lower 20 bits.
__global__ void __launch_bounds__(kPartThreads) weigh_kernel(const __grid_constant__ Draws d) {
  __shared__ Best shared[32];
  __shared__ int32_t bad;
  __shared__ uint32_t counts[kOctaves], highs[kOctaves], lows[kOctaves], above[2];
  constexpr int kLow = kWeightBits / 2;
  static_assert(kPart < 1 << (32 - kLow) && kOctaves <= kPartThreads);
  const int64_t row = blockIdx.y;
  let_next_start();
  if (threadIdx.x < kOctaves) {
    counts[threadIdx.x] = highs[threadIdx.x] = lows[threadIdx.x] = 0;
  }
  if (threadIdx.x < 2) above[threadIdx.x] = 0;
  wait_for_previous();
  const Part part = read_parts(d, row, shared, &bad);
  if (part.bad != INT32_MAX || part.best.index == INT32_MAX) return;
  const float* logits = logits_of(d, row);
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kPart;
  const int64_t end = min(d.logits.cols, begin + kPart);
#pragma unroll 4
  for (int64_t i = begin + threadIdx.x; i < end; i += kPartThreads) {
    const float power = power_of(__ldcg(logits + i), part.best.value, d.rule.sharpness);
    const int octave = octave_of(power);
    if (octave >= kOctaves) continue;
    const uint64_t weight = weight_of(power);
    const auto high = static_cast<uint32_t>(weight >> kLow),
               low = static_cast<uint32_t>(weight & ((1u << kLow) - 1));
    atomicAdd(&counts[octave], 1u);
    atomicAdd(&highs[octave], high);
    atomicAdd(&lows[octave], low);
    if (!d.rule.all_above && power >= d.rule.least_power) {
      atomicAdd(&above[1], high);
      atomicAdd(&above[0], low);
    }
  }
  __syncthreads();
  Octaves& to = d.octaves[row];
  if (threadIdx.x < kOctaves && counts[threadIdx.x] > 0) {
    atomicAdd(&to.counts[threadIdx.x], counts[threadIdx.x]);
    atomicAdd(&to.sums[threadIdx.x],
              (static_cast<unsigned long long>(highs[threadIdx.x]) << kLow) + lows[threadIdx.x]);
  }
  if (threadIdx.x == 0 && (above[0] | above[1]) != 0) {
    atomicAdd(&to.above, (static_cast<unsigned long long>(above[1]) << kLow) + above[0]);
  }
}

/// A stretch of a row's tokens, falling, with the sums of their weights; by a block.
class Window {
 public:
  struct Memory {
    uint64_t keys[kWindow], sums[kWindow];  ///< `sums` from the row's first token on
    Octaves octaves;
    unsigned long long block[32], found_sum;
    uint32_t block_counts[32], found_id;
    int count;
  };

  __device__ Window(const Draws& d, int64_t row, float best, Memory& memory)
      : logits_(logits_of(d, row)), vocab_(d.logits.cols), best_(best),
        sharpness_(d.rule.sharpness), m_(memory) {
    const auto* from = reinterpret_cast<const uint32_t*>(d.octaves + row);
    auto* to = reinterpret_cast<uint32_t*>(&m_.octaves);
    for (int i = threadIdx.x; i < sizeof(Octaves) / 4; i += kChooseThreads) to[i] = __ldcg(from + i);
    __syncthreads();
  }

  __device__ uint64_t sum_of_all() const {
    uint64_t sum = 0;
    for (int o = 0; o < kOctaves; ++o) sum += m_.octaves.sums[o];
    return sum;
  }
  __device__ int64_t count_of_all() const {
    int64_t count = 0;
    for (int o = 0; o < kOctaves; ++o) count += m_.octaves.counts[o];
    return count;
  }
  __device__ uint64_t above() const { return m_.octaves.above; }

  struct Place {
    uint64_t sum;
    int32_t id;
  };
  /// The first token whose sum, or number in the order, is above `target`; there is one.
  template <bool kBySum>
  __device__ Place find(uint64_t target) {
    const uint64_t first = kBySum ? sum_before_ : count_before_;
    const uint64_t end = kBySum ? sum_end_ : count_before_ + count_;
    if (target < first || target >= end) load<kBySum>(target);
    for (int i = threadIdx.x; i < count_; i += kChooseThreads) {
      const bool here = kBySum ? m_.sums[i] > target && (i == 0 || m_.sums[i - 1] <= target)
                               : count_before_ + i == target;
      if (here) {
        m_.found_sum = m_.sums[i];
        m_.found_id = id_of(m_.keys[i]);
      }
    }
    __syncthreads();
    const Place place{m_.found_sum, static_cast<int32_t>(m_.found_id)};
    __syncthreads();
    return place;
  }

 private:
  // All tokens of octaves [first, last] with keys in [low, high].
  template <class Take>
  __device__ void for_each(int first, int last, uint64_t low, uint64_t high, const Take& take) {
#pragma unroll 4
    for (int64_t i = threadIdx.x; i < vocab_; i += kChooseThreads) {
      const float logit = __ldcg(logits_ + i);
      const int octave = octave_of(power_of(logit, best_, sharpness_));
      if (octave < first || octave > last) continue;
      const uint64_t key = key_of(logit, static_cast<uint32_t>(i));
      if (key >= low && key <= high) take(key);
    }
  }

  __device__ uint64_t weight_of_key(uint64_t key) const {
    return weight_of(power_of(logit_of(key), best_, sharpness_));
  }

  // A stretch with what is looked for: from the row's first token on where that is short enough, else
  // the octave, else a part of that.
  template <bool kBySum>
  __device__ void load(uint64_t target) {
    int last = 0;
    uint64_t sum = 0, count = 0;
    while (last < kOctaves - 1) {
      const uint64_t next_sum = sum + m_.octaves.sums[last], next = count + m_.octaves.counts[last];
      if ((kBySum ? next_sum : next) > target) break;
      sum = next_sum;
      count = next;
      ++last;
    }
    int first = last;
    uint64_t left = m_.octaves.counts[last], low = 0, high = ~uint64_t{0};
    if (count + left <= kWindow) {
      first = 0;
      left += count;
      sum = count = 0;
    }
    while (left > kWindow) {  // halve the keys: they are all different
      const uint64_t middle = low + (high - low) / 2;
      unsigned long long weight = 0;
      uint32_t found = 0;
      for_each(first, last, middle + 1, high, [&](uint64_t key) {
        ++found;
        weight += weight_of_key(key);
      });
      weight = block_sum(weight, m_.block);
      found = block_sum(found, m_.block_counts);
      if ((kBySum ? sum + weight : count + found) > target) {
        low = middle + 1;
        left = found;
      } else {
        high = middle;
        sum += weight;
        count += found;
        left -= found;
      }
    }
    __syncthreads();
    if (threadIdx.x == 0) m_.count = 0;
    __syncthreads();
    for_each(first, last, low, high, [&](uint64_t key) { m_.keys[atomicAdd(&m_.count, 1)] = key; });
    __syncthreads();
    count_ = m_.count;
    count_before_ = count;
    sum_before_ = sum;
    sort();
    add_up();
  }

  // Bitonic, falling; whatever order the keys came in.
  __device__ void sort() {
    int size = 2;
    while (size < count_) size *= 2;
    for (int i = count_ + threadIdx.x; i < size; i += kChooseThreads) m_.keys[i] = 0;
    for (int run = 2; run <= size; run *= 2) {
      for (int step = run / 2; step > 0; step /= 2) {
        __syncthreads();
        for (int i = threadIdx.x; i < size / 2; i += kChooseThreads) {
          const int a = 2 * i - (i & (step - 1)), b = a + step;
          const uint64_t x = m_.keys[a], y = m_.keys[b];
          if ((x < y) == ((a & run) == 0)) {
            m_.keys[a] = y;
            m_.keys[b] = x;
          }
        }
      }
    }
    __syncthreads();
  }

  // A thread has two neighbours.
  __device__ void add_up() {
    static_assert(kWindow == 2 * kChooseThreads);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, at = 2 * threadIdx.x;
    const uint64_t a = at < count_ ? weight_of_key(m_.keys[at]) : 0;
    const uint64_t b = at + 1 < count_ ? weight_of_key(m_.keys[at + 1]) : 0;
    unsigned long long sum = a + b;
    for (int lanes = 1; lanes < 32; lanes *= 2) {
      const unsigned long long before = __shfl_up_sync(~0u, sum, lanes);
      if (lane >= lanes) sum += before;
    }
    if (lane == 31) m_.block[warp] = sum;
    __syncthreads();
    uint64_t before = sum_before_, all = sum_before_;
    for (int w = 0; w < kChooseThreads / 32; ++w) {
      if (w == warp) before = all;
      all += m_.block[w];
    }
    m_.sums[at] = before + sum - b;
    m_.sums[at + 1] = before + sum;
    sum_end_ = all;
    __syncthreads();
  }

  const float* logits_;
  int64_t vocab_;
  float best_, sharpness_;
  Memory& m_;
  int count_ = 0;
  uint64_t count_before_ = 0, sum_before_ = 0, sum_end_ = 0;
};

// A block a row.
__global__ void __launch_bounds__(kChooseThreads) choose_kernel(const __grid_constant__ Draws d) {
  __shared__ Best shared[32];
  __shared__ int32_t bad;
  __shared__ Window::Memory memory;
  const int64_t row = blockIdx.x;
  let_next_start();
  wait_for_previous();
  const Part part = read_parts(d, row, shared, &bad);
  const float best = part.best.value;
  Drawn drawn{part.best.index == INT32_MAX ? Drawn::kNothing : part.best.index, 0};
  if (part.bad != INT32_MAX) {
    drawn = {bad_at(part.bad), logits_of(d, row)[part.bad]};
  } else if (d.rule.sharpness != 0 && drawn.id >= 0) {
    Window window(d, row, best, memory);
    uint64_t kept = window.sum_of_all();
    if (d.rule.top_k > 0 && d.rule.top_k < window.count_of_all()) {
      kept = window.find<false>(static_cast<uint64_t>(d.rule.top_k - 1)).sum;
    }
    const uint64_t all = kept;
    if (!d.rule.all_above) kept = min(kept, static_cast<uint64_t>(window.above()));
    if (d.rule.top_p < 1) {
      kept = min(kept, window.find<true>(top_p_target(d.rule.top_p, all)).sum);
    }
    drawn.id = window.find<true>(high_product(d.random[row], kept)).id;
  }
  if (threadIdx.x != 0) return;
  const int32_t token = max(drawn.id, 0);
  d.tokens[row] = token;
  d.answers[row] = drawn;
  if (d.reach > 0) d.recent[row * d.reach + d.said[row]++ % d.reach] = token;
}

class DeviceDraws : public TokenDraws {
 public:
  DeviceDraws(CudaDevice& device, const SamplerOptions& options, int64_t vocab,
              std::span<const std::span<const int32_t>> recent)
      : device_(device), vocab_(vocab), sequences_(static_cast<int64_t>(recent.size())) {
    d_.rule = draw_rule(options);
    d_.reach = static_cast<int>(d_.rule.reach);
    d_.part_count = static_cast<int>((vocab + kPart - 1) / kPart);
    const auto buffer = [&](int which, int64_t bytes) {
      buffers_[which] = DeviceBuffer(device, static_cast<size_t>(sequences_ * bytes));
      return buffers_[which].data();
    };
    d_.parts = static_cast<Part*>(buffer(0, d_.part_count * int64_t{sizeof(Part)}));
    d_.octaves = static_cast<Octaves*>(buffer(1, sizeof(Octaves)));
    d_.random = static_cast<uint64_t*>(buffer(2, sizeof(uint64_t)));
    d_.tokens = static_cast<int32_t*>(buffer(3, sizeof(int32_t)));
    d_.said = static_cast<int32_t*>(buffer(4, sizeof(int32_t)));
    d_.recent = static_cast<int32_t*>(buffer(5, d_.reach * int64_t{sizeof(int32_t)}));
    d_.after = static_cast<float*>(buffer(6, d_.reach * int64_t{sizeof(float)}));
    device.clear(d_.tokens, buffers_[3].size());
    if (d_.reach > 0) {
      std::vector<int32_t> said, last(static_cast<size_t>(sequences_ * d_.reach));
      for (size_t i = 0; i < recent.size(); ++i) {
        const size_t count = std::min(recent[i].size(), static_cast<size_t>(d_.reach));
        const auto from = recent[i].last(count);
        std::copy(from.begin(), from.end(), last.begin() + static_cast<int64_t>(i) * d_.reach);
        said.push_back(static_cast<int32_t>(count));
      }
      device.upload(d_.said, said.data(), buffers_[4].size());
      device.upload(d_.recent, last.data(), buffers_[5].size());
    }
    device.stream();  // makes the device the thread's
    void* memory = nullptr;
    check(cudaMallocHost(&memory, kAhead * turn_bytes()), "allocating pinned memory");
    host_ = static_cast<std::byte*>(memory);
    for (cudaEvent_t& event : done_) {
      check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
    }
  }

  ~DeviceDraws() override {
    check(cudaStreamSynchronize(device_.stream()), "draws");
    for (cudaEvent_t event : done_) cudaEventDestroy(event);
    cudaFreeHost(host_);
  }

  void draw(Matrix logits, std::span<const uint64_t> randoms) override {
    AWQ_CHECK(logits.rows == sequences_ && logits.cols == vocab_ &&
                  static_cast<int64_t>(randoms.size()) == sequences_ && drawn_ - taken_ < kAhead,
              logits.rows, logits.cols, randoms.size(), drawn_ - taken_);
    const size_t turn = drawn_ % kAhead;
    auto* random = reinterpret_cast<uint64_t*>(host_ + turn * turn_bytes());
    std::copy(randoms.begin(), randoms.end(), random);
    d_.logits = logits;
    d_.host_random = random;
    d_.answers = answers(turn);
    const auto rows = static_cast<unsigned>(sequences_);
    const dim3 parts(static_cast<unsigned>(d_.part_count), rows);
    if (d_.reach > 0) launch(device_, "a penalty", penalize_kernel, rows, kPartThreads, 0, d_);
    launch(device_, "the largest logit", facts_kernel, parts, kPartThreads, 0, d_);
    if (d_.rule.sharpness != 0) launch(device_, "weights", weigh_kernel, parts, kPartThreads, 0, d_);
    launch(device_, "a draw", choose_kernel, rows, kChooseThreads, 0, d_);
    check(cudaEventRecord(done_[turn], device_.stream()), "recording an event");
    ++drawn_;
  }

  std::span<const Drawn> take() override {
    AWQ_CHECK(taken_ < drawn_, taken_);
    const size_t turn = taken_++ % kAhead;
    check(cudaEventSynchronize(done_[turn]), "a draw");
    return {answers(turn), static_cast<size_t>(sequences_)};
  }

  const int32_t* tokens() const override { return d_.tokens; }

 private:
  // Of a draw in `host_`: random numbers, then answers.
  size_t turn_bytes() const {
    return static_cast<size_t>(sequences_) * (sizeof(uint64_t) + sizeof(Drawn));
  }
  Drawn* answers(size_t turn) const {
    return reinterpret_cast<Drawn*>(host_ + turn * turn_bytes() +
                                    static_cast<size_t>(sequences_) * sizeof(uint64_t));
  }

  CudaDevice& device_;
  int64_t vocab_, sequences_;
  Draws d_ = {};
  DeviceBuffer buffers_[7];
  std::byte* host_ = nullptr;
  cudaEvent_t done_[kAhead] = {};
  size_t drawn_ = 0, taken_ = 0;
};

}  // namespace

std::unique_ptr<TokenDraws> plan_draws(Device& device, const SamplerOptions& options, int64_t vocab,
                                       std::span<const std::span<const int32_t>> recent) {
  return std::make_unique<DeviceDraws>(cuda_device(device), options, vocab, recent);
}

}  // namespace awq::cuda
