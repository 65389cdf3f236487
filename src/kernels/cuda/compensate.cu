// GPTQ's rounding on the device: the arithmetic of quant/gptq.cc, in the same order, but for the
// order of sums within a product.
#include "kernels/cuda/compensate.h"

#include <algorithm>

#include "kernels/cuda/blas.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/rounding.cuh"

namespace awq::cuda {
namespace {

constexpr int kBlock = 128;  // columns between two updates of all that follow
constexpr int kPart = 32;    // of them whose rows of the factor lie in shared memory at a time
constexpr int kOwned = kBlock / 32;  // columns of a lane
constexpr int kWarps = 8;            // rows of a thread block
constexpr int64_t kSlabBytes = int64_t{512} << 20;

// What is written of the rows that a kernel rounds.
struct CodePointers {
  uint8_t* codes;
  __half* scales;
  uint8_t* zeros;
};

CodePointers pointers_of(const CodeBuffers& to, const GroupShape& shape, int64_t first) {
  return {to.codes + first * shape.in, reinterpret_cast<__half*>(to.scales) + first * shape.groups,
          to.zeros + first * shape.groups};
}

// A warp per group of a row: its grid, and unless `grids_only` its codes, rounded to nearest.
__global__ void round_nearest_kernel(GroupShape shape, const float* w, const float* keep,
                                     CodePointers to, bool grids_only) {
  const int64_t cell = (blockIdx.x * int64_t{blockDim.x} + threadIdx.x) / 32;
  if (cell >= shape.rows * shape.groups) return;
  const int lane = threadIdx.x % 32;
  const int64_t begin = cell % shape.groups * shape.group;
  const int64_t end = min(begin + shape.group, shape.in);
  const int64_t row = cell / shape.groups * shape.in;
  float low = INFINITY, high = -INFINITY;
  for (int64_t i = begin + lane; i < end; i += 32) {
    low = fminf(low, w[row + i]), high = fmaxf(high, w[row + i]);
  }
  warp_extremes(low, high);
  const GroupGrid grid = grid_of(shape, low, high, keep != nullptr ? keep[cell] : 1);
  if (lane == 0) {
    to.scales[cell] = __float2half_rn(grid.scale);
    to.zeros[cell] = static_cast<uint8_t>(grid.zero);
  }
  if (grids_only) return;
  for (int64_t i = begin + lane; i < end; i += 32) {
    to.codes[row + i] = static_cast<uint8_t>(code_of(shape, grid, w[row + i]));
  }
}

// to[r, i] = from[r, order[i]]
__global__ void gather_columns_kernel(const float* from, const int32_t* order, double* to,
                                      int64_t rows, int64_t in) {
  const int64_t cell = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (cell < rows * in) to[cell] = from[cell / in * in + order[cell % in]];
}

// Columns [begin, begin + n) of the factor's order: a warp per row, a lane owns every 32nd column.
struct ColumnBlock {
  GroupShape shape;
  int64_t begin;
  int n;
  bool static_groups;
  const double* w;      // [rows, in] in the factor's order
  const double* upper;  // [in, in]
  const int32_t* order;
  const float* keep;  // [rows, groups] or null
  CodePointers to;
  double* error;  // [rows, kBlock]: what the columns after these are to take back
};

class RowOfBlock {
 public:
  __device__ RowOfBlock(const ColumnBlock& block, int64_t row)
      : block_(block), row_(row), lane_(static_cast<int>(threadIdx.x % 32)) {
    const GroupShape& shape = block.shape;
    const int64_t cells = row * shape.groups;
#pragma unroll
    for (int k = 0; k < kOwned; ++k) {
      const int column = lane_ + 32 * k;
      w_[k] = column < block.n ? block.w[row * shape.in + block.begin + column] : 0;
      error_[k] = 0;
      code_[k] = 0;
      if (!block.static_groups || column >= block.n) continue;
      const int64_t cell = cells + block.order[block.begin + column] / shape.group;
      scale_[k] = __half2float(block.to.scales[cell]);
      zero_[k] = block.to.zeros[cell];
    }
    if (!block.static_groups) {
      next_group_ = (block.begin + shape.group - 1) / shape.group * shape.group - block.begin;
      if (next_group_ > 0) {  // goes on from the block before
        const int64_t cell = cells + block.begin / shape.group;
        grid_.scale = __half2float(block.to.scales[cell]);
        grid_.zero = block.to.zeros[cell];
      }
    }
  }

