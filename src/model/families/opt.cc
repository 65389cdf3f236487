// OPT: LayerNorms, learned positions from row 2 on, ReLU. The 350m model norms after adding and keeps
// its embedding narrower than the residual stream.
#include "model/families/parts.h"
#include "model/families/registry.h"

namespace awq {

static constexpr SlotName kOptNames[] = {
    {Slot::embed, "model.decoder.embed_tokens"},
    {Slot::position_table, "model.decoder.embed_positions"},
    {Slot::project_in, "model.decoder.project_in"},
    {Slot::project_out, "model.decoder.project_out"},
    {Slot::final_norm, "model.decoder.final_layer_norm"},
    {Slot::lm_head, "lm_head"},
    {Slot::attn_norm, "model.decoder.layers.{}.self_attn_layer_norm"},
    {Slot::q, "model.decoder.layers.{}.self_attn.q_proj"},
    {Slot::k, "model.decoder.layers.{}.self_attn.k_proj"},
    {Slot::v, "model.decoder.layers.{}.self_attn.v_proj"},
    {Slot::o, "model.decoder.layers.{}.self_attn.out_proj"},
    {Slot::ffn_norm, "model.decoder.layers.{}.final_layer_norm"},
    {Slot::up, "model.decoder.layers.{}.fc1"},
    {Slot::act, "model.decoder.layers.{}.activation_fn"},
    {Slot::down, "model.decoder.layers.{}.fc2"},
};

static Result<Arch> describe_opt(const Config& config) {
  Arch arch;
  arch.family = "opt";
  AWQ_ASSIGN(arch.sizes, read_sizes(config, {.ffn = "ffn_dim"}));
  Sizes& sizes = arch.sizes;
  AWQ_ASSIGN(const Activation activation,
             read_activation(config, {"activation_function"}, Activation::relu));
  AWQ_ASSIGN(const bool bias, config.boolean_or("enable_bias", true));
  AWQ_ASSIGN(const bool pre_norm, config.boolean_or("do_layer_norm_before", true));
  AWQ_ASSIGN(const bool no_final, config.boolean_or("_remove_final_layer_norm", false));
  AWQ_ASSIGN(arch.tied_head, config.boolean_or("tie_word_embeddings", true));
  AWQ_ASSIGN(sizes.token_embed,
             config.integer_or("word_embed_proj_dim", sizes.hidden, 1, sizes.hidden));
  AWQ_TRY(require_boolean(config, "layer_norm_elementwise_affine", true));
  set_frame(arch, layer_norm(Slot::attn_norm));
  arch.learned_positions.emplace().offset = 2;
  sizes.position_rows = sizes.context + 2;
  if (sizes.token_embed != sizes.hidden) {
    arch.project_in = {Slot::project_in, Axis::embed, Axis::token_embed};
    arch.project_out = {Slot::project_out, Axis::token_embed, Axis::embed};
  }
  if (!pre_norm || no_final) arch.final_norm.reset();
  if (!pre_norm) arch.block.residual = Residual::post_norm;
  arch.block.attention = attention(bias, bias, NoPositions{});
  arch.block.ffn = plain_ffn(activation, bias);
  return arch;
}

Family opt_family() {
  return {"opt", {"OPTForCausalLM"}, {}, false, kOptNames, describe_opt};
}

}  // namespace awq
