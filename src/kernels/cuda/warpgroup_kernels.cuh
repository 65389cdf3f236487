// Products with weights in tiles on Hopper's warpgroups: the weights are the A operand of wgmma,
// decoded in registers straight from the words of a tile; the activations are the B operand, in
// shared memory.
//
// A block has two or four warpgroups and two fetching threads in warps of their own: one keeps a ring
// of tiles of codes and meta filled, one a ring of activations of 64 inputs. A warpgroup has 64 rows
// of each of the block's row tiles, and decodes the weights of two products while the two before
// them run; up to 64 tokens four warpgroups hide each other's waits. Shares of the inputs are added through the shared memory of the cluster.
#pragma once

#include "kernels/cuda/warpgroup_args.h"
#include "kernels/cuda/warpgroup_math.cuh"
#include "kernels/cuda/warpgroup_product.h"

namespace awq::cuda::warpgroup {

/// The shape and the shared memory of a block.
template <int kBits, int kGroups, int kTokens>
struct Memory {
  using Bytes = TileBytes<kBits, kGroups>;
  static constexpr int kWarps = kTokens <= 64 ? 16 : 8, kConsumers = 32 * kWarps;  ///< multiplying
  /// The sums of 256 rows x 256 tokens do not fit in registers.
  static constexpr int kBlockRows = warpgroup_rows(kTokens), kBlockStrips = kBlockRows / 32;
  static constexpr int kTileRows = 16 * kWarps, kRowTiles = kBlockRows / kTileRows;
  static constexpr int kPitch =
      kBlockRows + 4;  ///< floats between tokens of shared sums: no conflicts
  /// The consumers take registers of the fetching warps, which then must be four.
  static constexpr bool kMoveRegisters = kTokens >= 128;
  static constexpr int kThreads = kConsumers + (kMoveRegisters ? 128 : 64);
  static constexpr int kMost = 232448;
  static constexpr int kInputStage = kTokens * 128;
  /// Neighbouring tiles of a strip in a stage: half as many copies where these would be short.
  static constexpr int kPair = kBlockRows == 256 && kBits <= 4 ? 2 : 1;
  static constexpr int kWeightStage = kBlockStrips * Bytes::kAll * kPair;
  static constexpr int kFixed = 1024 + 512;  // alignment, barriers
  static constexpr int weight_stages(int inputs) {
    const int n = (kMost - kFixed - inputs * kInputStage) / kWeightStage;
    return n < 10 / kPair ? n : 10 / kPair;
  }
  static constexpr int kInputStages = kTokens == 256 ? 5 : kTokens == 128 ? 6 : 10;
  static constexpr int kWeightStages = weight_stages(kInputStages);
  static constexpr int kWeights = kInputStages * kInputStage;  ///< where they begin
  static constexpr int kBarriers = kWeights + (kWeightStages * kWeightStage + 7) / 8 * 8;
  static constexpr int kBytes = kBarriers + (kInputStages + kWeightStages) * 16 + 1024;
  static_assert(kWeightStages >= 3 && kBytes <= kMost && kTokens * kPitch * 4 <= kBarriers);
};

/// A place in a ring, and the parity of the round.
template <int kStages>
struct Cursor {
  int slot = 0;
  uint32_t phase = 0;
  __device__ __forceinline__ void advance() {
    if (++slot == kStages) slot = 0, phase ^= 1;
  }
};

template <int kBits, int kGroups, int kTokens>
class Block {
 public:
  using M = Memory<kBits, kGroups, kTokens>;
  using Bytes = typename M::Bytes;
  static constexpr int kRowTiles = M::kRowTiles, kBlockRows = M::kBlockRows;
  static constexpr int kConsumers = M::kConsumers;
  static constexpr int kBlockStrips = M::kBlockStrips, kPair = M::kPair, kPitch = M::kPitch;
  /// A unit is two products: two steps of 16 inputs, or one for both halves of the rows.
  static constexpr int kSteps = 2 / kRowTiles, kUnits = 8 / kSteps;

