// Products with weights in tiles on Hopper's warpgroups: the weights are the A operand of wgmma,
// decoded in registers straight from the words of a tile; the activations are the B operand, in
// shared memory.
//
// A block has two warpgroups, of 64 rows each, and one warp that keeps two rings filled: tiles of
// codes and meta, and activations of 64 inputs. Two steps of 16 inputs are decoded while the two
// before them multiply. Shares of the inputs are added through the shared memory of the cluster.
#pragma once

#include "kernels/cuda/warpgroup_args.h"
#include "kernels/cuda/warpgroup_math.cuh"
#include "kernels/cuda/warpgroup_product.h"

namespace awq::cuda::warpgroup {

constexpr int kBlockRows = 128, kBlockStrips = 4;
constexpr int kConsumers = 256;         ///< threads
constexpr int kPitch = kBlockRows + 4;  ///< floats between tokens of shared sums: no conflicts

/// The shared memory of a block.
template <int kBits, int kGroups, int kTokens>
struct Memory {
  using Bytes = TileBytes<kBits, kGroups>;
  /// With 256 columns the consumers take registers of the fetching warp, which then must be four.
  static constexpr bool kMoveRegisters = kTokens == 256;
  static constexpr int kThreads = kConsumers + (kMoveRegisters ? 128 : 32);
  static constexpr int kResident = kTokens <= 64 ? 2 : 1;  ///< blocks of a multiprocessor
  static constexpr int kMost = kResident == 2 ? 115712 : 232448;
  static constexpr int kInputStage = kTokens * 128;
  static constexpr int kWeightStage = kBlockStrips * Bytes::kAll;
  static constexpr int kFixed = 1024 + 512;  // alignment, barriers
  static constexpr int weight_stages(int inputs) {
    const int n = (kMost - kFixed - inputs * kInputStage) / kWeightStage;
    return n < 10 ? n : 10;
  }
  static constexpr int kWanted = kTokens == 256 ? 5 : kTokens == 64 ? 6 : 8;
  static constexpr int kInputStages = weight_stages(kWanted) >= 3 ? kWanted : kWanted - 1;
  static constexpr int kWeightStages = weight_stages(kInputStages);
  /// Tiles that the weights are fetched ahead of the activations.
  static constexpr int kLead = kWeightStages - (kInputStages + 1) / 2;
  static constexpr int kWeights = kInputStages * kInputStage;  ///< where they begin
  static constexpr int kBarriers = kWeights + (kWeightStages * kWeightStage + 7) / 8 * 8;
  static constexpr int kBytes = kBarriers + (kInputStages + kWeightStages) * 16 + 1024;
  static_assert(kLead >= 0 && kBytes <= kMost && kTokens * kPitch * 4 <= kBarriers);
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

  __device__ Block(const WarpgroupArgs& a, uint32_t memory, uint8_t* generic)
      : a_(a), memory_(memory), generic_(generic) {
    const int rank = static_cast<int>(cluster_rank());
    row_part_ = rank % a.row_parts, input_part_ = rank / a.row_parts;
    const int64_t tiles = a.strip_tiles;
    first_ = static_cast<int>(input_part_ * tiles / a.input_parts);
    count_ = static_cast<int>((input_part_ + 1) * tiles / a.input_parts) - first_;
    const int blocks = a.row_parts * a.input_parts;
    cluster_ = static_cast<int>(blockIdx.x) / blocks;
    clusters_ = static_cast<int>(gridDim.x) / blocks;
  }

