#include "kernels/decode_step.h"

#include <algorithm>

namespace awq {

static bool is_plain(const DecodeNorm& norm) {
  return norm && norm.bias == nullptr && norm.kind == NormKind::rms && norm.weight_offset == 0;
}

static bool is_plain(const DecodeLayer& layer) {
  return is_plain(layer.attn_norm) && is_plain(layer.ffn_norm) && !layer.attn_out_norm &&
         !layer.ffn_out_norm && !layer.q_norm && !layer.k_norm && layer.gate != nullptr &&
         layer.q_bias == nullptr && layer.k_bias == nullptr && layer.v_bias == nullptr &&
         layer.o_bias == nullptr && layer.gate_bias == nullptr && layer.up_bias == nullptr &&
         layer.down_bias == nullptr && layer.activation_factor == nullptr;
}

bool is_plain(const DecodeSpec& spec) {
  const auto layers = [&] {
    return std::all_of(spec.layers.begin(), spec.layers.end(),
                       [](const DecodeLayer& layer) { return is_plain(layer); });
  };
  return spec.kinds.size() == 1 && spec.kinds[0].rotary_dim > 0 && spec.kinds[0].magnitude == 1 &&
         spec.kinds[0].window == 0 && spec.attention_softcap == 0 && spec.qkv_clip == 0 &&
         !spec.parallel && spec.branch_multiplier == 1 && spec.embed_multiplier == 1 &&
         spec.position_table == nullptr && !spec.embed_norm && is_plain(spec.final_norm) &&
         spec.head_bias == nullptr && spec.logit_multiplier == 1 && spec.logit_softcap == 0 && layers();
}

}  // namespace awq