  __device__ Block(const WarpgroupArgs& a, uint32_t memory, uint8_t* generic)
      : a_(a), memory_(memory), generic_(generic) {
    input_part_ = static_cast<int>(cluster_rank());
    const int64_t tiles = a.strip_tiles;
    first_ = static_cast<int>(input_part_ * tiles / a.input_parts);
    count_ = static_cast<int>((input_part_ + 1) * tiles / a.input_parts) - first_;
    if (a.parts != nullptr) {
      first_ = first_step(blockIdx.x);
      count_ = first_step(blockIdx.x + 1) - first_;
    }
    cluster_ = static_cast<int>(blockIdx.x) / a.input_parts;
    clusters_ = static_cast<int>(gridDim.x) / a.input_parts;
  }

  __device__ void initialize() const {
    for (int s = 0; s < M::kInputStages; ++s) {
      barrier_init(input_full(s), 1);
      barrier_init(input_empty(s), M::kWarps);
    }
    for (int s = 0; s < M::kWeightStages; ++s) {
      barrier_init(weight_full(s), 1);
      barrier_init(weight_empty(s), M::kWarps);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }

  /// By one thread.
  __device__ void fetch_weights() const {
    uint64_t once, kept;
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(once));
    asm("createpolicy.fractional.L2::evict_normal.b64 %0, 1.0;" : "=l"(kept));
    Cursor<M::kWeightStages> weights;
    weights.phase = 1;  // the first round finds every place empty
    Job job;
    for (int at = 0; next_job(at, job);) {
      const int tile = job.tile;
      const WarpgroupSegment& w = segment_of(tile);
      const int strip = first_strip(w, tile);
      const int strips = max(0, min(kBlockStrips, w.strips - strip));
      for (int step = 0; step < job.count; step += kPair) {
        barrier_wait(weight_empty(weights.slot), weights.phase);
        const uint32_t full = weight_full(weights.slot);
        const int tiles = min(kPair, job.count - step);
        barrier_expect(full, strips * tiles * Bytes::kAll);
        uint32_t codes = memory_ + M::kWeights + weights.slot * M::kWeightStage;
        uint32_t meta = codes + kBlockStrips * kPair * Bytes::kCodes;
        int64_t at = static_cast<int64_t>(strip) * a_.strip_tiles + job.first + step;
        for (int i = 0; i < strips; ++i) {
          bulk_copy(codes, w.codes + at * Bytes::kCodes, tiles * Bytes::kCodes, full,
                    a_.token_tiles == 1 ? once : kept);
          bulk_copy(meta, w.meta + at * Bytes::kMeta, tiles * Bytes::kMeta, full, kept);
          codes += kPair * Bytes::kCodes, meta += kPair * Bytes::kMeta, at += a_.strip_tiles;
        }
        weights.advance();
      }
    }
  }

  /// By another thread.
  __device__ void fetch_inputs() const {
    uint64_t kept;
    asm("createpolicy.fractional.L2::evict_normal.b64 %0, 1.0;" : "=l"(kept));
    Cursor<M::kInputStages> inputs;
    inputs.phase = 1;
    wait_for_previous();  // it writes the activations
    Job job;
    for (int at = 0; next_job(at, job);) {
      const int64_t token = job.tile % a_.token_tiles * kTokens;
      for (int64_t unit = 2 * job.first; unit < 2 * (job.first + job.count); ++unit) {
        barrier_wait(input_empty(inputs.slot), inputs.phase);
        const uint32_t full = input_full(inputs.slot);
        barrier_expect(full, M::kInputStage);
        bulk_copy(memory_ + inputs.slot * M::kInputStage,
                  static_cast<const uint8_t*>(a_.x) + (unit * a_.padded_tokens + token) * 128,
                  M::kInputStage, full, kept);
        inputs.advance();
      }
    }
  }

  /// By the two warpgroups.
  __device__ void multiply_all() {
    const int thread = threadIdx.x, warp = thread >> 5, lane = thread & 31;
    Cursor<M::kWeightStages> weights;
    Cursor<M::kInputStages> inputs;
    bool waited = false;
    Job job;
    for (int at = 0; next_job(at, job);) {
      const int tile = job.tile;
      float sums[kRowTiles][kTokens / 2];
#pragma unroll
      for (auto& part : sums) {
#pragma unroll
        for (float& s : part) s = 0;
      }
      if (job.count > 0) multiply_tile(job.count, weights, inputs, warp, lane, sums);
      if (!waited) wait_for_previous(), waited = true;  // it may read what is overwritten here
      if (a_.input_parts == 1) {
        if (job.first > 0) {
          leave_part(sums);
          continue;
        }
        if (job.count < a_.strip_tiles) take_parts(tile, sums);
#pragma unroll
        for (int r = 0; r < kRowTiles; ++r) store(tile, r, warp, lane, sums[r]);
      } else {
        consumers_sync();
#pragma unroll
        for (int r = 0; r < kRowTiles; ++r) share(r, warp, lane, sums[r]);
      }
    }
  }

