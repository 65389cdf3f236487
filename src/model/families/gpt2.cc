// GPT-2: LayerNorms, learned positions, weights stored [in, out] with q, k, v beside each other.
#include "model/families/gpt2.h"

#include "model/families/registry.h"

namespace awq {

static constexpr SlotName kGpt2Names[] = {
    {Slot::embed, "transformer.wte"},
    {Slot::position_table, "transformer.wpe"},
    {Slot::lm_head, "lm_head"},
    {Slot::final_norm, "transformer.ln_f"},
    {Slot::attn_norm, "transformer.h.{}.ln_1"},
    {Slot::q, "transformer.h.{}.attn.c_attn", Fusion::stacked, true},
    {Slot::k, "transformer.h.{}.attn.c_attn", Fusion::stacked, true},
    {Slot::v, "transformer.h.{}.attn.c_attn", Fusion::stacked, true},
    {Slot::o, "transformer.h.{}.attn.c_proj", Fusion::none, true},
    {Slot::ffn_norm, "transformer.h.{}.ln_2"},
    {Slot::up, "transformer.h.{}.mlp.c_fc", Fusion::none, true},
    {Slot::act, "transformer.h.{}.mlp.act"},
    {Slot::down, "transformer.h.{}.mlp.c_proj", Fusion::none, true},
};
static constexpr SlotName kGpt2GgufNames[] = {
    {Slot::q, "blk.{}.attn_qkv", Fusion::stacked},
    {Slot::k, "blk.{}.attn_qkv", Fusion::stacked},
    {Slot::v, "blk.{}.attn_qkv", Fusion::stacked},
};

Result<Arch> describe_gpt2_like(const Config& config, std::string_view family, int64_t kv_heads,
                                Activation usual) {
  Arch arch;
  arch.family = family;
  Json json = config.json();
  json.erase("num_key_value_heads");  // follows from the family
  if (kv_heads > 0) json["num_key_value_heads"] = kv_heads;
  AWQ_ASSIGN(arch.sizes,
             read_sizes(Config(std::move(json), config.origin()),
                        {.layers = "n_layer", .hidden = "n_embd", .heads = "n_head",
                         .ffn = "n_inner", .context = "n_positions", .default_context = 1024,
                         .ffn_ratio = 4}));
  AWQ_ASSIGN(const Activation activation, read_activation(config, {"activation_function"}, usual));
  AWQ_TRY(require_boolean(config, "scale_attn_weights", true));
  AWQ_TRY(require_boolean(config, "scale_attn_by_inverse_layer_idx", false));
  AWQ_TRY(require_boolean(config, "add_cross_attention", false));
  AWQ_ASSIGN(arch.tied_head, config.boolean_or("tie_word_embeddings", true));
  AWQ_ASSIGN(arch.norm_epsilon, read_float(config, "layer_norm_epsilon", 1e-5, 0, 1));
  set_frame(arch, layer_norm(Slot::attn_norm));
  arch.learned_positions.emplace();
  arch.sizes.position_rows = arch.sizes.context;
  arch.block.attention = attention(true, true, NoPositions{});
  arch.block.ffn = plain_ffn(activation, true);
  return arch;
}

static Result<Arch> describe_gpt2(const Config& config) {
  return describe_gpt2_like(config, "gpt2", 0, Activation::gelu_tanh);
}

Family gpt2_family() {
  return {"gpt2", {"GPT2LMHeadModel"}, {"gpt2"}, false, kGpt2Names, describe_gpt2, kGpt2GgufNames};
}

}  // namespace awq
