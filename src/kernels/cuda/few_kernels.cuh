// The kernel of few_product.h, for one width of codes; few_int*.cu instantiate. Compute capability 9.0.
//
// A block has whole strips of 32 rows and the inputs of all tokens in its shared memory; where these do not
// fit, the two blocks of a cluster have the same strips and each a share of the inputs. Two teams of eight
// warps take every other strip; a team's warps take its tiles in turn from a ring that one more thread keeps
// filled. The weights do not depend on the kernel before, so the ring fills while that one ends. After each
// round of two strips the warps' sums are added in order. With two blocks the first has the even tokens:
// the second team gives the other block the sums of its tokens, and at the end each adds what it got.
#pragma once

#include <type_traits>

#include "kernels/cuda/activate.cuh"
#include "kernels/cuda/barriers.cuh"
#include "kernels/cuda/clusters.cuh"
#include "kernels/cuda/few_product.h"
#include "kernels/cuda/tile_math.cuh"
#include "kernels/cuda/tile_product.h"

namespace awq::cuda::few {

constexpr int kTeams = 2;                       // of kWarps warps: one has the even strips
constexpr int kThreads = kTeams * kWarps * 32;  // that multiply
constexpr int kFlight = 3;                      // stages on their way at once: more delays what x needs
constexpr int kMaxStages = 10;
constexpr int kStrips = kTeams;  // of a round
constexpr int kStripSums = 32 * kFewTokens;
constexpr int kSums = kStrips * kWarps * kStripSums;        // floats of a round
constexpr int kReceived = kStrips * 32 * (kFewTokens / 2);  // floats from the other block in a round
constexpr size_t kFixed = 2 * kSums * sizeof(float) + (kFewTokens + kTeams * kWarps) * sizeof(float) +
                          (2 * kMaxStages + 2) * sizeof(uint64_t) + 128;

/// Shared memory beside the ring.
inline size_t other_bytes(const CudaDevice& device, const FewArgs& a) {
  const int clusters = few_clusters(device, a.weights);
  const int strips = (a.weights.units + clusters - 1) / clusters * (a.weights.paired ? 2 : 1);
  const auto rounds = static_cast<size_t>((strips + kStrips - 1) / kStrips);
  return kFixed + rounds * 2 * kReceived * sizeof(float) +
         static_cast<size_t>(a.tokens) * (a.weights.share_tiles * kTileInputs + 32) * sizeof(__half);
}

template <int kBits, int kGroups>
constexpr int kStageBytes = kWarps * TileBytes<kBits, kGroups>::kAll;

/// A block's part of the weights of a product.
struct Part {
  const FewWeights& w;
  int cluster, first, last;  ///< strips
  int first_tile, tiles;     ///< of each

