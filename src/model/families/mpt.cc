// MPT: LayerNorms without biases, ALiBi, q, k, v in one tensor, clamped where the config says so.
#include <cmath>

#include "model/families/parts.h"
#include "model/families/registry.h"

namespace awq {

static constexpr SlotName kMptNames[] = {
    {Slot::embed, "transformer.wte"},
    {Slot::lm_head, "lm_head"},
    {Slot::final_norm, "transformer.norm_f"},
    {Slot::attn_norm, "transformer.blocks.{}.norm_1"},
    {Slot::q, "transformer.blocks.{}.attn.Wqkv", Fusion::stacked},
    {Slot::k, "transformer.blocks.{}.attn.Wqkv", Fusion::stacked},
    {Slot::v, "transformer.blocks.{}.attn.Wqkv", Fusion::stacked},
    {Slot::q_norm, "transformer.blocks.{}.attn.q_ln"},
    {Slot::k_norm, "transformer.blocks.{}.attn.k_ln"},
    {Slot::o, "transformer.blocks.{}.attn.out_proj"},
    {Slot::ffn_norm, "transformer.blocks.{}.norm_2"},
    {Slot::up, "transformer.blocks.{}.ffn.up_proj"},
    {Slot::act, "transformer.blocks.{}.ffn.act"},
    {Slot::down, "transformer.blocks.{}.ffn.down_proj"},
};
static constexpr SlotName kMptGgufNames[] = {
    {Slot::q, "blk.{}.attn_qkv", Fusion::stacked},
    {Slot::k, "blk.{}.attn_qkv", Fusion::stacked},
    {Slot::v, "blk.{}.attn_qkv", Fusion::stacked},
};

static Status read_attention(const Config& config, Arch& arch) {
  Attention& record = arch.block.attention;
  AWQ_TRY(require_boolean(config, "alibi", true));
  AWQ_TRY(require_boolean(config, "prefix_lm", false));
  AWQ_TRY(require_boolean(config, "rope", false));
  AWQ_ASSIGN(const std::string kind, config.text_or("attn_type", "multihead_attention"));
  if (kind != "multihead_attention") {
    return bad_input(cat(config.origin(), ": attn_type \"", printable(kind),
                         "\" is not supported; models with \"multihead_attention\" are"));
  }
  Alibi alibi;
  AWQ_ASSIGN(alibi.max_bias, config.number_or("alibi_bias_max", 8, 1e-3, 1e3));
  AWQ_ASSIGN(const bool normed, config.boolean_or("qk_ln", false));
  AWQ_ASSIGN(const float clip, read_float(config, "clip_qkv", 0, 0, 1e9));
  AWQ_ASSIGN(const float scale, read_float(config, "softmax_scale", 0, 0, 1e3));
  record = attention(false, false, alibi);
  record.clip = clip;
  record.scale = scale;
  if (normed) {
    record.q_norm = {Slot::q_norm, NormKind::layer, false, 0, Axis::heads};
    record.k_norm = {Slot::k_norm, NormKind::layer, false, 0, Axis::kv_heads};
  }
  return {};
}

// A number, or "inv_sqrt_d_model".
static Result<float> read_logit_scale(const Config& config, int64_t hidden) {
  const auto found = config.json().find("logit_scale");
  if (found != config.json().end() && *found == "inv_sqrt_d_model") {
    return 1 / std::sqrt(static_cast<float>(hidden));
  }
  return read_float(config, "logit_scale", 1, -1e6, 1e6);
}

static Result<Arch> describe_mpt(const Config& config) {
  Arch arch;
  arch.family = "mpt";
  AWQ_ASSIGN(const int64_t ratio, config.integer_or("expansion_ratio", 4, 1, 1024));
  AWQ_ASSIGN(arch.sizes, read_sizes(config, {.layers = "n_layers", .hidden = "d_model",
                                             .heads = "n_heads", .context = "max_seq_len",
                                             .ffn_ratio = ratio}));
  AWQ_TRY(require_boolean(config, "no_bias", true));
  AWQ_ASSIGN(arch.tied_head, config.boolean_or("tie_word_embeddings", true));
  AWQ_ASSIGN(arch.norm_epsilon, read_float(config, "layer_norm_epsilon", 1e-5, 0, 1));
  AWQ_ASSIGN(arch.logit_multiplier, read_logit_scale(config, arch.sizes.hidden));
  set_frame(arch, layer_norm(Slot::attn_norm, false));
  AWQ_ASSIGN(const std::optional<Config> nested, config.object("attn_config"));
  AWQ_TRY(read_attention(nested ? *nested : config, arch));
  arch.block.ffn = plain_ffn(Activation::gelu, false);
  return arch;
}

static void complete_mpt(const Checkpoint& checkpoint, Json& config) {
  config["qk_ln"] = checkpoint.find("blk.0.attn_q_norm.weight") != nullptr;
}

Family mpt_family() {
  return {"mpt", {"MptForCausalLM", "MPTForCausalLM"}, {"mpt"}, false, kMptNames, describe_mpt,
          kMptGgufNames, nullptr, complete_mpt};
}

}  // namespace awq