  // Column 32 * K + i; `u` is the factor's row of it, from column `begin` on.
  template <int K>
  __device__ void round(int i, const double* u) {
    const int column = 32 * K + i;
    if (!block_.static_groups && column == next_group_) find_group(column);
    const double w = __shfl_sync(~0u, w_[K], i);
    const double scale = block_.static_groups ? __shfl_sync(~0u, scale_[K], i) : grid_.scale;
    const double zero = block_.static_groups ? __shfl_sync(~0u, zero_[K], i) : grid_.zero;
    const double steps = rint(fmin(fmax(__ddiv_rn(w, scale), -4096.0), 4096.0));
    const double code = fmin(fmax(steps + zero, 0.0), static_cast<double>(block_.shape.top()));
    const double error =
        __ddiv_rn(__dsub_rn(w, __dmul_rn(code - zero, scale)), u[column]);
    if (lane_ == i) error_[K] = error, code_[K] = static_cast<uint8_t>(code);
#pragma unroll
    for (int k = K; k < kOwned; ++k) {
      if (lane_ + 32 * k > column) w_[k] = __dsub_rn(w_[k], __dmul_rn(error, u[lane_ + 32 * k]));
    }
  }

  __device__ void write() const {
#pragma unroll
    for (int k = 0; k < kOwned; ++k) {
      const int column = lane_ + 32 * k;
      block_.error[row_ * kBlock + column] = error_[k];
      if (column >= block_.n) continue;
      block_.to.codes[row_ * block_.shape.in + block_.order[block_.begin + column]] = code_[k];
    }
  }

 private:
  // Of the group that begins at `column`, as its columns are now; some may lie beyond this block.
  __device__ void find_group(int column) {
    const GroupShape& shape = block_.shape;
    const int64_t begin = block_.begin + column, end = min(begin + shape.group, shape.in);
    float low = INFINITY, high = -INFINITY;
    const auto see = [&](double value) {
      const float v = __double2float_rn(value);
      low = fminf(low, v), high = fmaxf(high, v);
    };
#pragma unroll
    for (int k = 0; k < kOwned; ++k) {
      const int mine = lane_ + 32 * k;
      if (mine >= column && mine < block_.n && block_.begin + mine < end) see(w_[k]);
    }
    for (int64_t i = block_.begin + kBlock + lane_; i < end; i += 32) {
      see(block_.w[row_ * shape.in + i]);
    }
    warp_extremes(low, high);
    const int64_t cell = row_ * shape.groups + begin / shape.group;
    grid_ = grid_of(shape, low, high, block_.keep != nullptr ? block_.keep[cell] : 1);
    next_group_ += shape.group;
    if (lane_ != 0) return;
    block_.to.scales[cell] = __float2half_rn(grid_.scale);
    block_.to.zeros[cell] = static_cast<uint8_t>(grid_.zero);
  }