  __device__ Part(const FewWeights& weights, int blocks, int rank) : w(weights) {
    const int clusters = blocks / w.shares, of_unit = w.paired ? 2 : 1;
    cluster = static_cast<int>(blockIdx.x) / w.shares;
    first = static_cast<int>(static_cast<int64_t>(cluster) * w.units / clusters) * of_unit;
    last = static_cast<int>(static_cast<int64_t>(cluster + 1) * w.units / clusters) * of_unit;
    first_tile = rank * w.share_tiles;
    tiles = rank == 0 ? w.share_tiles : w.strip_tiles - w.share_tiles;
  }
  /// Tiles of a team, whose strips follow each other.
  __device__ int count(int team) const { return (last - first + 1 - team) / kTeams * tiles; }
  __device__ int stages(int team) const { return (count(team) + kWarps - 1) / kWarps; }
  /// Strips of the largest part.
  __device__ int largest() const {
    const int clusters = static_cast<int>(gridDim.x) / w.shares;
    return (w.units + clusters - 1) / clusters * (w.paired ? 2 : 1);
  }
  __device__ const FewSegment& segment_of(int strip) const {
    if (w.paired) return w.segments[strip & 1];
    return w.segments[w.count > 2 && strip >= w.segments[2].first   ? 2
                      : w.count > 1 && strip >= w.segments[1].first ? 1
                                                                    : 0];
  }
  __device__ int strip_in(const FewSegment& segment, int strip) const {
    return w.paired ? strip >> 1 : strip - segment.first;
  }
  /// Calls use(codes, meta, n) for the runs of tiles that lie together among [begin, end) of a team.
  template <class Bytes, class Use>
  __device__ __forceinline__ void runs(int team, int begin, int end, Use&& use) const {
    while (begin < end) {  // a stage may reach into the next strip
      const int strip = first + begin / tiles * kTeams + team, tile = begin % tiles, n = min(end - begin, tiles - tile);
      const FewSegment& segment = segment_of(strip);
      const int64_t at = static_cast<int64_t>(strip_in(segment, strip)) * w.strip_tiles + first_tile + tile;
      use(segment.codes + at * Bytes::kCodes, segment.meta + at * Bytes::kMeta, n);
      begin += n;
    }
  }
};

/// What a block does, and where its shared memory lies.
template <int kBits, int kGroups>
class Block {
 public:
  using Bytes = TileBytes<kBits, kGroups>;
  static constexpr int kStage = kStageBytes<kBits, kGroups>;

  __device__ Block(const FewArgs& a, uint8_t* shared)
      : a_(a), rank_(a.weights.shares == 1 ? 0 : static_cast<int>(cluster_rank())), part_(a.weights, static_cast<int>(gridDim.x), rank_),
        ring_(shared) {
    sums_ = reinterpret_cast<float*>(shared + a.stages * kStage);
    factor_ = sums_ + 2 * kSums;
    squares_ = factor_ + kFewTokens;
    auto* barriers = reinterpret_cast<uint64_t*>(squares_ + kTeams * kWarps);
    full_ = shared_address(barriers), empty_ = full_ + kMaxStages * 8;
    x_full_ = empty_ + kMaxStages * 8, exchanged_ = x_full_ + 8;
    x_ = reinterpret_cast<__half*>(
        (reinterpret_cast<uintptr_t>(barriers + 2 * kMaxStages + 2) + 127) & ~uintptr_t{127});
    received_ = reinterpret_cast<float*>(x_ + a.tokens * (a.weights.share_tiles * 128 + 32));
    mine_ = received_ + (part_.largest() + kStrips - 1) / kStrips * kReceived;
  }

  __device__ void initialize() const {
    for (int s = 0; s < a_.stages; ++s) {
      barrier_init(full_ + s * 8, 1);
      barrier_init(empty_ + s * 8, kWarps);
    }
    barrier_init(x_full_, 1);
    barrier_init(exchanged_, kWarps);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }

  /// By one thread: all tiles of this block, at most kFlight stages on their way.
  __device__ void fetch() const {
    uint64_t once;  // nobody reads a weight twice
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(once));
    int slot = 0, landed = 0, begun = 0;
    uint32_t phase = 1, landed_phase = 0;  // the first round finds every place empty
    for (int i = 0; i < part_.stages(0); ++i) {
      for (int team = 0; team < kTeams; ++team) {
        const int begin = i * kWarps, end = min(begin + kWarps, part_.count(team));
        if (begin >= end) continue;
        if (begun++ >= kFlight) {
          barrier_wait(full_ + landed * 8, landed_phase);
          if (++landed == a_.stages) landed = 0, landed_phase ^= 1;
        }
        barrier_wait(empty_ + slot * 8, phase);
        const uint32_t full = full_ + slot * 8;
        barrier_expect(full, (end - begin) * Bytes::kAll);
        uint32_t codes = shared_address(ring_) + slot * kStage, meta = codes + kWarps * Bytes::kCodes;
        part_.template runs<Bytes>(team, begin, end, [&](const uint8_t* from, const uint8_t* from_meta, int n) {
          bulk_copy(codes, from, n * Bytes::kCodes, full, once);
          bulk_copy(meta, from_meta, n * Bytes::kMeta, full, once);
          codes += n * Bytes::kCodes, meta += n * Bytes::kMeta;
        });
        if (++slot == a_.stages) slot = 0, phase ^= 1;
      }
    }
  }