  /// By the two warpgroups, once the sums of all shares of the inputs lie in shared memory.
  __device__ void add_shares() const {
    const int tile = cluster_;
    const WarpgroupSegment& w = segment_of(tile);
    const int row0 = first_strip(w, tile) * 32, token0 = tile % a_.token_tiles * kTokens;
    const int count = min(kTokens, a_.tokens - token0) * (kBlockRows / 4);
    for (int i = input_part_ * kConsumers + static_cast<int>(threadIdx.x); i < count;
         i += a_.input_parts * kConsumers) {
      const int token = i / (kBlockRows / 4), row = i % (kBlockRows / 4) * 4;
      const uint32_t local = memory_ + (token * kPitch + row) * 4;
      float4 sum = {0, 0, 0, 0};
#pragma unroll 4
      for (int p = 0; p < a_.input_parts; ++p) {
        const float4 v = remote_load(remote_address(local, p));
        sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
      }
      const int o = row0 + row;
      float* to = w.y + (token0 + token) * w.y_stride + o;
      if (o + 4 <= w.out && w.y_aligned) {
        if (w.bias != nullptr) {
          sum.x += w.bias[o], sum.y += w.bias[o + 1];
          sum.z += w.bias[o + 2], sum.w += w.bias[o + 3];
        }
        *reinterpret_cast<float4*>(to) = sum;
      } else {
        const float v[4] = {sum.x, sum.y, sum.z, sum.w};
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          if (o + e < w.out) to[e] = w.bias == nullptr ? v[e] : v[e] + w.bias[o + e];
        }
      }
    }
  }

 private:
  __device__ uint32_t input_full(int s) const { return memory_ + M::kBarriers + s * 8; }
  __device__ uint32_t input_empty(int s) const { return input_full(M::kInputStages + s); }
  __device__ uint32_t weight_full(int s) const { return input_full(2 * M::kInputStages + s); }
  __device__ uint32_t weight_empty(int s) const { return weight_full(M::kWeightStages + s); }
  /// A run of steps of one tile.
  struct Job {
    int tile, first, count;
  };
  /// With `parts`: the first step of a block among those of all tiles.
  __device__ int first_step(int block) const {
    const int64_t steps = static_cast<int64_t>(a_.tiles) * a_.strip_tiles;
    return static_cast<int>(steps * block / static_cast<int>(gridDim.x));
  }
  /// The block's jobs in order; `at` starts as 0.
  __device__ bool next_job(int& at, Job& job) const {
    if (a_.parts == nullptr) {
      job = {cluster_ + at, first_, count_};
      at += clusters_;
      return job.tile < a_.tiles;
    }
    if (at >= count_) return false;
    const int step = first_ + at;
    job.tile = step / a_.strip_tiles;
    job.first = step % a_.strip_tiles;
    job.count = min(a_.strip_tiles - job.first, count_ - at);
    at += job.count;
    return true;
  }

  static constexpr int kSums = kRowTiles * kTokens / 2;  ///< of a thread
  __device__ float4* part_of(int block) const {
    return reinterpret_cast<float4*>(a_.parts) + (static_cast<int64_t>(block) * kSums / 4) * kConsumers +
           threadIdx.x;
  }
  static __device__ __forceinline__ void consumers_sync() {
    asm volatile("bar.sync 1, %0;" ::"n"(kConsumers) : "memory");
  }

