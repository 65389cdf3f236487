// Norms, positions, activations and sums, one block per row. Sums run in a fixed order.
#include <algorithm>

#include "kernels/check_shapes.h"
#include "kernels/cuda/activate.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/rows.h"

namespace awq::cuda {
namespace {

struct NormRow {
  float* x;
  float* y;
  int64_t x_stride, y_stride, dim, heads;
  const float *weight, *bias;
  float epsilon, offset;
  bool layer;
  const float* added;  // the branch that joins x first, which is written back; or null
  int64_t added_stride;
};

// Each thread holds up to kHeld values of the row, so that all its loads are under way at once; what
// of a very wide row is beyond them is read again where it is needed.
constexpr int kHeld = 8;

__global__ void __launch_bounds__(1024) norm_rows(NormRow n) {
  __shared__ float shared[32];
  const int64_t row = blockIdx.x / n.heads, head = blockIdx.x % n.heads;
  float* x = n.x + row * n.x_stride + head * n.dim;
  float* y = n.y + row * n.y_stride + head * n.dim;
  const float* added =
      n.added == nullptr ? nullptr : n.added + row * n.added_stride + head * n.dim;
  const auto step = static_cast<int64_t>(blockDim.x), beyond = kHeld * step + threadIdx.x;
  float held[kHeld];
#pragma unroll
  for (int j = 0; j < kHeld; ++j) {
    const int64_t i = threadIdx.x + j * step;
    held[j] = i < n.dim ? x[i] : 0;
    if (added != nullptr && i < n.dim) held[j] += added[i];
  }
  if (added != nullptr) {
#pragma unroll
    for (int j = 0; j < kHeld; ++j) {
      if (threadIdx.x + j * step < n.dim) x[threadIdx.x + j * step] = held[j];
    }
    for (int64_t i = beyond; i < n.dim; i += step) x[i] += added[i];
  }
  const auto dim = static_cast<float>(n.dim);
  float mean = 0;
  if (n.layer) {
#pragma unroll
    for (int j = 0; j < kHeld; ++j) mean += held[j];
    for (int64_t i = beyond; i < n.dim; i += step) mean += x[i];
    mean = block_sum(mean, shared) / dim;
  }
  float square = 0;
#pragma unroll
  for (int j = 0; j < kHeld; ++j) {
    const float d = threadIdx.x + j * step < n.dim ? held[j] - mean : 0;
    square += d * d;
  }
  for (int64_t i = beyond; i < n.dim; i += step) square += (x[i] - mean) * (x[i] - mean);
  const float factor = 1.0f / sqrtf(block_sum(square, shared) / dim + n.epsilon);
  const auto finish = [&](int64_t i, float value) {
    value = (value - mean) * factor * (n.weight[i] + n.offset);
    y[i] = n.bias == nullptr ? value : value + n.bias[i];
  };
#pragma unroll
  for (int j = 0; j < kHeld; ++j) {
    if (threadIdx.x + j * step < n.dim) finish(threadIdx.x + j * step, held[j]);
  }
  for (int64_t i = beyond; i < n.dim; i += step) finish(i, x[i]);
}

void launch_norm(Device& device, const NormArgs& args, Matrix x, const Matrix* added) {
  if (x.rows == 0) return;
  const NormRow row{x.data, args.y.data, x.stride, args.y.stride, x.cols / args.heads, args.heads,
                    args.weight, args.bias, args.epsilon, args.weight_offset,
                    args.kind == NormKind::layer, added == nullptr ? nullptr : added->data,
                    added == nullptr ? 0 : added->stride};
  const auto threads = static_cast<unsigned>(std::clamp<int64_t>((row.dim + 127) / 128 * 32, 32, 1024));
  norm_rows<<<static_cast<unsigned>(x.rows * args.heads), threads, 0,
              cuda_device(device).stream()>>>(row);
  check_launch("a norm");
}

// Host arrays travel as an argument of the kernel: no copy, nothing to wait for.
constexpr int kRopeRows = 512, kRopePairs = 128;
struct RopeRows {
  float* x;
  int64_t stride;
  int heads, head_dim, half;
  float magnitude;
  bool interleaved;
  int32_t positions[kRopeRows];
  float frequency[kRopePairs];
};
static_assert(sizeof(RopeRows) <= 4096, "what a kernel may be given");

__global__ void rope_rows(const __grid_constant__ RopeRows r) {
  float* row = r.x + blockIdx.x * r.stride;
  const auto position = static_cast<float>(r.positions[blockIdx.x]);
  for (int i = threadIdx.x; i < r.heads * r.half; i += blockDim.x) {
    const int head = i / r.half, pair = i % r.half;
    float* first = row + head * r.head_dim + (r.interleaved ? 2 * pair : pair);
    float* second = first + (r.interleaved ? 1 : r.half);
    const float2 turned = rotate(*first, *second, position * r.frequency[pair], r.magnitude);
    *first = turned.x;
    *second = turned.y;
  }
}

// One thread per element of [rows, cols]: y = f(x, y, row, column).
template <class F>
__global__ void each_element(Matrix x, Matrix y, F f) {
  const int64_t column = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (column >= x.cols) return;
  for (int64_t row = blockIdx.y; row < x.rows; row += gridDim.y) {
    float& to = y.data[row * y.stride + column];
    to = f(x.data[row * x.stride + column], to, row, column);
  }
}

template <class F>
void launch_each(Device& device, Matrix x, Matrix y, F f) {
  if (x.rows * x.cols == 0) return;
  const dim3 grid(static_cast<unsigned>((x.cols + kRowThreads - 1) / kRowThreads),
                  static_cast<unsigned>(std::min<int64_t>(x.rows, 65535)));
  each_element<<<grid, kRowThreads, 0, cuda_device(device).stream()>>>(x, y, f);
  check_launch("an elementwise op");
}

// Rows named by the host travel as an argument of the kernel too.
constexpr int kMovedRows = 256;
struct MovedRows {
  Matrix many, few;
  int32_t rows[kMovedRows];
  float weights[kMovedRows];
};

__global__ void gather_rows(const __grid_constant__ MovedRows m) {
  const float* from = m.many.data + m.rows[blockIdx.x] * m.many.stride;
  float* to = m.few.data + blockIdx.x * m.few.stride;
  for (int64_t i = threadIdx.x; i < m.few.cols; i += blockDim.x) to[i] = from[i];
}

__global__ void scatter_rows(const __grid_constant__ MovedRows m) {
  const float* from = m.few.data + blockIdx.x * m.few.stride;
  float* to = m.many.data + m.rows[blockIdx.x] * m.many.stride;
  const float weight = m.weights[blockIdx.x];
  for (int64_t i = threadIdx.x; i < m.few.cols; i += blockDim.x) to[i] += weight * from[i];
}

// `weights` empty: gather.
void move_rows(Device& device, Matrix many, std::span<const int32_t> rows,
               std::span<const float> weights, Matrix few) {
  check_rows(many, rows, few);
  for (size_t first = 0; first < rows.size(); first += kMovedRows) {
    const size_t count = std::min<size_t>(kMovedRows, rows.size() - first);
    MovedRows moved;
    moved.many = many;
    moved.few = few.slice_rows(static_cast<int64_t>(first), static_cast<int64_t>(count));
    std::copy_n(rows.begin() + first, count, moved.rows);
    if (!weights.empty()) std::copy_n(weights.begin() + first, count, moved.weights);
    const auto kernel = weights.empty() ? gather_rows : scatter_rows;
    kernel<<<static_cast<unsigned>(count), kRowThreads, 0, cuda_device(device).stream()>>>(moved);
    check_launch("a move of rows");
  }
}

__global__ void sum_columns(Matrix x, double* sums) {
  const int64_t column = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (column >= x.cols) return;
  double sum = 0;
  for (int64_t row = 0; row < x.rows; ++row) sum += fabsf(x.data[row * x.stride + column]);
  sums[column] += sum;
}

}  // namespace

void norm(Device& device, const NormArgs& args) {
  check_norm(args);
  launch_norm(device, args, args.x, nullptr);
}

void add_norm(Device& device, Matrix x, Matrix residual, const NormArgs& args) {
  check_same_shape(x, residual);
  check_norm(args);
  launch_norm(device, args, residual, &x);
}

void rope(Device& device, const RopeArgs& args) {
  check_rope(args);
  if (args.x.rows == 0) return;
  AWQ_CHECK(args.rotary_dim <= 2 * kRopePairs, args.rotary_dim);
  RopeRows rows{nullptr, args.x.stride, static_cast<int>(args.heads),
                static_cast<int>(args.head_dim), static_cast<int>(args.rotary_dim / 2),
                args.magnitude, args.pairing == RopePairing::interleaved, {}, {}};
  std::copy(args.inverse_frequency.begin(), args.inverse_frequency.end(), rows.frequency);
  for (int64_t first = 0; first < args.x.rows; first += kRopeRows) {
    const int64_t count = std::min<int64_t>(kRopeRows, args.x.rows - first);
    rows.x = args.x.row(first);
    std::copy_n(args.positions.begin() + first, count, rows.positions);
    rope_rows<<<static_cast<unsigned>(count), kRowThreads, 0, cuda_device(device).stream()>>>(rows);
    check_launch("RoPE");
  }
}

void act(Device& device, Activation kind, Matrix x, Matrix y) {
  check_same_shape(x, y);
  launch_each(device, x, y, [kind] __device__(float v, float, int64_t, int64_t) {
    return activate(kind, v);
  });
}

void act_mul(Device& device, Activation kind, Matrix gate, Matrix up, Matrix y) {
  check_same_shape(gate, y);
  check_same_shape(up, y);
  launch_each(device, gate, y, [kind, up] __device__(float v, float, int64_t row, int64_t column) {
    return activate(kind, v) * up.data[row * up.stride + column];
  });
}

void add(Device& device, Matrix x, Matrix y) {
  check_same_shape(x, y);
  launch_each(device, x, y, [] __device__(float v, float w, int64_t, int64_t) { return v + w; });
}

void scale_columns(Device& device, Matrix x, const float* s, Matrix y) {
  check_same_shape(x, y);
  launch_each(device, x, y, [s] __device__(float v, float, int64_t, int64_t column) {
    return v * s[column];
  });
}

void scale(Device& device, Matrix x, float s) {
  launch_each(device, x, x, [s] __device__(float v, float, int64_t, int64_t) { return v * s; });
}

void softcap(Device& device, Matrix x, float c) {
  launch_each(device, x, x, [c] __device__(float v, float, int64_t, int64_t) {
    return c * tanhf(v / c);
  });
}

void clamp(Device& device, Matrix x, float limit) {
  launch_each(device, x, x, [limit] __device__(float v, float, int64_t, int64_t) {
    return fminf(fmaxf(v, -limit), limit);
  });
}

void gather(Device& device, Matrix x, std::span<const int32_t> rows, Matrix y) {
  move_rows(device, x, rows, {}, y);
}

void scatter_add(Device& device, Matrix x, std::span<const int32_t> rows,
                 std::span<const float> weights, Matrix y) {
  AWQ_CHECK(weights.size() == rows.size(), weights.size());
  move_rows(device, y, rows, weights, x);
}

void abs_sum(Device& device, Matrix x, double* sums) {
  if (x.cols == 0) return;
  sum_columns<<<static_cast<unsigned>((x.cols + 127) / 128), 128, 0,
                cuda_device(device).stream()>>>(x, sums);
  check_launch("a sum of columns");
}

}  // namespace awq::cuda