  /// By the warps that multiply.
  __device__ void multiply() {
    const int thread = threadIdx.x, warp = thread >> 5, lane = thread & 31;
    const int pitch = a_.weights.share_tiles * 128 + 32, tiles = part_.tiles;
    wait_for_previous();
    if (thread == 0) {
      asm volatile("fence.proxy.async.global;" ::: "memory");  // other kernels stored x
      const int bytes = a_.tokens * pitch * 2;
      uint64_t kept;
      asm("createpolicy.fractional.L2::evict_normal.b64 %0, 1.0;" : "=l"(kept));
      barrier_expect(x_full_, bytes);
      bulk_copy(shared_address(x_), a_.x + static_cast<int64_t>(rank_) * a_.tokens * pitch, bytes, x_full_, kept);
    }
    find_factors(warp, lane);
    if (a_.weights.shares == 2) cluster_wait();  // the other block's barriers are ready
    consumers_sync();
    barrier_wait(x_full_, 0);

    // Columns beyond the tokens repeat the last one; nobody reads their sums.
    const __half* lane_x = x_ + min(lane >> 2, a_.tokens - 1) * pitch + (lane & 3) * 8;
    const int team = warp / kWarps, of_team = warp % kWarps, others = part_.stages(1);
    int t = of_team, stage = 0, round = 0;  // of the team
    uint32_t slot, phase;
    const auto wait = [&] {
      const int at = stage + (team == 0 ? min(stage, others) : stage + 1);  // the teams' stages alternate
      slot = at % a_.stages, phase = at / a_.stages & 1;
      barrier_wait(full_ + slot * 8, phase);
      __syncwarp();
    };
    const auto release = [&] {
      __syncwarp();
      if (lane == 0) barrier_arrive(empty_ + slot * 8);
      ++stage, t += kWarps;
    };
    for (int strip = part_.first; strip < part_.last; strip += kStrips, ++round) {
      float* sums = sums_ + (round & 1) * kSums;
      if (strip + team < part_.last) {
        float y[2][1][4] = {};
        const int begin = round * tiles;
        while (t < begin + tiles) {
          wait();
          const uint8_t* from = ring_ + slot * kStage;
          multiply_tile<kBits, kGroups, 1>(from + of_team * Bytes::kCodes,
                                           from + kWarps * Bytes::kCodes + of_team * Bytes::kMeta,
                                           lane_x + (t - begin) * 128, 0, lane, y);
          release();
        }
        store_sums(sums + warp * kStripSums, y, lane);
      }
      // The other buffer is free: whoever is here has read all of the round before last.
      consumers_sync();
      share(sums, round, warp, lane);
    }
    if (stage < part_.stages(team)) wait(), release();  // the last stage had no tile for this warp
    if (a_.weights.shares == 2 && team == 1) {
      __syncwarp();
      if (lane == 0) remote_arrive(remote_address(exchanged_, rank_ ^ 1));
      return;
    }
    Place place = place_of(part_.first, warp, lane);
    float before = load_residual(place);
    if (a_.weights.shares == 2) cluster_barrier_wait(exchanged_, 0);
    float square = 0;
    for (int r = 0; r < round; ++r) {
      const int at = r * kReceived + received_at(of_team, lane);
      float value = (team == 0 ? mine_ : received_)[at];
      if (a_.weights.shares == 2) value += received_[at];
      finish(place, value, before, square, lane);
      place = place_of(part_.first + (r + 1) * kStrips, warp, lane);
      before = load_residual(place);
    }
    if (a_.end == FewEnd::residual) leave_squares(square, warp, lane);
  }

