// Qwen3-MoE: Qwen3's attention, many small experts.
#include "model/families/moe.h"
#include "model/families/qwen.h"
#include "model/families/registry.h"

namespace awq {

static constexpr SlotName kQwen3MoeNames[] = {
    {Slot::embed, "model.embed_tokens"},
    {Slot::lm_head, "lm_head"},
    {Slot::final_norm, "model.norm"},
    {Slot::attn_norm, "model.layers.{}.input_layernorm"},
    {Slot::q, "model.layers.{}.self_attn.q_proj"},
    {Slot::k, "model.layers.{}.self_attn.k_proj"},
    {Slot::v, "model.layers.{}.self_attn.v_proj"},
    {Slot::q_norm, "model.layers.{}.self_attn.q_norm"},
    {Slot::k_norm, "model.layers.{}.self_attn.k_norm"},
    {Slot::o, "model.layers.{}.self_attn.o_proj"},
    {Slot::ffn_norm, "model.layers.{}.post_attention_layernorm"},
    {Slot::router, "model.layers.{}.mlp.gate"},
    {Slot::expert_gate, "model.layers.{}.mlp.experts.{}.gate_proj"},
    {Slot::expert_up, "model.layers.{}.mlp.experts.{}.up_proj"},
    {Slot::expert_down, "model.layers.{}.mlp.experts.{}.down_proj"},
};

static Result<Arch> describe_qwen3_moe(const Config& config) {
  AWQ_ASSIGN(Arch arch, describe_qwen3(config));
  arch.family = "qwen3_moe";
  AWQ_ASSIGN(const int64_t step, config.integer_or("decoder_sparse_step", 1, 1, 1 << 20));
  const auto dense = config.json().find("mlp_only_layers");
  if (step != 1 || (dense != config.json().end() && !dense->is_null() && !dense->empty())) {
    return bad_input(cat(config.origin(), ": layers without experts among those with them "
                         "(decoder_sparse_step, mlp_only_layers) are not supported"));
  }
  const std::string_view count = config.has("num_experts") ? "num_experts" : "num_local_experts";
  AWQ_ASSIGN(const int64_t experts, config.integer_or(count, 128, 1, 4096));
  AWQ_ASSIGN(const int64_t width, config.integer_or("moe_intermediate_size", 768, 1, 1 << 24));
  AWQ_ASSIGN(const int64_t per_token, config.integer_or("num_experts_per_tok", 8, 1, 4096));
  AWQ_ASSIGN(const bool renormalize, config.boolean_or("norm_topk_prob", false));
  const Activation activation = std::get<GatedFfn>(arch.block.ffn).activation;
  AWQ_ASSIGN(arch.block.ffn, make_moe(config, activation, experts, width, per_token, renormalize,
                                      arch.sizes));
  return arch;
}

static void complete_qwen3_moe(const Checkpoint&, Json& config) {
  config["norm_topk_prob"] = true;  // llama.cpp knows no other
}

Family qwen3_moe_family() {
  return {"qwen3_moe", {"Qwen3MoeForCausalLM"}, {"qwen3moe"}, false, kQwen3MoeNames,
          describe_qwen3_moe, {}, nullptr, complete_qwen3_moe, true};
}

}  // namespace awq
