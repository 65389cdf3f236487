// Which kernel a product with a quantized weight takes, and the steps around it.
#include <algorithm>

#include "kernels/cuda/blas.h"
#include "kernels/cuda/tile_product.h"
#include "kernels/cuda/warpgroup_product.h"

namespace awq::cuda {
namespace {

constexpr int64_t kSlabBytes = int64_t{128} << 20;  // of decoded weight at once
constexpr int kMaxSplits = 32;
enum Slot { kDecoded = 0, kActivations = 1, kPartial = 2 };

bool try_strips(CudaDevice& device, Matrix x, std::span<const QuantTilesCuda* const> weights,
                const float* bias, std::span<const Matrix> ys) {
  const TileShape& shape = weights.front()->shape;
  StripArgs a{};
  for (const QuantTilesCuda* w : weights) {
    if (w->shape.bits != shape.bits || w->shape.groups != shape.groups || w->in != shape.in) {
      return false;
    }
    const Matrix& y = ys[static_cast<size_t>(a.count)];
    a.segments[a.count++] = {w->codes(), w->meta(), bias, y.data, y.stride,
                             static_cast<int>(w->out), a.strips};
    a.strips += static_cast<int>(w->shape.strips());
  }
  a.x = x.data;
  a.x_stride = x.stride;
  a.tokens = static_cast<int>(x.rows);
  a.in = static_cast<int>(shape.in);
  a.strip_tiles = static_cast<int>(shape.strip_tiles());
  return tile_kernels(shape.bits).strips(device, shape.groups, a);
}

/// How many shares of the inputs keep the multiprocessors busy: the least time by a model in which
/// a step of a block moves 17 KB at its part of the memory rate, and partial sums pass through L2.
int choose_splits(const CudaDevice& device, const TileShape& shape, int64_t tokens, int resident) {
  const int64_t rows = (shape.strips() + kWarps - 1) / kWarps, tiles = shape.strip_tiles();
  const int processors = device.multiprocessors();
  double best_us = 1e30;
  int best = 1;
  for (int s = 1; s <= std::min<int64_t>(kMaxSplits, tiles); ++s) {
    const int64_t blocks = rows * s;
    const int64_t beside = std::min<int64_t>(resident, (blocks + processors - 1) / processors);
    const int64_t waves = (blocks + beside * processors - 1) / (beside * processors);
    const auto step_us = 0.18 * shape.bits * static_cast<double>(beside);
    double us = static_cast<double>(waves * ((tiles + s - 1) / s + 3)) * step_us;
    if (s > 1) us += 1.5 + static_cast<double>(s * tokens * shape.out) * 8 / 4e6;
    if (us < best_us) best_us = us, best = s;
  }
  return best;
}

/// Column groups for `tokens`: the fewest that hold them, or the most that fit in shared memory.
int choose_cols(const TileKernels& kernels, int groups, int64_t tokens, size_t shared) {
  int cols = 1;
  while (cols < 8 && cols * 8 < tokens) cols *= 2;
  while (cols > 1 && kernels.block_bytes(groups, cols) > shared) cols /= 2;
  return cols;
}

bool try_blocks(CudaDevice& device, Matrix x, const QuantTilesCuda& w, const float* bias,
                Matrix y) {
  const TileShape& shape = w.shape;
  const TileKernels& kernels = tile_kernels(shape.bits);
  const size_t shared = device.shared_bytes();
  if (kernels.block_bytes(shape.groups, 1) > shared) return false;
  const int widest = choose_cols(kernels, shape.groups, x.rows, shared);
  const int64_t padded_rows = (x.rows + widest * 8 - 1) / (widest * 8) * widest * 8;
  const int64_t padded_cols = shape.strip_tiles() * kTileInputs;
  auto* halves = static_cast<__half*>(
      device.scratch(kActivations, static_cast<size_t>(padded_rows * padded_cols) * 2));
  store_halves(device, x, halves, padded_rows, padded_cols);
  for (int64_t first = 0; first < x.rows; first += widest * 8) {
    const int64_t tokens = std::min<int64_t>(widest * 8, x.rows - first);
    const int cols = choose_cols(kernels, shape.groups, tokens, shared);
    // An SM has 1 KB more than a block may use, and takes 1 KB of each block for itself.
    const size_t block = kernels.block_bytes(shape.groups, cols);
    const int resident =
        2 * (block + 1024) <= shared + 1024 ? resident_blocks(shape.groups, cols) : 1;
    const int splits = choose_splits(device, shape, tokens, resident);
    const Matrix part = y.slice_rows(first, tokens);
    BlockArgs a;
    a.codes = w.codes(), a.meta = w.meta();
    a.x = halves + first * padded_cols;
    a.bias = bias, a.y = part.data, a.y_stride = part.stride, a.partial = nullptr;
    if (splits > 1) {
      a.partial = static_cast<float*>(
          device.scratch(kPartial, static_cast<size_t>(splits * tokens * w.out) * sizeof(float)));
    }
    a.tokens = static_cast<int>(tokens), a.out = static_cast<int>(w.out);
    a.strips = static_cast<int>(shape.strips());
    a.strip_tiles = static_cast<int>(shape.strip_tiles());
    a.splits = splits;
    kernels.blocks(device, shape.groups, cols, a);
    if (splits > 1) sum_splits(device, a.partial, splits, bias, part);
  }
  return true;
}

void multiply_dense(CudaDevice& device, Matrix x, const QuantTilesCuda& w, const float* bias,
                    Matrix y) {
  const int64_t inputs = w.shape.strip_tiles() * kTileInputs;
  auto* halves =
      static_cast<__half*>(device.scratch(kActivations, static_cast<size_t>(x.rows * inputs) * 2));
  store_halves(device, x, halves, x.rows, inputs);
  multiply_decoded(device, halves, w, bias, y);
}

}  // namespace

const TileKernels& tile_kernels(int bits) {
  switch (bits) {
    case 2: return kTileKernels2;
    case 3: return kTileKernels3;
    case 4: return kTileKernels4;
    default: AWQ_CHECK(bits == 8, bits); return kTileKernels8;
  }
}

void multiply_tiles(CudaDevice& device, Matrix x, const QuantTilesCuda& w, const float* bias,
                    Matrix y, TilePath path) {
  const bool warpgroups = has_warpgroups(device) && w.fits_halves;
  if (path == TilePath::best) path = choose_path(w.shape, x.rows, warpgroups);
  if (path == TilePath::dense && !w.fits_halves) path = TilePath::blocks;  // these scale in float
  const QuantTilesCuda* const weight = &w;
  if (path == TilePath::strips && x.rows <= 8 &&
      try_strips(device, x, {&weight, 1}, bias, {&y, 1})) {
    return;
  }
  if (path == TilePath::warpgroups && warpgroups) {
    const auto plan = plan_warpgroups(w.shape, x.rows, device.multiprocessors());
    return multiply_warpgroups(device, x, w, bias, y, plan);
  }
  if (path != TilePath::dense && try_blocks(device, x, w, bias, y)) return;
  multiply_dense(device, x, w, bias, y);
}

void multiply_decoded(CudaDevice& device, const void* halves, const QuantTilesCuda& w,
                      const float* bias, Matrix y) {
  const TileShape& shape = w.shape;
  const int64_t inputs = shape.strip_tiles() * kTileInputs, strip_bytes = kTileRows * inputs * 2;
  const int64_t slab = std::clamp<int64_t>(kSlabBytes / strip_bytes, 1, shape.strips());
  auto* decoded =
      static_cast<__half*>(device.scratch(kDecoded, static_cast<size_t>(slab * strip_bytes)));
  if (bias != nullptr) fill_rows(device, bias, y);
  for (int64_t strip = 0; strip < shape.strips(); strip += slab) {
    const int64_t count = std::min(slab, shape.strips() - strip);
    const int64_t tile = strip * shape.strip_tiles(), row = strip * kTileRows;
    DecodeArgs a;
    a.codes = w.codes() + tile * shape.code_bytes();
    a.meta = w.meta() + tile * shape.meta_bytes();
    a.w = decoded;
    a.tiles = static_cast<int>(count * shape.strip_tiles());
    a.strip_tiles = static_cast<int>(shape.strip_tiles());
    tile_kernels(shape.bits).decode(device, shape.groups, a);
    gemm_f16(device, decoded, DType::f16, halves, y.data + row,
             std::min(count * kTileRows, w.out - row), inputs, y.rows, y.stride,
             bias == nullptr ? 0.f : 1.f);
  }
}

bool multiply_together(CudaDevice& device, Matrix x, std::span<const QuantTilesCuda* const> weights,
                       std::span<const Matrix> ys) {
  AWQ_CHECK(!weights.empty() && weights.size() <= StripArgs::kSegments &&
            ys.size() == weights.size() && x.rows <= 8, weights.size(), ys.size(), x.rows);
  return try_strips(device, x, weights, nullptr, ys);
}

}  // namespace awq::cuda