  /// The sums of the rest of a tile that another block began.
  __device__ __forceinline__ void leave_part(const float (&sums)[kRowTiles][kTokens / 2]) const {
    float4* to = part_of(blockIdx.x);
#pragma unroll
    for (int i = 0; i < kSums / 4; ++i) {
      const float* from = &sums[i * 4 / (kTokens / 2)][i * 4 % (kTokens / 2)];
      __stcg(to + i * kConsumers, float4{from[0], from[1], from[2], from[3]});
    }
    __threadfence();
    consumers_sync();
    if (threadIdx.x == 0) {
      asm volatile("st.release.gpu.global.u32 [%0], 1;" ::"l"(a_.flags + blockIdx.x) : "memory");
    }
  }

  /// Adds what the blocks after this one have of the tile, in order.
  __device__ __forceinline__ void take_parts(int tile, float (&sums)[kRowTiles][kTokens / 2]) const {
    const int end = (tile + 1) * a_.strip_tiles;
    for (int block = blockIdx.x + 1; first_step(block) < end; ++block) {
      if (threadIdx.x == 0) {
        uint32_t there = 0;
        while (there == 0) {
          asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
                       : "=r"(there)
                       : "l"(a_.flags + block)
                       : "memory");
        }
        a_.flags[block] = 0;  // for the next kernel
      }
      consumers_sync();
      const float4* from = part_of(block);
#pragma unroll
      for (int i = 0; i < kSums / 4; ++i) {
        float* to = &sums[i * 4 / (kTokens / 2)][i * 4 % (kTokens / 2)];
        const float4 v = __ldcg(from + i * kConsumers);
        to[0] += v.x, to[1] += v.y, to[2] += v.z, to[3] += v.w;
      }
    }
  }

  __device__ const WarpgroupSegment& segment_of(int tile) const {
    const int block = tile / a_.token_tiles;
    int s = 0;
    while (s + 1 < a_.count && block >= a_.segments[s + 1].first) ++s;
    return a_.segments[s];
  }
  __device__ int first_strip(const WarpgroupSegment& w, int tile) const {
    return (tile / a_.token_tiles - w.first) * kBlockStrips;
  }

  /// What a lane needs of a group for its rows g and g + 8.
  struct Meta {
    uint32_t scales, zeros;  ///< as they lie there
    __device__ __forceinline__ void load(const uint8_t* meta, int half, int lane) {
      const int g = lane >> 2;
      scales = *(reinterpret_cast<const uint32_t*>(meta) + g * 2 + half);
      if constexpr (kBits == 8) {
        zeros = *(reinterpret_cast<const uint16_t*>(meta + 64) + g * 2 + half);
      } else {
        zeros = meta[64 + g * 2 + half];
      }
    }
  };
  struct Factors {
    __half2 scale[2], zero[2];

    __device__ __forceinline__ void set(const Meta& m) {
      const __half2 both = as_halves(m.scales);
      scale[0] = __low2half2(both), scale[1] = __high2half2(both);
      constexpr int kWidth = kBits == 8 ? 8 : 4;
      const uint32_t low = m.zeros & ((1 << kWidth) - 1), high = m.zeros >> kWidth;
      zero[0] = as_halves(low * 0x10001u + kMagic);
      if constexpr (kHighRowFactor<kBits> == 1) {
        zero[1] = as_halves(high * 0x10001u + kMagic);
      } else {  // -(1024 / factor + zero)
        zero[1] =
            __hneg2(__hfma2(as_halves(high * (0x10001u * kHighRowFactor<kBits>)+kMagic),
                            __float2half2_rn(1.f / kHighRowFactor<kBits>), __float2half2_rn(0.f)));
      }
    }
    /// a = (code - zero) * scale, rounded once.
    __device__ __forceinline__ void apply(uint32_t (&a)[4]) const {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        __half2 v = as_halves(a[i]);
        if (i % 2 == 0 || kHighRowFactor<kBits> == 1) {
          v = __hsub2(v, zero[i % 2]);
        } else {
          v = __hfma2(v, __float2half2_rn(1.f / kHighRowFactor<kBits>), zero[1]);
        }
        v = __hmul2(v, scale[i % 2]);
        a[i] = *reinterpret_cast<const uint32_t*>(&v);
      }
    }
    static __device__ __forceinline__ __half2 as_halves(uint32_t bits) {
      return *reinterpret_cast<const __half2*>(&bits);
    }
  };

  __device__ __forceinline__ void multiply_tile(int count, Cursor<M::kWeightStages>& weights,
                                                Cursor<M::kInputStages>& inputs, int warp, int lane,
                                                float (&sums)[kRowTiles][kTokens / 2]) {
    const int strip = warp >> 1, half = warp & 1;
    LaneCodes<kBits> codes[kRowTiles][2];  // of the two halves of the tile's inputs
    Meta meta[kRowTiles];
    Factors factors[kRowTiles];
    uint32_t a[2][2][4];  // [set][product of a unit]
    const auto stage = [&](int slot) { return generic_ + M::kWeights + slot * M::kWeightStage; };
    const auto load_codes = [&](const uint8_t* from, int place, int inputs_half) {
#pragma unroll
      for (int r = 0; r < kRowTiles; ++r) {
        codes[r][inputs_half].load(from + ((M::kTileRows / 32 * r + strip) * kPair + place) * Bytes::kCodes,
                                   2 * half + inputs_half, lane);
      }
    };
    const auto load_meta = [&](const uint8_t* from, int place, int group) {
      from += kBlockStrips * kPair * Bytes::kCodes + group * Bytes::kGroupMeta;
#pragma unroll
      for (int r = 0; r < kRowTiles; ++r) {
        meta[r].load(from + ((M::kTileRows / 32 * r + strip) * kPair + place) * Bytes::kMeta, half, lane);
      }
    };
    const auto set_factors = [&] {
#pragma unroll
      for (int r = 0; r < kRowTiles; ++r) factors[r].set(meta[r]);
    };
    const auto decode = [&](int unit, uint32_t(&to)[2][4]) {
#pragma unroll
      for (int q = 0; q < 2; ++q) {
        const int k = unit * kSteps + (kRowTiles == 1 ? q : 0), r = kRowTiles == 1 ? 0 : q;
        codes[r][k / 4].fragment(k % 4, to[q]);
        factors[r].apply(to[q]);
      }
    };
    barrier_wait(weight_full(weights.slot), weights.phase);
    const uint8_t* at = stage(weights.slot);
    load_codes(at, 0, 0);
    load_meta(at, 0, 0);
    set_factors();
    decode(0, a[0]);
    const uint64_t first_rows = describe_rows(memory_);
    int before = -1;  // the place of activations that is still in use
    for (int step = 0; step < count; ++step) {
      const bool more = step + 1 < count;
      const int place = step % kPair, next_place = (step + 1) % kPair;  // of the tile in its stage
      const bool last = next_place == 0 || !more;                       // of its stage
#pragma unroll
      for (int unit = 0; unit < kUnits; ++unit) {
        const int k = unit * kSteps;
        if (k % 4 == 0) barrier_wait(input_full(inputs.slot), inputs.phase);
        const uint64_t b = first_rows + (inputs.slot * (M::kInputStage / 16) + k % 4 * 2);
        mma_fence();
#pragma unroll
        for (int q = 0; q < 2; ++q) {
          multiply<kTokens>(sums[kRowTiles == 1 ? 0 : q], a[unit % 2][q],
                            b + (kRowTiles == 1 ? 2 * q : 0));
        }
        mma_commit();
        if (k == 0) load_codes(at, place, 1);
        if (k == 4 && more) {  // the next tile; after the last one the values are not used
          Cursor<M::kWeightStages> next = weights;
          if (last) {
            next.advance();
            barrier_wait(weight_full(next.slot), next.phase);
          }
          load_codes(stage(next.slot), next_place, 0);
          if constexpr (kGroups == 1) load_meta(stage(next.slot), next_place, 0);
        }
        mma_wait<1>();
        if (k % 4 == 0) {
          if (before >= 0) release(input_empty(before), lane);
          before = inputs.slot;
        }
        if (k % 4 == 4 - kSteps) inputs.advance();
        if (unit == kUnits - 1) {
          if (last) weights.advance();
          at = stage(weights.slot);
          if constexpr (kGroups > 1) {
            if (more) load_meta(at, next_place, 0);
          }
          set_factors();
        } else if ((unit + 1) * kGroups % kUnits == 0) {
          load_meta(at, place, (unit + 1) * kGroups / kUnits);
          set_factors();
        }
        decode((unit + 1) % kUnits, a[(unit + 1) % 2]);
        if (unit == kUnits - 2 && last) release(weight_empty(weights.slot), lane);
      }
    }
    mma_wait<0>();
#pragma unroll
    for (auto& part : sums) mma_settle(part);
    release(input_empty(before), lane);
  }

  __device__ __forceinline__ void release(uint32_t barrier, int lane) const {
    __syncwarp();
    if (lane == 0) barrier_arrive(barrier);
  }

  __device__ __forceinline__ void store(int tile, int part, int warp, int lane,
                                        const float (&sums)[kTokens / 2]) const {
    const WarpgroupSegment& w = segment_of(tile);
    const int row = first_strip(w, tile) * 32 + part * M::kTileRows + warp * 16 + (lane >> 2);
    const int token0 = tile % a_.token_tiles * kTokens + (lane & 3) * 2;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int o = row + r * 8;
      if (o >= w.out) continue;
      const float bias = w.bias == nullptr ? 0.f : w.bias[o];
#pragma unroll
      for (int n = 0; n < kTokens / 8; ++n) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          const int token = token0 + n * 8 + c;
          if (token < a_.tokens) {
            w.y[token * w.y_stride + o] = sums[4 * n + 2 * r + c] + bias;
          }
        }
      }
    }
  }

  /// To shared memory, where the rings were.
  __device__ __forceinline__ void share(int part, int warp, int lane,
                                        const float (&sums)[kTokens / 2]) const {
    auto* to = reinterpret_cast<float*>(generic_) + part * M::kTileRows + warp * 16 + (lane >> 2);
#pragma unroll
    for (int i = 0; i < kTokens / 2; ++i) {
      const int token = i / 4 * 8 + (lane & 3) * 2 + i % 2;
      to[token * kPitch + i % 4 / 2 * 8] = sums[i];
    }
  }

  const WarpgroupArgs& a_;
  const uint32_t memory_;
  uint8_t* const generic_;
  int input_part_, first_, count_, cluster_, clusters_;
};

