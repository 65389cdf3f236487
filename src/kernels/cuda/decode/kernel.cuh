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

template <class S>
__device__ __forceinline__ void Consumer<S>::run() {
  token_ = p_.from != nullptr ? *p_.from : p_.token;
  for (int step = 0; step < p_.steps; ++step) {
    position_ = p_.past + step;
    if (threadIdx.x == 0) {
      asm volatile("fence.proxy.async;" ::: "memory");
      barrier_arrive(ring_.go());
    }
    prepare_rope();
    scale_of_embedding();
    uint32_t epoch = (p_.first_step + step) * p_.layers;
    const auto mine = [&](Product matrix, int layer) {
      const Share share(p_, starts_, matrix, layer);
      return share.begin < share.end;
    };
    for (int layer = 0; layer < p_.layers; ++layer) {
      const LayerArgs& args = p_.layer[layer];
      ++epoch;
      if (mine(kQkv, layer)) {
        if (layer == 0) {
          stage_embedding(args.attn_norm);
        } else {
          stage<true, 4>(p_.x_attn, epoch - 1, args.attn_norm, p_.matrix[kQkv]);
        }
        mark(layer * 5, 0);
        run_matrix<kQkv>(layer, epoch);
        mark(layer * 5, 2);
      }
      attend(layer, epoch);
      mark(layer * 5 + 1, 2);
      if (mine(kO, layer)) {
        stage<false, 8>(p_.attended, epoch, nullptr, p_.matrix[kO]);
        mark(layer * 5 + 2, 0);
        run_matrix<kO>(layer, epoch);
        mark(layer * 5 + 2, 2);
      }
      if (mine(kGateUp, layer)) {
        stage<true, 4>(p_.x_ffn, epoch, args.ffn_norm, p_.matrix[kGateUp]);
        mark(layer * 5 + 3, 0);
        run_matrix<kGateUp>(layer, epoch);
        mark(layer * 5 + 3, 2);
      }
      if (mine(kDown, layer)) {
        stage<false, 8>(p_.act, epoch, nullptr, p_.matrix[kDown]);
        mark(layer * 5 + 4, 0);
        run_matrix<kDown>(layer, epoch);
        mark(layer * 5 + 4, 2);
      }
    }
    run_head(step, epoch);
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
      barrier_init(barriers + (p.stages + i) * 8, kChunkTiles);  // empty: the warps of a team
    }
    barrier_init(barriers + 2 * p.stages * 8, 1);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  if (threadIdx.x >= S::kThreads) {
    if (threadIdx.x == S::kThreads) Producer<S::kGroups, S::kHeadDim>(p, shared).run();
    return;
  }
  Consumer<S>(p, shared).run();
#endif
}

/// Of 16 warps and raw codes, what DecodeTuning asks for by default; instances lie in sources of
/// their own.
using Kernel = void (*)(StepParams);
template <int kHeadDim>
Kernel default_kernel(int groups) {
  if (groups == 1) return decode_kernel<Shape<16, 1, true, kHeadDim>>;
  if (groups == 2) return decode_kernel<Shape<16, 2, true, kHeadDim>>;
  return decode_kernel<Shape<16, 4, true, kHeadDim>>;
}
extern template Kernel default_kernel<64>(int groups);
extern template Kernel default_kernel<128>(int groups);

/// Null where there is no such instance.
Kernel kernel_of(int warps, int groups, bool raw, int head_dim);

}  // namespace awq::cuda::fused