  __device__ void initialize() const {
    for (int s = 0; s < M::kInputStages; ++s) {
      barrier_init(input_full(s), 1);
      barrier_init(input_empty(s), 8 * a_.row_parts);
    }
    for (int s = 0; s < M::kWeightStages; ++s) {
      barrier_init(weight_full(s), 1);
      barrier_init(weight_empty(s), 8);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }

  /// By one thread: fetches everything.
  __device__ void fetch() {
    const int mine = cluster_ < a_.tiles ? (a_.tiles - cluster_ + clusters_ - 1) / clusters_ : 0;
    const int all = mine * count_;
    uint64_t once, kept;
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(once));
    asm("createpolicy.fractional.L2::evict_normal.b64 %0, 1.0;" : "=l"(kept));
    Cursor<M::kWeightStages> weights;
    Cursor<M::kInputStages> inputs;
    weights.phase = inputs.phase = 1;  // the first round finds every place empty
    int weight_tile = cluster_, weight_step = 0, fetched = 0;
    const auto fetch_weights = [&] {
      barrier_wait(weight_empty(weights.slot), weights.phase);
      const int strip = first_strip(weight_tile);
      const int strips = max(0, min(kBlockStrips, a_.strips - strip));
      const uint32_t full = weight_full(weights.slot);
      barrier_expect(full, strips * Bytes::kAll);
      uint32_t codes = memory_ + M::kWeights + weights.slot * M::kWeightStage;
      uint32_t meta = codes + kBlockStrips * Bytes::kCodes;
      int64_t at = static_cast<int64_t>(strip) * a_.strip_tiles + first_ + weight_step;
      for (int i = 0; i < strips; ++i) {
        bulk_copy(codes, a_.codes + at * Bytes::kCodes, Bytes::kCodes, full,
                  a_.token_tiles == 1 ? once : kept);
        bulk_copy(meta, a_.meta + at * Bytes::kMeta, Bytes::kMeta, full, kept);
        codes += Bytes::kCodes, meta += Bytes::kMeta, at += a_.strip_tiles;
      }
      weights.advance();
      ++fetched;
      if (++weight_step == count_) weight_step = 0, weight_tile += clusters_;
    };
    while (fetched < min(all, M::kWeightStages)) fetch_weights();
    wait_for_previous();  // it writes the activations
    const int share = kTokens / a_.row_parts;
    const auto mask =
        static_cast<uint16_t>(((1u << a_.row_parts) - 1) << (input_part_ * a_.row_parts));
    for (int tile = cluster_, done = 0; done < all; tile += clusters_) {
      const int64_t token = tile % a_.token_tiles * kTokens + row_part_ * share;
      for (int step = 0; step < count_; ++step, ++done) {
        for (int u = 0; u < 2; ++u) {
          barrier_wait(input_empty(inputs.slot), inputs.phase);
          const uint32_t full = input_full(inputs.slot);
          barrier_expect(full, M::kInputStage);
          const uint8_t* from = static_cast<const uint8_t*>(a_.x) +
                                ((first_ + step) * 2 + u) * a_.padded_tokens * int64_t{128} +
                                token * 128;
          const uint32_t to = memory_ + inputs.slot * M::kInputStage + row_part_ * share * 128;
          if (a_.row_parts == 1) {
            bulk_copy(to, from, M::kInputStage, full, kept);
          } else {
            bulk_copy_to_all(to, from, share * 128, full, mask);
          }
          inputs.advance();
        }
        if (done + M::kLead >= M::kWeightStages && fetched < all) fetch_weights();
      }
    }
  }

  /// By the two warpgroups.
  __device__ void multiply_all() {
    const int thread = threadIdx.x, warp = thread >> 5, lane = thread & 31;
    Cursor<M::kWeightStages> weights;
    Cursor<M::kInputStages> inputs;
    bool waited = false;
    for (int tile = cluster_; tile < a_.tiles; tile += clusters_) {
      float sums[kTokens / 2];
#pragma unroll
      for (float& s : sums) s = 0;
      if (count_ > 0) multiply_tile(weights, inputs, warp, lane, sums);
      if (!waited) wait_for_previous(), waited = true;  // it may read what is overwritten here
      if (a_.input_parts == 1) {
        store(tile, warp, lane, sums);
      } else {
        share(warp, lane, sums);
      }
    }
  }

  /// By the two warpgroups, once the sums of all shares of the inputs lie in shared memory.
  __device__ void add_shares() const {
    const int tile = cluster_;
    const int row0 = first_strip(tile) * 32, token0 = tile % a_.token_tiles * kTokens;
    const int count = min(kTokens, a_.tokens - token0) * (kBlockRows / 4);
    for (int i = input_part_ * kConsumers + static_cast<int>(threadIdx.x); i < count;
         i += a_.input_parts * kConsumers) {
      const int token = i / (kBlockRows / 4), row = i % (kBlockRows / 4) * 4;
      const uint32_t local = memory_ + (token * kPitch + row) * 4;
      float4 sum = {0, 0, 0, 0};
#pragma unroll 4
      for (int p = 0; p < a_.input_parts; ++p) {
        const float4 v = remote_load(remote_address(local, p * a_.row_parts + row_part_));
        sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
      }
      const int o = row0 + row;
      float* to = a_.y + (token0 + token) * a_.y_stride + o;
      if (o + 4 <= a_.out && a_.y_aligned) {
        if (a_.bias != nullptr) {
          sum.x += a_.bias[o], sum.y += a_.bias[o + 1];
          sum.z += a_.bias[o + 2], sum.w += a_.bias[o + 3];
        }
        *reinterpret_cast<float4*>(to) = sum;
      } else {
        const float v[4] = {sum.x, sum.y, sum.z, sum.w};
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          if (o + e < a_.out) to[e] = a_.bias == nullptr ? v[e] : v[e] + a_.bias[o + e];
        }
      }
    }
  }

