// Matrix products. A few rows of x: each panel of the weight is read once for all of them. Many
// rows: a tile of panels is unpacked into scratch that stays in the L2 cache and multiplied by
// blocks of rows.
#include <algorithm>
#include <cstring>

#include "kernels/check_shapes.h"
#include "kernels/cpu/launch.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/weights.h"

namespace awq::cpu {
namespace {

constexpr int64_t kTokenBlock = 128;  // rows of x against one unpacked tile
constexpr int64_t kDepth = 1024;     // inputs of a tile unpacked at a time
constexpr int kMaxLanes = 32;

// Writes the valid lanes of sums [rows, lanes] to y, adding the bias.
void store_sums(const float* sums, int64_t lanes, int64_t column, const float* bias, Matrix y) {
  const int64_t valid = std::min(lanes, y.cols - column);
  for (int64_t t = 0; t < y.rows; ++t, sums += lanes) {
    float* to = y.row(t) + column;
    if (bias == nullptr) {
      std::memcpy(to, sums, static_cast<size_t>(valid) * sizeof(float));
    } else {
      for (int64_t i = 0; i < valid; ++i) to[i] = sums[i] + bias[column + i];
    }
  }
}

// Calls f(panel) for all panels of a weight that is streamed once. Any cut gives the same results;
// this one keeps both the streams long and the threads busy to the end.
template <class F>
void stream_panels(Device& device, const CpuWeight& w, F&& f) {
  constexpr uint64_t kAlone = 48 << 10;  // bytes that one thread reads sooner than it wakes another
  const int64_t panels = w.panels(), threads = device.pool().size();
  const int64_t shared = std::max<int64_t>(1, panels / (threads * 4));
  const int64_t chunk = w.bytes <= kAlone ? panels : std::min<int64_t>(shared, 64);
  device.pool().parallel_for(panels, chunk, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) f(p);
  });
}

void float_vectors(const KernelTable& kernels, Device& device, Matrix x, const FloatPanels& w,
                   const float* bias, Matrix y) {
  stream_panels(device, w, [&](int64_t p) {
    alignas(64) float sums[kVectorRows * kPanel];
    kernels.float_vector[w.format](w.panel(p), w.in, x.data, x.stride, static_cast<int>(x.rows),
                                   sums);
    store_sums(sums, kPanel, p * kPanel, bias, y);
  });
}

// Calls f(first panel, panels of the tile, first row, rows) for all tiles.
template <class F>
void for_tiles(const KernelTable& kernels, Device& device, const CpuWeight& w, int64_t rows, F&& f) {
  const int64_t width = kernels.tile_lanes / kPanel;
  const int64_t tiles = (w.panels() + width - 1) / width;
  const int64_t blocks = (rows + kTokenBlock - 1) / kTokenBlock;
  device.pool().parallel_for(tiles * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t first = item / blocks * width, block = item % blocks;
      const int64_t row = rows * block / blocks, row_end = rows * (block + 1) / blocks;
      f(first, std::min(width, w.panels() - first), row, row_end - row);
    }
  });
}

void float_matrix(const KernelTable& kernels, Device& device, Matrix x, const FloatPanels& w,
                  const float* bias, Matrix y) {
  for_tiles(kernels, device, w, x.rows, [&](int64_t first, int64_t panels, int64_t row, int64_t rows) {
    const int64_t lanes = panels * kPanel;
    float* weights = scratch_of<float>(Scratch::weights, kDepth * kMaxLanes);
    float* sums = scratch_of<float>(Scratch::sums, kTokenBlock * kMaxLanes);
    for (int64_t k = 0; k < w.in; k += kDepth) {
      const int64_t depth = std::min(kDepth, w.in - k);
      for (int64_t p = 0; p < panels; ++p) {
        const std::byte* from = w.panel(first + p) + static_cast<size_t>(k * kPanel) * w.element;
        kernels.widen[w.format](from, depth, weights + p * kPanel, lanes);
      }
      kernels.product({x.row(row) + k, x.stride, 1, weights, lanes, sums, lanes, rows, lanes, depth,
                       k > 0 ? 1 : 0});
    }
    store_sums(sums, lanes, first * kPanel, bias, y.slice_rows(row, rows));
  });
}

