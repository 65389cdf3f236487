// Products with weights in tiles: what the launchers of tile_kernels.cuh take, one set per width.
#pragma once

#include <cuda_fp16.h>

#include <span>

#include "kernels/cuda/device.h"
#include "kernels/cuda/product_plan.h"
#include "kernels/cuda/weights.h"

namespace awq::cuda {

constexpr int kWarps = 8;  ///< that multiply, in every tile kernel

/// One weight of a product.
struct StripSegment {
  const uint8_t *codes, *meta;
  const float* bias;  ///< [out] or null
  float* y;
  int64_t y_stride;
  int out;
  int first;  ///< its first strip among those of all segments
};

/// y = x w^T + bias, for up to three weights that read the same x (q, k and v; gate and up). Whole
/// strips of 32 rows per block, all of x in shared memory; up to 8 tokens.
struct StripArgs {
  static constexpr int kSegments = 3;
  StripSegment segments[kSegments];
  int count;       ///< of segments
  const float* x;  ///< f32 rows
  int64_t x_stride;
  int tokens, in, strips, strip_tiles;
  int stages;  ///< of the ring
};

/// Blocks of 8 strips times a share of the inputs; x in halves, zero-padded to whole tiles and
/// column groups. With one split y gets the result, else `partial` [splits][tokens][out].
struct BlockArgs {
  const uint8_t *codes, *meta;
  const __half* x;  ///< [8 * column groups][strip_tiles * 128]
  const float* bias;
  float *y, *partial;
  int64_t y_stride;
  int tokens, out, strips, strip_tiles, splits;
};

/// Blocks of blocks_kernel that registers let a multiprocessor hold.
constexpr int resident_blocks(int groups, int cols) {
  return cols < 4 || (cols == 4 && groups == 1) ? 2 : 1;
}

/// Tiles of whole strips as halves [32 rows per strip][strip_tiles * 128].
struct DecodeArgs {
  const uint8_t *codes, *meta;
  __half* w;
  int tiles, strip_tiles;
};

/// The kernels of one width. `groups` of a tile is 1, 2 or 4; `cols` groups of 8 tokens 1, 2, 4, 8.
struct TileKernels {
  /// False, and nothing launched, when x and a ring do not fit in shared memory.
  bool (*strips)(CudaDevice&, int groups, StripArgs) = nullptr;
  /// Shared memory of a block; what blocks() needs of the device.
  size_t (*block_bytes)(int groups, int cols) = nullptr;
  void (*blocks)(CudaDevice&, int groups, int cols, const BlockArgs&) = nullptr;
  void (*decode)(CudaDevice&, int groups, const DecodeArgs&) = nullptr;
};
extern const TileKernels kTileKernels2, kTileKernels3, kTileKernels4, kTileKernels8;
const TileKernels& tile_kernels(int bits);

/// y = x w^T + bias by the given path; one that cannot take the shape gives way to the next.
void multiply_tiles(CudaDevice& device, Matrix x, const QuantTilesCuda& w, const float* bias,
                    Matrix y, TilePath path = TilePath::best);
/// The same for up to three weights at once and up to 8 tokens, in one launch. False, and nothing
/// done, when the formats differ or x does not fit in shared memory.
bool multiply_together(CudaDevice& device, Matrix x, std::span<const QuantTilesCuda* const> weights,
                       std::span<const Matrix> ys);

/// y = x w^T + bias by decoding w to memory for cuBLAS; x lies in rows of halves, zero-padded to whole
/// tiles.
void multiply_decoded(CudaDevice& device, const void* halves, const QuantTilesCuda& w,
                      const float* bias, Matrix y);

// Between f32 activations and what the products take (activations.cu).
/// Halves [padded_rows][padded_cols] of x, zeros beyond it; as activation_halves().
void store_halves(CudaDevice& device, Matrix x, __half* y, int64_t padded_rows,
                  int64_t padded_cols);
/// What the products of warpgroups take: halves [64-input half of a tile][padded_rows][64], zeros
/// beyond x. Inputs 8 l + 2 q and 8 l + 2 q + 1, l = 0..3, of the c-th 32 are the 16-byte chunk
/// 4 c + q, the order of the codes (quant_tiles.h); chunk i of a row lies at place i ^ row % 8.
void store_warpgroup_inputs(CudaDevice& device, Matrix x, void* y, int64_t padded_rows,
                            int64_t strip_tiles);
/// Rows of x, contiguous, in bfloat16.
void store_bfloats(CudaDevice& device, Matrix x, void* y);
/// y[t, :] = bias, or 0 when null.
void fill_rows(CudaDevice& device, const float* bias, Matrix y);
/// y[t, o] = bias[o] + sum over s of partial[s][t][o], in order of s.
void sum_splits(CudaDevice& device, const float* partial, int splits, const float* bias, Matrix y);

/// y[t, o] for a float weight and up to kFloatRowTokens tokens (float_rows.cu).
constexpr int64_t kFloatRowTokens = 4;
void multiply_float_rows(CudaDevice& device, Matrix x, const FloatWeightCuda& w, const float* bias,
                         Matrix y);

// ---- launching ----

/// Launches with the right to start before the kernel ahead of it on the stream has ended
/// (wait_for_previous() in tile_math.cuh) where the device knows that; `cluster` neighbours of the
/// grid form a cluster.
template <class... Parameters, class... Arguments>
void launch_clusters(CudaDevice& device, const char* what, void (*kernel)(Parameters...), dim3 grid,
                     dim3 block, size_t shared, int cluster, const Arguments&... arguments) {
  if (shared > 48 * 1024) {
    check(
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
        what);
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = grid, config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = device.stream();
  cudaLaunchAttribute attributes[2] = {};
  const auto add = [&](cudaLaunchAttributeID id) -> cudaLaunchAttributeValue& {
    attributes[config.numAttrs].id = id;
    return attributes[config.numAttrs++].val;
  };
  config.attrs = attributes;
  if (device.compute_capability() >= 90) {
    add(cudaLaunchAttributeProgrammaticStreamSerialization)
        .programmaticStreamSerializationAllowed = 1;
  }
  if (cluster > 1) {
    add(cudaLaunchAttributeClusterDimension).clusterDim = {static_cast<unsigned>(cluster), 1, 1};
  }
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), what);
}
template <class... Parameters, class... Arguments>
void launch(CudaDevice& device, const char* what, void (*kernel)(Parameters...), dim3 grid,
            dim3 block, size_t shared, const Arguments&... arguments) {
  launch_clusters(device, what, kernel, grid, block, shared, 1, arguments...);
}

}  // namespace awq::cuda
