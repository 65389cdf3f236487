// Matrix products. A few rows of x: each panel of the weight is read once for all of them. Many
// rows: a tile of panels is unpacked into scratch that stays in the L2 cache and multiplied by
// blocks of rows.
#include <algorithm>
#include <cstring>

#include "kernels/check_shapes.h"
#include "kernels/cpu/int_rows.h"
#include "kernels/cpu/launch.h"
#include "kernels/cpu/row_product.h"
#include "kernels/cpu/scratch.h"

namespace awq::cpu {
namespace {

constexpr int64_t kTokenBlock = 132;         // most rows of x against one unpacked tile
constexpr int64_t kBlockBytes = 512 << 10;  // of x that stay in the L2 cache from tile to tile
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

// Asks for the lines that store_sums will write: a column of a wide matrix lies in as many pages.
void prefetch_sums(int64_t lanes, int64_t column, Matrix y) {
  constexpr int64_t kLine = 16;  // floats
  for (int64_t t = 0; t < y.rows; ++t) {
    for (int64_t i = 0; i < lanes && column + i < y.cols; i += kLine) {
      __builtin_prefetch(y.row(t) + column + i, 1);
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

// Calls f(first panel, panels of the tile, first row, rows) for all tiles; a row of x has `row_bytes`.
template <class F>
void for_tiles(const KernelTable& kernels, Device& device, const CpuWeight& w, int64_t rows,
               int64_t row_bytes, F&& f) {
  const int64_t width = kernels.tile_lanes / kPanel;
  const int64_t tiles = (w.panels() + width - 1) / width;
  const int64_t fitting = kBlockBytes / row_bytes / kernels.tile_tokens * kernels.tile_tokens;
  const int64_t most = std::clamp<int64_t>(fitting, 3 * kernels.tile_tokens, kTokenBlock);
  const int64_t blocks = (rows + most - 1) / most;
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
  for_tiles(kernels, device, w, x.rows, kDepth * 4, [&](int64_t first, int64_t panels, int64_t row,
                                                        int64_t rows) {
    const int64_t lanes = panels * kPanel;
    float* weights = scratch_of<float>(Scratch::weights, kDepth * kMaxLanes);
    float* sums = scratch_of<float>(Scratch::sums, kTokenBlock * kMaxLanes);
    const int64_t tiles = (rows + kernels.tile_tokens - 1) / kernels.tile_tokens;
    for (int64_t k = 0; k < w.in; k += kDepth) {
      const int64_t depth = std::min(kDepth, w.in - k);
      for (int64_t p = 0; p < panels; ++p) {
        const std::byte* from = w.panel(first + p) + static_cast<size_t>(k * kPanel) * w.element;
        kernels.widen[w.format](from, depth, weights + p * kPanel, lanes);
      }
      const bool last = k + depth == w.in;
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const int64_t t = rows * tile / tiles, count = rows * (tile + 1) / tiles - t;
        const Matrix to = y.slice_rows(row + t, count);
        if (last) prefetch_sums(lanes, first * kPanel, to);
        kernels.product({x.row(row + t) + k, x.stride, 1, weights, lanes, sums + t * lanes, lanes,
                         count, lanes, depth, k > 0 ? 1 : 0});
        if (last) store_sums(sums + t * lanes, lanes, first * kPanel, bias, to);
      }
    }
  });
}

// x as integers, in scratch of the calling thread.
IntRows quantize_rows(const KernelTable& kernels, Device& device, Matrix x, const BlockList& blocks) {
  const IntRowsLayout layout(blocks, x.rows, kernels.planes);
  const IntRows rows = layout.at(scratch(Scratch::activations, layout.bytes()));
  for_rows(device, x.rows, x.cols, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      kernels.quantize(x.row(t), blocks, rows_from(rows, blocks, t));
    }
  });
  return rows;
}

void quant_vectors(const KernelTable& kernels, Device& device, const IntRows& rows,
                   const QuantPanels& w, const float* bias, Matrix y) {
  const BlockList blocks = w.blocks();
  stream_panels(device, w, [&](int64_t p) {
    alignas(64) float sums[kVectorRows * kPanel];
    kernels.quant_vector[w.format](w.panel(p), blocks, rows, static_cast<int>(y.rows), sums);
    store_sums(sums, kPanel, p * kPanel, bias, y);
  });
}

// Blocks [first, result) hold at most kDepth inputs, and at least one block.
int32_t end_of_depth(const BlockList& blocks, int32_t first) {
  int32_t end = first + 1;
  while (end < blocks.count && (blocks.unit[end + 1] - blocks.unit[first]) * kUnit <= kDepth) ++end;
  return end;
}

void quant_matrix(const KernelTable& kernels, Device& device, const IntRows& all,
                  const QuantPanels& w, const float* bias, Matrix y) {
  const BlockList blocks = w.blocks();
  for_tiles(kernels, device, w, y.rows, all.stride, [&](int64_t first, int64_t panels, int64_t row,
                                                        int64_t rows) {
    const int64_t lanes = panels * kPanel, tile_rows = kernels.tile_tokens;
    auto* weights = scratch_of<int32_t>(Scratch::weights, kDepth / 4 * kMaxLanes);
    constexpr int64_t kCells = kDepth / kUnit * kMaxLanes;
    auto* zeros = scratch_of<int32_t>(Scratch::partial, kCells * 2);
    auto* scales = reinterpret_cast<float*>(zeros + kCells);
    float* sums = scratch_of<float>(Scratch::sums, kTokenBlock * kMaxLanes);
    std::fill_n(sums, rows * lanes, 0.0f);
    const int64_t tiles = (rows + tile_rows - 1) / tile_rows;
    for (int32_t b = 0; b < blocks.count;) {
      const int32_t end = end_of_depth(blocks, b);
      for (int64_t p = 0; p < panels; ++p) {
        kernels.unpack[w.format](w.panel(first + p), blocks, b, end, weights + p * kPanel,
                                 zeros + p * kPanel, scales + p * kPanel, lanes);
      }
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const int64_t t = rows * tile / tiles, count = rows * (tile + 1) / tiles - t;
        const Matrix to = y.slice_rows(row + t, count);
        if (end == blocks.count) prefetch_sums(lanes, first * kPanel, to);
        kernels.int_tile({weights, zeros, scales, rows_from(all, blocks, row + t),
                          w.format == kInt8 ? 1 : 0, static_cast<int>(count),
                          static_cast<int>(lanes), b, end, sums + t * lanes},
                         blocks);
        if (end == blocks.count) store_sums(sums + t * lanes, lanes, first * kPanel, bias, to);
      }
      b = end;
    }
  });
}

}  // namespace

void matmuls(const KernelTable& kernels, Device& device, Matrix x,
             std::span<const ProductArgs> products) {
  for (const ProductArgs& p : products) check_matmul(x, *p.weight, p.y);
  if (x.rows == 0) return;
  const bool few = x.rows <= kVectorRows;
  const CpuWeight* rounded_for = nullptr;
  IntRows rows = {};
  for (const ProductArgs& p : products) {
    const auto& weight = static_cast<const CpuWeight&>(*p.weight);
    if (!weight.quantized) {
      const auto& panels = static_cast<const FloatPanels&>(weight);
      (few ? float_vectors : float_matrix)(kernels, device, x, panels, p.bias, p.y);
      continue;
    }
    const auto& quant = static_cast<const QuantPanels&>(weight);
    if (rounded_for == nullptr || !same_operand(*rounded_for, weight)) {
      rows = quantize_rows(kernels, device, x, quant.blocks());
      rounded_for = &weight;
    }
    (few ? quant_vectors : quant_matrix)(kernels, device, rows, quant, p.bias, p.y);
  }
}

}  // namespace awq::cpu