IntRows rows_from(const IntRows& x, const BlockList& blocks, int64_t first) {
  const int64_t code = first * blocks.units * kUnit, cell = first * blocks.count;
  return {x.codes + code, x.rest + code, x.scales + cell,
          x.rest_scales + cell, x.sums + cell, x.rest_sums + cell};
}

// x as integers, in scratch of the calling thread.
IntRows quantize_rows(const KernelTable& kernels, Device& device, Matrix x, const BlockList& blocks) {
  const int64_t codes = x.rows * blocks.units * kUnit, cells = x.rows * blocks.count;
  auto* at = scratch_of<int16_t>(Scratch::activations, codes * 2 + cells * 8);
  auto* scales = reinterpret_cast<float*>(at + codes * 2);
  auto* sums = reinterpret_cast<int32_t*>(scales + cells * 2);
  const IntRows rows = {at, at + codes, scales, scales + cells, sums, sums + cells};
  for_rows(device, x.rows, x.cols, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      kernels.quantize(x.row(t), blocks, rows_from(rows, blocks, t));
    }
  });
  return rows;
}

void quant_vectors(const KernelTable& kernels, Device& device, Matrix x, const QuantPanels& w,
                   const float* bias, Matrix y) {
  const BlockList blocks = w.blocks();
  const IntRows rows = quantize_rows(kernels, device, x, blocks);
  stream_panels(device, w, [&](int64_t p) {
    alignas(64) float sums[kVectorRows * kPanel];
    kernels.quant_vector[w.format](w.panel(p), blocks, rows, static_cast<int>(x.rows), sums);
    store_sums(sums, kPanel, p * kPanel, bias, y);
  });
}

// Blocks [first, result) hold at most kDepth inputs, and at least one block.
int32_t end_of_depth(const BlockList& blocks, int32_t first) {
  int32_t end = first + 1;
  while (end < blocks.count && (blocks.unit[end + 1] - blocks.unit[first]) * kUnit <= kDepth) ++end;
  return end;
}

void quant_matrix(const KernelTable& kernels, Device& device, Matrix x, const QuantPanels& w,
                  const float* bias, Matrix y) {
  const BlockList blocks = w.blocks();
  const IntRows all = quantize_rows(kernels, device, x, blocks);
  for_tiles(kernels, device, w, x.rows, [&](int64_t first, int64_t panels, int64_t row, int64_t rows) {
    const int64_t lanes = panels * kPanel, tile_rows = kernels.tile_tokens;
    auto* weights = scratch_of<int32_t>(Scratch::weights, kDepth * kMaxLanes);
    float* scales = scratch_of<float>(Scratch::partial, kDepth / kUnit * kMaxLanes);
    float* sums = scratch_of<float>(Scratch::sums, kTokenBlock * kMaxLanes);
    std::fill_n(sums, rows * lanes, 0.0f);
    const int64_t tiles = (rows + tile_rows - 1) / tile_rows;
    for (int32_t b = 0; b < blocks.count;) {
      const int32_t end = end_of_depth(blocks, b);
      for (int64_t p = 0; p < panels; ++p) {
        kernels.unpack[w.format](w.panel(first + p), blocks, b, end, weights + p * kPanel,
                                 scales + p * kPanel, lanes);
      }
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const int64_t t = rows * tile / tiles, t_end = rows * (tile + 1) / tiles;
        kernels.int_tile({weights, scales, rows_from(all, blocks, row + t),
                          static_cast<int>(t_end - t), static_cast<int>(lanes), b, end,
                          sums + t * lanes},
                         blocks);
      }
      b = end;
    }
    store_sums(sums, lanes, first * kPanel, bias, y.slice_rows(row, rows));
  });
}

}  // namespace

void matmul(const KernelTable& kernels, Device& device, Matrix x, const PackedWeight& w,
            const float* bias, Matrix y) {
  check_matmul(x, w, y);
  if (x.rows == 0) return;
  const auto& weight = static_cast<const CpuWeight&>(w);
  const bool few = x.rows <= kVectorRows;
  if (weight.quantized) {
    const auto& quant = static_cast<const QuantPanels&>(weight);
    (few ? quant_vectors : quant_matrix)(kernels, device, x, quant, bias, y);
  } else {
    const auto& panels = static_cast<const FloatPanels&>(weight);
    (few ? float_vectors : float_matrix)(kernels, device, x, panels, bias, y);
  }
}

}  // namespace awq::cpu