/// Built for 90a; empty elsewhere, see has_warpgroups().
template <int kBits, int kGroups, int kTokens>
__global__ __launch_bounds__(Memory<kBits, kGroups, kTokens>::kThreads,
                             1) void warpgroups_kernel(const __grid_constant__ WarpgroupArgs a) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using M = Memory<kBits, kGroups, kTokens>;
  extern __shared__ uint8_t shared[];
  const uint32_t raw = shared_address(shared), memory = (raw + 1023) & ~1023u;
  Block<kBits, kGroups, kTokens> block(a, memory, shared + (memory - raw));
  if (threadIdx.x == 0) block.initialize();
  let_next_start();
  __syncthreads();
  constexpr int kConsumers = M::kConsumers;
  if (threadIdx.x >= kConsumers) {
    if constexpr (M::kMoveRegisters) asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    if (threadIdx.x == kConsumers) block.fetch_weights();
    if (threadIdx.x == kConsumers + 32) block.fetch_inputs();
    if (a.input_parts == 1) return;
    __syncwarp();
    cluster_sync();
  } else {
    if constexpr (M::kMoveRegisters) asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    block.multiply_all();
    if (a.input_parts == 1) return;
    cluster_sync();
    block.add_shares();
  }
  cluster_sync();  // nobody leaves whose sums others may still read
#endif
}

// ---- the table of a width ----

template <int kBits, int kGroups, int kTokens>
constexpr WarpgroupKernel make_kernel() {
  using M = Memory<kBits, kGroups, kTokens>;
  return {warpgroups_kernel<kBits, kGroups, kTokens>, M::kThreads, M::kBytes};
}
template <int kBits>
constexpr WarpgroupKernels make_kernels() {
  return {{{make_kernel<kBits, 1, 32>(), make_kernel<kBits, 1, 64>(), make_kernel<kBits, 1, 128>(),
            make_kernel<kBits, 1, 256>()},
           {make_kernel<kBits, 2, 32>(), make_kernel<kBits, 2, 64>(), make_kernel<kBits, 2, 128>(),
            make_kernel<kBits, 2, 256>()},
           {make_kernel<kBits, 4, 32>(), make_kernel<kBits, 4, 64>(), make_kernel<kBits, 4, 128>(),
            make_kernel<kBits, 4, 256>()}}};
}

}  // namespace awq::cuda::warpgroup