 private:
  __device__ uint32_t input_full(int s) const { return memory_ + M::kBarriers + s * 8; }
  __device__ uint32_t input_empty(int s) const { return input_full(M::kInputStages + s); }
  __device__ uint32_t weight_full(int s) const { return input_full(2 * M::kInputStages + s); }
  __device__ uint32_t weight_empty(int s) const { return weight_full(M::kWeightStages + s); }
  __device__ int first_strip(int tile) const {
    return (tile / a_.token_tiles * a_.row_parts + row_part_) * kBlockStrips;
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

    __device__ __forceinline__ explicit Factors(const Meta& m) {
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

  __device__ __forceinline__ void multiply_tile(Cursor<M::kWeightStages>& weights,
                                                Cursor<M::kInputStages>& inputs, int warp, int lane,
                                                float (&sums)[kTokens / 2]) {
    const int strip = warp >> 1, half = warp & 1;
    const auto stage = [&] { return generic_ + M::kWeights + weights.slot * M::kWeightStage; };
    const auto meta_of = [&](const uint8_t* at, int run) {
      return at + kBlockStrips * Bytes::kCodes + strip * Bytes::kMeta +
             run * kGroups / 4 * Bytes::kGroupMeta;
    };
    LaneCodes<kBits> codes[2];  // of the two halves of the tile's inputs
    Meta meta;
    uint32_t a[2][2][4];  // [set][step of 16 inputs]
    barrier_wait(weight_full(weights.slot), weights.phase);
    const uint8_t* at = stage();
    codes[0].load(at + strip * Bytes::kCodes, 2 * half, lane);
    meta.load(meta_of(at, 0), half, lane);
    Factors factors(meta);
    const auto decode = [&](int run, uint32_t(&to)[2][4]) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        codes[run / 2].fragment(2 * (run % 2) + e, to[e]);
        factors.apply(to[e]);
      }
    };
    decode(0, a[0]);
    const uint64_t first_rows = describe_rows(memory_);
    int before = -1;  // the place of activations that is still in use
    for (int step = 0; step < count_; ++step) {
      const bool more = step + 1 < count_;
#pragma unroll
      for (int run = 0; run < 4; ++run) {
        if (run % 2 == 0) barrier_wait(input_full(inputs.slot), inputs.phase);
        const uint64_t b = first_rows + (inputs.slot * (M::kInputStage / 16) + run % 2 * 4);
        mma_fence();
        multiply<kTokens>(sums, a[run % 2][0], b);
        multiply<kTokens>(sums, a[run % 2][1], b + 2);
        mma_commit();
        if (run == 0) codes[1].load(at + strip * Bytes::kCodes, 2 * half + 1, lane);
        if (run == 2) {  // the next tile; after the last one the values are not used
          Cursor<M::kWeightStages> next = weights;
          next.advance();
          if (more) {
            barrier_wait(weight_full(next.slot), next.phase);
            const uint8_t* from = generic_ + M::kWeights + next.slot * M::kWeightStage;
            codes[0].load(from + strip * Bytes::kCodes, 2 * half, lane);
            if constexpr (kGroups == 1) meta.load(meta_of(from, 0), half, lane);
          }
        }
        mma_wait<1>();
        if (run % 2 == 0) {
          if (before >= 0) release_inputs(before, lane);
          before = inputs.slot;
        } else {
          inputs.advance();
        }
        if (run == 3) {
          weights.advance();
          at = stage();
          if constexpr (kGroups > 1) {
            if (more) meta.load(meta_of(at, 0), half, lane);
          }
          factors = Factors(meta);
        } else if ((run + 1) * kGroups % 4 == 0) {
          meta.load(meta_of(at, run + 1), half, lane);
          factors = Factors(meta);
        }
        decode((run + 1) % 4, a[(run + 1) % 2]);
        if (run == 2) {
          __syncwarp();
          if (lane == 0) barrier_arrive(weight_empty(weights.slot));
        }
      }
    }
    mma_wait<0>();
    mma_settle(sums);
    release_inputs(before, lane);
  }

