// The entries of Ops that work on rows, for the CUDA table.
#pragma once

#include "kernels/ops.h"

namespace awq::cuda {

void norm(Device& device, const NormArgs& args);
void add_norm(Device& device, Matrix x, Matrix residual, const NormArgs& args);
void rope(Device& device, const RopeArgs& args);
void kv_append(Device& device, const KvAppendArgs& args);
void attention(Device& device, const AttentionArgs& args);
/// The same; where not `exact`, q and the weights of the values may be rounded to halves.
void attend_rows(Device& device, const AttentionArgs& args, bool exact);
void act(Device& device, Activation kind, Matrix x, Matrix y);
void act_mul(Device& device, Activation kind, Matrix gate, Matrix up, Matrix y);
void add(Device& device, Matrix x, Matrix y);
void scale_columns(Device& device, Matrix x, const float* s, Matrix y);
void scale(Device& device, Matrix x, float s);
void softcap(Device& device, Matrix x, float c);
void clamp(Device& device, Matrix x, float limit);
void gather(Device& device, Matrix x, std::span<const int32_t> rows, Matrix y);
void scatter_add(Device& device, Matrix x, std::span<const int32_t> rows,
                 std::span<const float> weights, Matrix y);
void argmax(Device& device, Matrix x, int32_t* out);
void score(Device& device, Matrix logits, std::span<const int32_t> targets, RowScore* scores);
void divergence(Device& device, Matrix p, Matrix q, const RowScore* p_scores,
                const RowScore* q_scores, double* kl);
void gram(Device& device, Matrix x, float* h);
void abs_sum(Device& device, Matrix x, double* sums);
void quadratic_form(Device& device, Matrix e, const float* h, double* losses);
void unscale_gram(Device& device, float* h, const float* s, int64_t dim);
void round_error(Device& device, const RoundErrorArgs& args);
void group_forms(Device& device, Matrix e, const float* h, int64_t group, double* losses);
// With TF32 products.
void gram_tf32(Device& device, Matrix x, float* h);
void quadratic_form_tf32(Device& device, Matrix e, const float* h, double* losses);
void group_forms_tf32(Device& device, Matrix e, const float* h, int64_t group, double* losses);

}  // namespace awq::cuda