 private:
  /// Which sum a lane gets after a round: lanes 16 to 31 those of the second strip.
  struct Place {
    int token, strip, row;  ///< the strip among all, the row in it
    bool inside;
  };
  __device__ __forceinline__ Place place_of(int strip, int warp, int lane) const {
    Place p;
    p.token = 2 * (warp & 3) + (rank_ ^ warp / kWarps);
    p.strip = strip + (lane >> 4);
    p.row = (warp >> 2 & 1) * 16 + (lane & 15);
    p.inside = p.token < a_.tokens && p.strip < part_.last;
    if (p.inside) {
      const FewSegment& segment = part_.segment_of(p.strip);
      p.inside = part_.strip_in(segment, p.strip) * 32 + p.row < segment.out;
    }
    return p;
  }
  __device__ float* residual(const Place& p) const {
    return a_.residual + p.token * a_.residual_stride + p.strip * 32 + p.row;
  }
  __device__ float load_residual(const Place& p) const {
    return a_.end == FewEnd::residual && p.inside ? __ldcg(residual(p)) : 0;
  }

  static __device__ __forceinline__ void consumers_sync() {
    asm volatile("bar.sync 1, %0;" ::"n"(kThreads) : "memory");
  }

  /// A warp a token.
  __device__ void find_factors(int warp, int lane) const {
    if (warp >= a_.tokens) return;
    const FewNorm& n = a_.norm;
    float factor = 1;
    if (n.squares != nullptr) {
      float sum = 0;
      for (int i = lane; i < n.parts; i += 32) sum += __ldcg(n.squares + warp * n.parts + i);
      for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(~0u, sum, lanes);
      const float mean = sum * n.inverse;
      factor = __ldcg(n.power + warp) / sqrtf(mean + n.epsilon);
      if (lane == 0 && blockIdx.x == 0 && n.next_power != nullptr) n.next_power[warp] = few_power(mean + n.epsilon);
    }
    if (lane == 0) factor_[warp] = factor;
  }

  /// The warp's sums of one strip, [token][row].
  static __device__ __forceinline__ void store_sums(float* to, const float (&y)[2][1][4], int lane) {
    const int g = lane >> 2, j = lane & 3;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
#pragma unroll
      for (int i = 0; i < 4; ++i) to[(2 * j + (i & 1)) * 32 + h * 16 + (i >> 1) * 8 + g] = y[h][0][i];
    }
  }

  /// Where a lane's sum of a round lies.
  static __device__ __forceinline__ int received_at(int warp, int lane) {
    return ((warp & 3) * kStrips + (lane >> 4)) * 32 + (warp >> 2) * 16 + (lane & 15);
  }

  /// Adds up the warps' sums of a round: the first team those of this block's tokens, the other team those
  /// of the other block's, which it gets.
  __device__ __forceinline__ void share(const float* sums, int round, int warp, int lane) const {
    const int team = warp / kWarps, token = 2 * (warp & 3) + (rank_ ^ team);
    const int strip = lane >> 4, row = (warp >> 2 & 1) * 16 + (lane & 15);
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) sum += sums[(strip * kWarps + w) * kStripSums + token * 32 + row];
    const int at = round * kReceived + received_at(warp % kWarps, lane);
    if (team == 0) {
      mine_[at] = sum;
    } else if (a_.weights.shares == 1) {
      received_[at] = sum;
    } else {
      remote_store(remote_address(shared_address(received_ + at), rank_ ^ 1), sum);
    }
  }

  __device__ __forceinline__ void finish(const Place& p, float value, float before, float& square,
                                         int lane) const {
    value *= factor_[p.token];
    if (a_.end == FewEnd::activate) {
      const float up = __shfl_down_sync(~0u, value, 16);
      if (lane < 16 && p.inside) {
        store_half(p.token, (p.strip >> 1) * 32 + p.row, activate(a_.activation, value) * up);
      }
      return;
    }
    if (!p.inside) return;
    if (a_.end == FewEnd::residual) {
      const int o = p.strip * 32 + p.row;
      const float x = before + value;
      *residual(p) = x;
      square += x * x;
      store_half(p.token, o, x * a_.weight[o] / __ldcg(a_.power + p.token));
      return;
    }
    const FewSegment& segment = part_.segment_of(p.strip);
    segment.y[p.token * segment.y_stride + part_.strip_in(segment, p.strip) * 32 + p.row] = value;
  }

  __device__ __forceinline__ void store_half(int token, int i, float value) const {
    const uint32_t halves = activation_halves(value, 0);
    reinterpret_cast<uint16_t*>(a_.next)[share_place(a_.tokens, a_.next_share, token, i)] =
        static_cast<uint16_t>(halves);
  }

  __device__ void leave_squares(float square, int warp, int lane) const {
    for (int lanes = 16; lanes > 0; lanes /= 2) square += __shfl_xor_sync(~0u, square, lanes);
    if (lane == 0) squares_[warp] = square;
    const int team = warp / kWarps;
    asm volatile("bar.sync %0, %1;" ::"r"(2 + team), "n"(kWarps * 32) : "memory");
    const int of_team = static_cast<int>(threadIdx.x) % (kWarps * 32), token = 2 * of_team + (rank_ ^ team);
    if (of_team < kWarps / 2 && token < a_.tokens) {
      const float* sum = squares_ + team * kWarps + of_team;
      const int parts = static_cast<int>(gridDim.x) / a_.weights.shares;
      a_.squares[token * parts + part_.cluster] = sum[0] + sum[kWarps / 2];
    }
  }

  const FewArgs& a_;
  const int rank_;  // in the cluster
  const Part part_;
  uint8_t* const ring_;
  float *sums_, *factor_, *squares_, *received_, *mine_;
  __half* x_;
  uint32_t full_, empty_, x_full_, exchanged_;
};

