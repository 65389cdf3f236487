// Mixtral: Mistral's attention, eight experts of which two answer each token.
#include "model/families/llama.h"
#include "model/families/moe.h"
#include "model/families/registry.h"

namespace awq {

static constexpr SlotName kMixtralNames[] = {
    {Slot::embed, "model.embed_tokens"},
    {Slot::lm_head, "lm_head"},
    {Slot::final_norm, "model.norm"},
    {Slot::attn_norm, "model.layers.{}.input_layernorm"},
    {Slot::q, "model.layers.{}.self_attn.q_proj"},
    {Slot::k, "model.layers.{}.self_attn.k_proj"},
    {Slot::v, "model.layers.{}.self_attn.v_proj"},
    {Slot::o, "model.layers.{}.self_attn.o_proj"},
    {Slot::ffn_norm, "model.layers.{}.post_attention_layernorm"},
    {Slot::router, "model.layers.{}.block_sparse_moe.gate"},
    {Slot::expert_gate, "model.layers.{}.block_sparse_moe.experts.{}.w1"},
    {Slot::expert_up, "model.layers.{}.block_sparse_moe.experts.{}.w3"},
    {Slot::expert_down, "model.layers.{}.block_sparse_moe.experts.{}.w2"},
};

Result<MoeFfn> make_moe(const Config& config, Activation activation, int64_t experts,
                        int64_t expert_ffn, int64_t per_token, bool renormalize, Sizes& sizes) {
  if (per_token > experts) {
    return bad_input(cat(config.origin(), ": num_experts_per_tok ", per_token,
                         " is more than the ", experts, " experts there are"));
  }
  sizes.experts = experts;
  sizes.expert_ffn = expert_ffn;
  MoeFfn moe;
  moe.router = {Slot::router, Axis::experts, Axis::embed, false, true};
  moe.expert = {activation,
                {Slot::expert_gate, Axis::expert_ffn, Axis::embed},
                {Slot::expert_up, Axis::expert_ffn, Axis::embed},
                {Slot::expert_down, Axis::embed, Axis::expert_ffn}};
  moe.experts = experts;
  moe.per_token = per_token;
  moe.renormalize = renormalize;
  return moe;
}

static Result<Arch> describe_mixtral(const Config& config) {
  AWQ_ASSIGN(Arch arch, describe_llama(config));
  arch.family = "mixtral";
  AWQ_ASSIGN(arch.norm_epsilon, read_float(config, "rms_norm_eps", 1e-5, 0, 1));
  AWQ_ASSIGN(Rope rope, read_rope(config, arch.sizes, {.default_theta = 1e6}));
  AWQ_ASSIGN(const int64_t window, read_window(config));
  arch.block.attention.kinds = {{std::move(rope), window}};
  AWQ_ASSIGN(const int64_t experts, config.integer_or("num_local_experts", 8, 1, 4096));
  AWQ_ASSIGN(const int64_t per_token, config.integer_or("num_experts_per_tok", 2, 1, 4096));
  const Activation activation = std::get<GatedFfn>(arch.block.ffn).activation;
  AWQ_ASSIGN(arch.block.ffn, make_moe(config, activation, experts, arch.sizes.ffn, per_token, true,
                                      arch.sizes));
  return arch;
}

Family mixtral_family() {
  Family family = {"mixtral", {"MixtralForCausalLM"}, {"llama"}, true, kMixtralNames,
                   describe_mixtral};
  family.experts = true;
  return family;
}

}  // namespace awq