  const ColumnBlock& block_;
  int64_t row_, next_group_ = -1;
  int lane_;
  GroupGrid grid_{};
  double w_[kOwned], error_[kOwned];
  float scale_[kOwned], zero_[kOwned];  // of static groups
  uint8_t code_[kOwned];
};

// Rows [32 * K, 32 * K + 32) of the factor's diagonal block into shared memory, then those columns.
template <int K>
__device__ void round_part(const ColumnBlock& block, RowOfBlock& row, bool mine,
                           double (*u)[kBlock]) {
  const int first = K * kPart, count = min(kPart, block.n - first);
  __syncthreads();
  for (int i = threadIdx.x; i < count * kBlock; i += blockDim.x) {
    const int r = i / kBlock, c = i % kBlock;
    if (c < first + r || c >= block.n) continue;
    u[r][c] = block.upper[(block.begin + first + r) * block.shape.in + block.begin + c];
  }
  __syncthreads();
  if (!mine) return;
  for (int i = 0; i < count; ++i) row.template round<K>(i, u[i]);
}

__global__ void __launch_bounds__(32 * kWarps) round_columns_kernel(
    const __grid_constant__ ColumnBlock block) {
  __shared__ double u[kPart][kBlock];
  const int64_t row = blockIdx.x * int64_t{kWarps} + threadIdx.x / 32;
  const bool mine = row < block.shape.rows;
  RowOfBlock of_row(block, mine ? row : 0);
  round_part<0>(block, of_row, mine, u);
  round_part<1>(block, of_row, mine, u);
  round_part<2>(block, of_row, mine, u);
  round_part<3>(block, of_row, mine, u);
  if (mine) of_row.write();
}

// e[r, i] = (code - zero) * scale - w, in f32 as dequantize_weight() and a subtraction.
__global__ void code_error_kernel(GroupShape shape, const float* w, CodePointers from, float* e) {
  const int64_t cell = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (cell >= shape.rows * shape.in) return;
  const int64_t group = cell / shape.in * shape.groups + cell % shape.in / shape.group;
  const auto steps = static_cast<float>(from.codes[cell] - from.zeros[group]);
  e[cell] = __fsub_rn(__fmul_rn(steps, __half2float(from.scales[group])), w[cell]);
}

unsigned cells_grid(int64_t cells) { return static_cast<unsigned>((cells + 255) / 256); }

void check_weight(const RoundCodesArgs& args) {
  AWQ_CHECK(args.w.stride == args.w.cols, args.w.stride, " ", args.w.cols);
}

}  // namespace

void round_codes(Device& device, const RoundCodesArgs& args) {
  check_weight(args);
  if (args.w.rows == 0) return;
  const GroupShape shape(args.format, args.w.rows, args.w.cols);
  round_nearest_kernel<<<warps_grid(shape.rows * shape.groups), 256, 0,
                         cuda_device(device).stream()>>>(
      shape, args.w.data, args.keep, pointers_of(args.to, shape, 0), false);
  check_launch("rounding to codes");
}

void round_compensated(Device& device, const RoundCodesArgs& args, const ColumnFactor& factor) {
  check_weight(args);
  const int64_t in = args.w.cols, group = args.format.group_size(in);
  AWQ_CHECK(group >= in || kBlock % group == 0 || group % kBlock == 0, "group ", group);
  CudaDevice& cuda = cuda_device(device);
  const int64_t step = std::clamp<int64_t>(kSlabBytes / (in * static_cast<int64_t>(sizeof(double))), 1,
                                           std::max<int64_t>(1, args.w.rows));
  const DeviceBuffer w(device, static_cast<size_t>(step * in) * sizeof(double));
  const DeviceBuffer error(device, static_cast<size_t>(step * kBlock) * sizeof(double));
  for (int64_t first = 0; first < args.w.rows; first += step) {
    const int64_t rows = std::min(step, args.w.rows - first);
    const GroupShape shape(args.format, rows, in);
    const float* from = args.w.data + first * in;
    const float* keep = args.keep != nullptr ? args.keep + first * shape.groups : nullptr;
    const CodePointers to = pointers_of(args.to, shape, first);
    gather_columns_kernel<<<cells_grid(rows * in), 256, 0, cuda.stream()>>>(
        from, factor.order, w.as<double>(), rows, in);
    if (factor.static_groups) {
      round_nearest_kernel<<<warps_grid(rows * shape.groups), 256, 0, cuda.stream()>>>(
          shape, from, keep, to, true);
    }
    for (int64_t begin = 0; begin < in; begin += kBlock) {
      const int n = static_cast<int>(std::min<int64_t>(kBlock, in - begin));
      round_columns_kernel<<<static_cast<unsigned>((rows + kWarps - 1) / kWarps), 32 * kWarps, 0,
                             cuda.stream()>>>({shape, begin, n, factor.static_groups,
                                               w.as<double>(), factor.upper, factor.order, keep, to,
                                               error.as<double>()});
      check_launch("rounding columns");
      const int64_t end = begin + n;
      if (end == in) break;
      subtract_product_f64(cuda, error.as<double>(), kBlock, factor.upper + begin * in + end, in,
                           w.as<double>() + end, in, rows, in - end, n);
    }
  }
}

void code_error(Device& device, const RoundCodesArgs& args, Matrix e) {
  check_weight(args);
  AWQ_CHECK(e.rows == args.w.rows && e.cols == args.w.cols && e.stride == e.cols, e.rows, " ", e.cols);
  if (args.w.rows == 0) return;
  const GroupShape shape(args.format, e.rows, e.cols);
  code_error_kernel<<<cells_grid(e.rows * e.cols), 256, 0, cuda_device(device).stream()>>>(
      shape, args.w.data, pointers_of(args.to, shape, 0), e.data);
  check_launch("the error of codes");
}

}  // namespace awq::cuda
