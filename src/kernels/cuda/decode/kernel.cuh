// The persistent kernel: one block per SM runs whole tokens. One warp (ring.cuh) streams the
// weights and past keys of this block's shares through a ring in shared memory; the others multiply
// (matrix.cuh), attend (attend.cuh) and hand results to the other blocks as messages (message.cuh).
//
//   per layer   qkv <- norm(x)     attend     o + x     gate/up, SwiGLU <- norm(x)     down + x
//   then        head <- norm(x)    argmax     next token
//
// There is no grid barrier: whoever needs a value waits for the value. A block that has no share of
// a matrix does not read its input, so a message is never overwritten before its readers have it:
// its next writing needs, through the chain of matrices, the outputs of all who read it.
#pragma once

#include "kernels/cuda/decode/head.cuh"

namespace awq::cuda::fused {

// One matrix, where this block has a share of it. There is one copy of this code for all five: what
// a layer runs through should fit the instruction cache.
template <class S>
__device__ __forceinline__ void Consumer<S>::run_product(int product, int layer, uint32_t epoch) {
  const Share share(p_, starts_, product, layer);
  if (share.begin >= share.end) return;
  const MatrixArgs& m = p_.matrix[product];
  if (product == kO || product == kDown) {
    stage<false, S::kHalves>(product == kO ? p_.attended : p_.act, epoch, nullptr, m);
  } else if (product == kQkv && layer == 0) {
    stage_embedding(p_.layer[0].attn_norm);
  } else {
    const LayerArgs& args = p_.layer[layer];
    const float* norm = product == kHead     ? p_.final_norm
                        : product == kGateUp ? args.ffn_norm
                                             : args.attn_norm;
    stage<true, S::kHalves>(product == kGateUp ? p_.x_ffn : p_.x_attn,
                   product == kQkv ? epoch - 1 : epoch, norm, m);
  }
  mark(op_index(product, layer), 0);
  if constexpr (S::kHalves) {
    run_rows(product, layer, epoch);
  } else {
    // Parts of the head are posted once a step.
    run_matrix(product, layer, product == kHead ? step_ : epoch);
  }
  mark(op_index(product, layer), 2);
}

template <class S>
__device__ __forceinline__ void Consumer<S>::run() {
  token_ = p_.from != nullptr ? *p_.from : p_.token;
#pragma unroll 1
  for (int step = 0; step < p_.steps; ++step) {
    position_ = p_.past + step;
    step_ = p_.first_step + step + 1;
    if (threadIdx.x == 0) {
      asm volatile("fence.proxy.async;" ::: "memory");
      barrier_arrive(ring_.go());
    }
    prepare_rope();
    scale_of_embedding();
    best_ = Best();
    uint32_t epoch = (p_.first_step + step) * p_.layers;
#pragma unroll 1
    for (int layer = 0; layer <= p_.layers; ++layer) {
      const bool head = layer == p_.layers;
      if (head && p_.head_kind != Table::tiles) break;
      if (!head) ++epoch;
      const int last = head ? kHead : kDown;
#pragma unroll 1
      for (int product = head ? kHead : kQkv; product <= last; ++product) {
        run_product(product, head ? 0 : layer, epoch);
        if (product == kQkv) {
          attend(layer, epoch);
          mark(layer * 5 + 1, 2);
        }
      }
    }
    if (p_.head_kind != Table::tiles) run_head_table(epoch);
    mark(p_.layers * 5, 2);
    next_token(step);
  }
}

template <class S>
__global__ __launch_bounds__(S::kThreads + 32,
                             1) void decode_kernel(const __grid_constant__ StepParams p) {
#if __CUDA_ARCH__ >= 900
  extern __shared__ __align__(128) uint8_t shared[];
  auto* starts = reinterpret_cast<uint32_t*>(shared + p.at.starts);
  for (int i = threadIdx.x; i < kProducts * (gridDim.x + 1); i += S::kThreads + 32) {
    starts[i] = p.starts[i];
  }
  if (threadIdx.x == 0) {
    const uint32_t barriers = shared_address(shared) + p.at.barriers;
    for (int i = 0; i < p.stages; ++i) {
      barrier_init(barriers + i * 8, 1);                         // full: the copies
      barrier_init(barriers + (p.stages + i) * 8, S::kWarps);  // empty: all warps, or a team twice
    }
    barrier_init(barriers + 2 * p.stages * 8, 1);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  if (threadIdx.x >= S::kThreads) {
    if (threadIdx.x == S::kThreads) Producer<S::kBits, S::kGroups, S::kHeadDim, S::kExtras>(p, shared).run();
    return;
  }
  Consumer<S>(p, shared).run();
#endif
}

using Kernel = void (*)(StepParams);

/// Null where there is no such instance; instances lie in sources of their own, by width.
template <int kBits>
Kernel kernel_of(int groups, int head_dim, bool extras);
template <>
Kernel kernel_of<2>(int groups, int head_dim, bool extras);
template <>
Kernel kernel_of<3>(int groups, int head_dim, bool extras);
template <>
Kernel kernel_of<4>(int groups, int head_dim, bool extras);
template <>
Kernel kernel_of<8>(int groups, int head_dim, bool extras);
/// Of kernel_of<4>: the most instances, built beside the rest.
Kernel int4_with_extras(int groups, int head_dim);
template <>
Kernel kernel_of<16>(int groups, int head_dim, bool extras);

}  // namespace awq::cuda::fused