  __device__ __forceinline__ void release_inputs(int slot, int lane) const {
    __syncwarp();
    if (lane < a_.row_parts) {
      barrier_arrive_remote(remote_address(input_empty(slot), input_part_ * a_.row_parts + lane));
    }
  }

  __device__ __forceinline__ void store(int tile, int warp, int lane,
                                        const float (&sums)[kTokens / 2]) const {
    const int row = first_strip(tile) * 32 + warp * 16 + (lane >> 2);
    const int token0 = tile % a_.token_tiles * kTokens + (lane & 3) * 2;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int o = row + r * 8;
      if (o >= a_.out) continue;
      const float bias = a_.bias == nullptr ? 0.f : a_.bias[o];
#pragma unroll
      for (int n = 0; n < kTokens / 8; ++n) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          const int token = token0 + n * 8 + c;
          if (token < a_.tokens) {
            a_.y[token * a_.y_stride + o] = sums[4 * n + 2 * r + c] + bias;
          }
        }
      }
    }
  }

  /// To shared memory, where the rings were.
  __device__ __forceinline__ void share(int warp, int lane,
                                        const float (&sums)[kTokens / 2]) const {
    asm volatile("bar.sync 1, %0;" ::"n"(kConsumers) : "memory");
    auto* to = reinterpret_cast<float*>(generic_) + warp * 16 + (lane >> 2);
#pragma unroll
    for (int i = 0; i < kTokens / 2; ++i) {
      const int token = i / 4 * 8 + (lane & 3) * 2 + i % 2;
      to[token * kPitch + i % 4 / 2 * 8] = sums[i];
    }
  }

  const WarpgroupArgs& a_;
  const uint32_t memory_;
  uint8_t* const generic_;
  int row_part_, input_part_, first_, count_, cluster_, clusters_;
};

/// Built for 90a; empty elsewhere, see has_warpgroups().
template <int kBits, int kGroups, int kTokens>
__global__ __launch_bounds__(
    Memory<kBits, kGroups, kTokens>::kThreads,
    Memory<kBits, kGroups, kTokens>::kResident) void warpgroups_kernel(const __grid_constant__
                                                                           WarpgroupArgs a) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using M = Memory<kBits, kGroups, kTokens>;
  extern __shared__ uint8_t shared[];
  const uint32_t raw = shared_address(shared), memory = (raw + 1023) & ~1023u;
  Block<kBits, kGroups, kTokens> block(a, memory, shared + (memory - raw));
  const bool alone = a.row_parts * a.input_parts == 1;
  if (threadIdx.x == 0) block.initialize();
  let_next_start();
  if (alone) {
    __syncthreads();
  } else {
    cluster_sync();
  }
  if (threadIdx.x >= kConsumers) {
    if constexpr (M::kMoveRegisters) asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    if (threadIdx.x == kConsumers) block.fetch();
    if (alone) return;
    __syncwarp();
    if (a.input_parts > 1) cluster_sync();
    cluster_sync();
  } else {
    if constexpr (M::kMoveRegisters) asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    block.multiply_all();
    if (alone) return;
    if (a.input_parts > 1) {
      cluster_sync();
      block.add_shares();
    }
    cluster_sync();  // nobody leaves whose memory or barriers others may still reach
  }
#endif
}

// ---- the table of a width ----

template <int kBits, int kGroups, int kTokens>
constexpr WarpgroupKernel make_kernel() {
  using M = Memory<kBits, kGroups, kTokens>;
  return {warpgroups_kernel<kBits, kGroups, kTokens>, M::kThreads, M::kBytes, M::kResident};
}
template <int kBits>
constexpr WarpgroupKernels make_kernels() {
  return {
      {{make_kernel<kBits, 1, 64>(), make_kernel<kBits, 1, 128>(), make_kernel<kBits, 1, 256>()},
       {make_kernel<kBits, 2, 64>(), make_kernel<kBits, 2, 128>(), make_kernel<kBits, 2, 256>()},
       {make_kernel<kBits, 4, 64>(), make_kernel<kBits, 4, 128>(), make_kernel<kBits, 4, 256>()}}};
}

}  // namespace awq::cuda::warpgroup
