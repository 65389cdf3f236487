// The ops of ops.h over a kernel table: shapes, threads and scratch memory. Work is cut without
// regard to the number of threads, so results do not depend on it.
#pragma once

#include "kernels/cpu/kernel_table.h"
#include "kernels/ops.h"

namespace awq::cpu {

/// Inputs of quantized weights are rounded once for all that take the same integers.
void matmuls(const KernelTable& kernels, Device& device, Matrix x, std::span<const ProductArgs> products);

void attention(const KernelTable& kernels, Device& device, const AttentionArgs& args);
void kv_append(const KernelTable& kernels, Device& device, const KvAppendArgs& args);
void rope(const KernelTable& kernels, Device& device, const RopeArgs& args);

/// cos and sin [rotary_dim] each of a position, in the form that the kernels of the pairing take;
/// `args.x` is not looked at.
void rope_angles(const RopeArgs& args, int32_t position, float* cosines, float* sines);
/// The heads of one row by angles of rope_angles.
void rotate(const KernelTable& kernels, const RopeArgs& args, const float* cosines,
            const float* sines, float* x);

void norm(const KernelTable& kernels, Device& device, const NormArgs& args);
void add_norm(const KernelTable& kernels, Device& device, Matrix x, Matrix residual,
              const NormArgs& args);
void act_mul(const KernelTable& kernels, Device& device, Activation kind, Matrix gate,
             const Matrix* up, Matrix y);
void add(const KernelTable& kernels, Device& device, Matrix x, Matrix y);
void scale_columns(const KernelTable& kernels, Device& device, Matrix x, const float* s, Matrix y);
void scale(const KernelTable& kernels, Device& device, Matrix x, float s);
void softcap(const KernelTable& kernels, Device& device, Matrix x, float c);
void clamp(Device& device, Matrix x, float limit);
void gather(Device& device, Matrix x, std::span<const int32_t> rows, Matrix y);
void scatter_add(Device& device, Matrix x, std::span<const int32_t> rows,
                 std::span<const float> weights, Matrix y);
void argmax(const KernelTable& kernels, Device& device, Matrix x, int32_t* out);
void score(const KernelTable& kernels, Device& device, Matrix logits,
           std::span<const int32_t> targets, RowScore* scores);
void divergence(const KernelTable& kernels, Device& device, Matrix p, Matrix q,
                const RowScore* p_scores, const RowScore* q_scores, double* kl);

void gram(Device& device, Matrix x, float* h);
void abs_sum(const KernelTable& kernels, Device& device, Matrix x, double* sums);
void unscale_gram(Device& device, float* h, const float* s, int64_t dim);
void quadratic_form(const KernelTable& kernels, Device& device, Matrix e, const float* h,
                    double* losses);

/// Calls f(begin, end) for ranges of [0, rows); on this thread alone when rows * cost (about one
/// element each) is less than waking the others is worth.
template <class F>
void for_rows(Device& device, int64_t rows, int64_t cost, F&& f) {
  constexpr int64_t kChunkCost = 8192, kThreadedCost = 32768;
  const int64_t chunk = cost >= kChunkCost ? 1 : kChunkCost / (cost > 0 ? cost : 1);
  device.pool().parallel_for(rows, rows * cost < kThreadedCost ? (rows > 0 ? rows : 1) : chunk, f);
}

}  // namespace awq::cpu