template <int kBits, int kGroups>
__global__ __launch_bounds__(kThreads + 32, 1) void few_kernel(const __grid_constant__ FewArgs a) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  extern __shared__ __align__(128) uint8_t shared[];
  Block<kBits, kGroups> block(a, shared);
  if (threadIdx.x == 0) block.initialize();
  let_next_start();
  __syncthreads();
  if (a.weights.shares == 2) cluster_arrive();
  if (threadIdx.x < kThreads) {
    block.multiply();
  } else {
    if (threadIdx.x == kThreads) block.fetch();
    __syncwarp();
    if (a.weights.shares == 2) cluster_wait();
  }
#endif
}

// ---- the table of a width ----

template <int kBits>
constexpr FewKernels make_kernels() {
  FewKernels k;
  k.stages = [](const CudaDevice& device, int groups, const FewArgs& a) {
    const size_t stage = groups == 1   ? kStageBytes<kBits, 1>
                         : groups == 2 ? kStageBytes<kBits, 2>
                                       : kStageBytes<kBits, 4>;
    const size_t other = other_bytes(device, a), most = device.shared_bytes();
    return other >= most ? 0 : static_cast<int>(std::min<size_t>(kMaxStages, (most - other) / stage));
  };
  k.run = [](CudaDevice& device, int groups, const FewArgs& a) {
    const auto run = [&](auto g) {
      constexpr int kGroups = decltype(g)::value;
      launch_clusters(device, "few_kernel", few_kernel<kBits, kGroups>,
                      dim3(static_cast<unsigned>(a.weights.shares * few_clusters(device, a.weights))),
                      dim3(kThreads + 32),
                      other_bytes(device, a) + static_cast<size_t>(a.stages) * kStageBytes<kBits, kGroups>,
                      a.weights.shares, a);
    };
    groups == 1   ? run(std::integral_constant<int, 1>())
    : groups == 2 ? run(std::integral_constant<int, 2>())
                  : run(std::integral_constant<int, 4>());
  };
  return k;
}

}  // namespace awq::cuda::few
