// What evaluation asks of logits: one block per row, results copied to the host.
#include "kernels/check_shapes.h"
#include "kernels/cuda/blas.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/rows.h"

namespace awq::cuda {
namespace {

// As Ops::argmax: 0 when there is nothing but NaN.
__device__ int32_t row_argmax(const float* x, int64_t count) {
  __shared__ Best shared[32];
  Best best = Best::none();
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
    best.take({x[i], static_cast<int32_t>(i)});
  }
  best = block_best(best, shared);
  return best.index == INT32_MAX ? 0 : best.index;
}

__global__ void argmax_rows(Matrix x, int32_t* out) {
  const int32_t best = row_argmax(x.data + blockIdx.x * x.stride, x.cols);
  if (threadIdx.x == 0) out[blockIdx.x] = best;
}

__global__ void score_rows(Matrix x, const int32_t* targets, RowScore* scores) {
  __shared__ double sums[32];
  const float* row = x.data + blockIdx.x * x.stride;
  const int32_t top = row_argmax(row, x.cols);
  const float most = row[top];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < x.cols; i += blockDim.x) {
    sum += static_cast<double>(expf(row[i] - most));
  }
  sum = block_sum(sum, sums);
  if (threadIdx.x == 0) {
    const double log_sum = static_cast<double>(most) + log(sum);
    scores[blockIdx.x] = {log_sum, log_sum - static_cast<double>(row[targets[blockIdx.x]]), top};
  }
}

__global__ void divergence_rows(Matrix p, Matrix q, const RowScore* p_scores,
                                const RowScore* q_scores, double* kl) {
  __shared__ double sums[32];
  const float* a = p.data + blockIdx.x * p.stride;
  const float* b = q.data + blockIdx.x * q.stride;
  const double log_p = p_scores[blockIdx.x].log_sum, log_q = q_scores[blockIdx.x].log_sum;
  double sum = 0;
  for (int64_t i = threadIdx.x; i < p.cols; i += blockDim.x) {
    const double lp = static_cast<double>(a[i]) - log_p;
    if (lp > -50) {
      sum += static_cast<double>(expf(static_cast<float>(lp))) *
             (lp - (static_cast<double>(b[i]) - log_q));
    }
  }
  sum = block_sum(sum, sums);
  if (threadIdx.x == 0) kl[blockIdx.x] = sum < 0 ? 0 : sum;
}

}  // namespace

void argmax(Device& device, Matrix x, int32_t* out) {
  if (x.rows == 0) return;
  CudaDevice& cuda = cuda_device(device);
  auto* found = static_cast<int32_t*>(cuda.scratch(0, static_cast<size_t>(x.rows) * 4));
  argmax_rows<<<static_cast<unsigned>(x.rows), 1024, 0, cuda.stream()>>>(x, found);
  check_launch("argmax");
  cuda.download(out, found, static_cast<size_t>(x.rows) * 4);
}

void score(Device& device, Matrix logits, std::span<const int32_t> targets, RowScore* scores) {
  check_score(logits, targets);
  if (logits.rows == 0) return;
  CudaDevice& cuda = cuda_device(device);
  const int32_t* wanted = on_device(cuda, 0, targets);
  const size_t bytes = targets.size() * sizeof(RowScore);
  auto* found = static_cast<RowScore*>(cuda.scratch(1, bytes));
  score_rows<<<static_cast<unsigned>(logits.rows), 512, 0, cuda.stream()>>>(logits, wanted, found);
  check_launch("scores");
  cuda.download(scores, found, bytes);
}

void divergence(Device& device, Matrix p, Matrix q, const RowScore* p_scores,
                const RowScore* q_scores, double* kl) {
  check_same_shape(p, q);
  if (p.rows == 0) return;
  CudaDevice& cuda = cuda_device(device);
  const auto rows = static_cast<size_t>(p.rows);
  const RowScore* sp = on_device(cuda, 0, std::span<const RowScore>(p_scores, rows));
  const RowScore* sq = on_device(cuda, 1, std::span<const RowScore>(q_scores, rows));
  auto* found = static_cast<double*>(cuda.scratch(2, rows * sizeof(double)));
  divergence_rows<<<static_cast<unsigned>(rows), 512, 0, cuda.stream()>>>(p, q, sp, sq, found);
  check_launch("divergence");
  cuda.download(kl, found, rows * sizeof(double));
}

}  // namespace awq::cuda
