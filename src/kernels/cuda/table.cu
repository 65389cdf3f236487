#include "kernels/cuda.h"
#include "kernels/cuda/batch/plan.h"
#include "kernels/cuda/compensate.h"
#include "kernels/cuda/decode_graph.h"
#include "kernels/cuda/draws.h"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/random_weight.h"
#include "kernels/cuda/rows.h"

namespace awq {

Ops make_cuda_ops(Device& device) {
  using namespace cuda;
  Ops ops;
  ops.name = "cuda";
  ops.device = &device;
  ops.int8_kv = true;
  ops.pack_float = pack_float;
  ops.pack_quant = pack_quant;
  ops.pack_words = pack_words;
  ops.matmul = matmul;
  ops.embed = embed;
  ops.norm = norm;
  ops.rope = rope;
  ops.kv_append = kv_append;
  ops.attention = attention;
  ops.act = act;
  ops.act_mul = act_mul;
  ops.add = add;
  ops.scale_columns = scale_columns;
  ops.scale = scale;
  ops.softcap = softcap;
  ops.clamp = clamp;
  ops.gather = gather;
  ops.scatter_add = scatter_add;
  ops.argmax = argmax;
  ops.plan_draws = plan_draws;
  ops.score = score;
  ops.divergence = divergence;
  ops.gram = gram;
  ops.abs_sum = abs_sum;
  ops.quadratic_form = quadratic_form;
  ops.unscale_gram = unscale_gram;
  ops.round_error = round_error;
  ops.group_forms = group_forms;
  ops.inverse_factor = inverse_factor;
  ops.round_codes = round_codes;
  ops.round_compensated = round_compensated;
  ops.code_error = code_error;
  ops.pack_random = pack_random;
  ops.add_norm = add_norm;
  ops.plan_decode = plan_decode;
  ops.plan_batch = plan_batch;
  return ops;
}

Ops make_cuda_quantization_ops(Device& device) {
  using namespace cuda;
  Ops ops = make_cuda_ops(device);
  ops.name = "cuda, TF32 products";
  ops.matmul = matmul_tf32;
  ops.plan_batch = nullptr;  // its products are of another precision
  ops.gram = gram_tf32;
  ops.quadratic_form = quadratic_form_tf32;
  ops.group_forms = group_forms_tf32;
  return ops;
}

}  // namespace awq
