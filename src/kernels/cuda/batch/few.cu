#include "kernels/cuda/batch/few.h"

#include <algorithm>
#include <array>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/tile_product.h"
#include "kernels/cuda/warpgroup_product.h"

namespace awq::cuda::batch {
namespace {

struct Begin {
  Matrix x;
  const float* weight;
  __half* y;
  int share;
  float *squares, *power;
  float epsilon;
};

// A block a row.
__global__ void __launch_bounds__(256) begin_kernel(const __grid_constant__ Begin b) {
  __shared__ float shared[32];
  const int row = static_cast<int>(blockIdx.x), tokens = static_cast<int>(gridDim.x);
  const float* x = b.x.data + row * b.x.stride;
  let_next_start();
  wait_for_previous();
  float square = 0;
  for (int i = static_cast<int>(threadIdx.x); i < b.x.cols; i += blockDim.x) {
    const float v = __ldcg(x + i);
    square += v * v;
  }
  square = block_sum(square, shared);
  const float power = few_power(square / static_cast<float>(b.x.cols) + b.epsilon);
  for (int i = static_cast<int>(threadIdx.x); i < b.x.cols; i += blockDim.x) {
    const uint32_t halves = activation_halves(__ldcg(x + i) * b.weight[i] / power, 0);
    reinterpret_cast<uint16_t*>(b.y)[share_place(tokens, b.share, row, i)] = static_cast<uint16_t>(halves);
  }
  if (threadIdx.x == 0) b.squares[row] = square, b.power[row] = power;
}

const QuantTilesCuda* tiles_of(const PackedWeight* weight) {
  const auto* w = static_cast<const CudaWeight*>(weight);
  return w->kind == CudaWeight::Kind::tiles ? static_cast<const QuantTilesCuda*>(w) : nullptr;
}

FewWeights cut(std::span<const PackedWeight* const> weights, int shares) {
  FewWeights all{};
  all.shares = shares;
  for (const PackedWeight* weight : weights) {
    const QuantTilesCuda& w = *tiles_of(weight);
    all.segments[all.count++] = {w.codes(), w.meta(), nullptr, 0, static_cast<int>(w.out), all.units};
    all.units += static_cast<int>(w.shape.strips());
  }
  const TileShape& shape = tiles_of(weights.front())->shape;
  all.paired = weights.size() == 2;  // gate and up
  if (all.paired) all.units /= 2;
  all.strip_tiles = static_cast<int>(shape.strip_tiles());
  all.share_tiles = static_cast<int>(share_inputs(shape.in, shares) / kTileInputs);
  return all;
}

/// The weights of a product of so many rows, gate and up paired; the inputs in one piece where shared memory
/// holds them. No units where it cannot be.
FewWeights few_weights(const CudaDevice& device, std::span<const PackedWeight* const> weights, int64_t rows) {
  const QuantTilesCuda* first = tiles_of(weights.front());
  if (first == nullptr || first->in % kTileInputs != 0) return {};
  for (const PackedWeight* weight : weights) {
    const QuantTilesCuda* w = tiles_of(weight);
    if (w == nullptr || w->shape.bits != first->shape.bits || w->shape.groups != first->shape.groups ||
        w->out % kTileRows != 0) {
      return {};
    }
  }
  for (const int shares : {1, 2}) {
    FewArgs a{};
    a.weights = cut(weights, shares);
    a.tokens = static_cast<int>(rows);
    if (few_kernels(first->shape.bits).stages(device, first->shape.groups, a) >= kFewestStages) return a.weights;
  }
  return {};
}

std::array<const PackedWeight*, 3> qkv_of(const DecodeLayer& l) { return {l.q, l.k, l.v}; }
std::array<const PackedWeight*, 2> gate_up_of(const DecodeLayer& l) { return {l.gate, l.up}; }

}  // namespace

bool FewRows::fits(int64_t rows) const {
  if (rows > kFewTokens || !has_warpgroups(device_)) return false;
  const auto takes = [&](std::span<const PackedWeight* const> weights) {
    return few_weights(device_, weights, rows).units > 0;
  };
  return std::all_of(spec_.layers.begin(), spec_.layers.end(), [&](const DecodeLayer& l) {
    return takes(qkv_of(l)) && takes(std::array{l.o}) && takes(gate_up_of(l)) && takes(std::array{l.down});
  });
}

bool FewRows::reserve(int64_t rows) {
  bool moved = false;
  const auto grow = [&](DeviceBuffer& buffer, int64_t bytes) {
    moved |= static_cast<size_t>(bytes) > buffer.size();
    buffer.reserve(device_, static_cast<size_t>(bytes));
  };
  grow(wide_, 2 * share_halves(rows, std::max(spec_.ffn, spec_.heads * spec_.head_dim)));
  grow(normed_, 2 * share_halves(rows, spec_.hidden));
  grow(facts_, static_cast<int64_t>(sizeof(float)) * kFewTokens * (parts() + 2));
  return moved;
}

void FewRows::begin(Matrix x) const {
  const DecodeLayer& first = spec_.layers.front();
  const int share = few_weights(device_, qkv_of(first), x.rows).share_tiles * static_cast<int>(kTileInputs);
  const Begin b{x, first.attn_norm.weight, normed(), share, squares(), attn_power(), spec_.epsilon};
  launch(device_, "a norm", begin_kernel, static_cast<unsigned>(x.rows), 256, 0, b);
}

void FewRows::qkv(size_t l, Matrix q, Matrix k, Matrix v) const {
  const DecodeLayer& layer = spec_.layers[l];
  FewArgs a = args(qkv_of(layer), {}, FewEnd::store, normed(), q.rows);
  const Matrix ys[] = {q, k, v};
  for (int i = 0; i < 3; ++i) {
    a.weights.segments[i].y = ys[i].data, a.weights.segments[i].y_stride = ys[i].stride;
  }
  set_norm(a, l == 0 ? 1 : clusters_of(spec_.layers[l - 1].down, q.rows), attn_power(), ffn_power());
  run(*layer.q, a);
}

Inputs FewRows::attended(size_t l, int64_t rows) const {
  const FewWeights o = few_weights(device_, std::array{spec_.layers[l].o}, rows);
  return {Layout::shares, wide_.as<__half>(), rows, o.strip_tiles * static_cast<int>(kTileInputs) / 8,
          o.share_tiles * static_cast<int>(kTileInputs)};
}

int FewRows::clusters_of(const PackedWeight* weight, int64_t rows) const {
  return few_clusters(device_, few_weights(device_, {&weight, 1}, rows));
}

void FewRows::o(size_t l, Matrix x) const {
  const DecodeLayer& layer = spec_.layers[l];
  FewArgs a = args(std::array{layer.o}, gate_up_of(layer), FewEnd::residual, wide(), x.rows);
  add_residual(a, x, layer.ffn_norm.weight, ffn_power());
  run(*layer.o, a);
}

void FewRows::gate_up(size_t l, int64_t rows) const {
  const DecodeLayer& layer = spec_.layers[l];
  FewArgs a = args(gate_up_of(layer), std::array{layer.down}, FewEnd::activate, normed(), rows);
  a.activation = spec_.activation;
  a.next = wide();
  set_norm(a, clusters_of(layer.o, rows), ffn_power(), attn_power());
  run(*layer.gate, a);
}

void FewRows::down(size_t l, Matrix x) const {
  const DecodeLayer& layer = spec_.layers[l];
  // Behind the last block nobody reads the next inputs.
  const DecodeLayer& next = spec_.layers[std::min(l + 1, spec_.layers.size() - 1)];
  FewArgs a = args(std::array{layer.down}, qkv_of(next), FewEnd::residual, wide(), x.rows);
  add_residual(a, x, next.attn_norm.weight, attn_power());
  run(*layer.down, a);
}

FewArgs FewRows::args(std::span<const PackedWeight* const> weights,
                      std::span<const PackedWeight* const> next, FewEnd end, const __half* x,
                      int64_t rows) const {
  const TileShape& shape = tiles_of(weights.front())->shape;
  FewArgs a{};
  a.weights = few_weights(device_, weights, rows);
  if (!next.empty()) {
    a.next_share = few_weights(device_, next, rows).share_tiles * static_cast<int>(kTileInputs);
  }
  a.end = end;
  a.x = x;
  a.tokens = static_cast<int>(rows);
  a.stages = few_kernels(shape.bits).stages(device_, shape.groups, a);
  return a;
}

void FewRows::run(const PackedWeight& first, const FewArgs& a) const {
  const TileShape& shape = tiles_of(&first)->shape;
  few_kernels(shape.bits).run(device_, shape.groups, a);
}

void FewRows::add_residual(FewArgs& a, Matrix x, const float* norm, const float* power) const {
  a.residual = x.data, a.residual_stride = x.stride;
  a.weight = norm, a.power = power, a.squares = squares();
  a.next = normed();
}

void FewRows::set_norm(FewArgs& a, int parts, const float* power, float* next_power) const {
  a.norm = {squares(), parts, 1 / static_cast<float>(spec_.hidden), spec_.epsilon, power, next_power};
}

}  // namespace awq::cuda::batch
