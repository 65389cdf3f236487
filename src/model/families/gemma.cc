// Gemma 1, 2 and 3: norms that multiply by 1 + w, scaled embeddings, GELU gates; Gemma 2 adds norms
// after each module, soft caps and alternating windows; Gemma 3 norms heads and turns local layers at
// a base of their own.
#include <cmath>

#include "model/families/llama.h"
#include "model/families/registry.h"

namespace awq {

static constexpr SlotName kGemma2Names[] = {
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
    {Slot::attn_out_norm, "model.layers.{}.post_attention_layernorm"},
    {Slot::ffn_norm, "model.layers.{}.pre_feedforward_layernorm"},
    {Slot::gate, "model.layers.{}.mlp.gate_proj"},
    {Slot::up, "model.layers.{}.mlp.up_proj"},
    {Slot::down, "model.layers.{}.mlp.down_proj"},
    {Slot::ffn_out_norm, "model.layers.{}.post_feedforward_layernorm"},
};

// "hidden_act" is "gelu" in the first files, which meant the tanh form all along.
static Result<Arch> describe_base(const Config& config, std::string_view family,
                                  const RopeKeys& rope_keys) {
  Arch arch;
  arch.family = family;
  AWQ_ASSIGN(arch.sizes, read_sizes(config, {.head_dim = 256}));
  AWQ_ASSIGN(const Activation activation,
             read_activation(config, {"hidden_activation"}, Activation::gelu_tanh));
  AWQ_ASSIGN(const bool bias, config.boolean_or("attention_bias", false));
  AWQ_ASSIGN(arch.tied_head, config.boolean_or("tie_word_embeddings", true));
  AWQ_ASSIGN(arch.norm_epsilon, read_float(config, "rms_norm_eps", 1e-6, 0, 1));
  AWQ_ASSIGN(Rope rope, read_rope(config, arch.sizes, rope_keys));
  arch.embed_multiplier = std::sqrt(static_cast<float>(arch.sizes.hidden));
  set_frame(arch, rms_norm(Slot::attn_norm, 1));
  arch.block.attention = attention(bias, bias, std::move(rope));
  arch.block.ffn = gated_ffn(activation);
  return arch;
}

static Result<Arch> describe_gemma(const Config& config) {
  return describe_base(config, "gemma", {});
}

// `local` is how sliding layers know positions; every `period`th layer sees everything.
static Status add_sandwich(const Config& config, const Positions& local, int64_t period,
                           Arch& arch) {
  Block& block = arch.block;
  block.attn_out_norm = rms_norm(Slot::attn_out_norm, 1);
  block.ffn_out_norm = rms_norm(Slot::ffn_out_norm, 1);
  AWQ_ASSIGN(const double scalar, config.number_or("query_pre_attn_scalar", 256, 1e-3, 1e6));
  block.attention.scale = static_cast<float>(1 / std::sqrt(scalar));
  AWQ_ASSIGN(block.attention.softcap, read_float(config, "attn_logit_softcapping", 0, 0, 1e6));
  AWQ_ASSIGN(arch.logit_softcap, read_float(config, "final_logit_softcapping", 0, 0, 1e6));
  AWQ_ASSIGN(const int64_t window, read_window(config, 4096));
  AWQ_ASSIGN(std::vector<bool> sliding, read_sliding_layers(config, arch.sizes.layers));
  for (int64_t i = static_cast<int64_t>(sliding.size()); i < arch.sizes.layers; ++i) {
    sliding.push_back((i + 1) % period != 0);
  }
  set_second_kind(block.attention, {local, window}, sliding);
  return {};
}

static Result<Arch> describe_gemma2(const Config& config) {
  AWQ_ASSIGN(Arch arch, describe_base(config, "gemma2", {}));
  AWQ_TRY(add_sandwich(config, arch.block.attention.kinds.front().positions, 2, arch));
  return arch;
}

static Result<Arch> describe_gemma3(const Config& config) {
  AWQ_ASSIGN(Arch arch, describe_base(config, "gemma3_text",
                                      {.default_theta = 1e6, .layer_type = "full_attention"}));
  // In transformers 4's form the scaling beside the local base is of the full layers alone.
  Json local_json = config.json();
  local_json.erase("rope_scaling");
  AWQ_ASSIGN(Rope local, read_rope(Config(std::move(local_json), config.origin()), arch.sizes,
                                   {.theta = "rope_local_base_freq",
                                    .layer_type = "sliding_attention"}));
  AWQ_ASSIGN(const int64_t period, config.integer_or("sliding_window_pattern", 6, 1, 4096));
  AWQ_TRY(add_sandwich(config, std::move(local), period, arch));
  Attention& attention = arch.block.attention;
  attention.q_norm = {Slot::q_norm, NormKind::rms, false, 1, Axis::head_dim};
  attention.k_norm = {Slot::k_norm, NormKind::rms, false, 1, Axis::head_dim};
  return arch;
}

// llama.cpp scales by the head size, but in the 27B models of both generations.
static void complete_gemma(const Checkpoint&, Json& config) {
  const auto of = [&](const char* key) {
    return config.contains(key) && config[key].is_number_unsigned() ? config[key].get<uint64_t>() : 0;
  };
  const uint64_t layers = of("num_hidden_layers"), heads = of("num_attention_heads");
  const bool large = (layers == 46 || layers == 62) && heads != 0;
  if (const uint64_t dim = large ? of("hidden_size") / heads : of("head_dim"); dim != 0) {
    config["query_pre_attn_scalar"] = dim;
  }
}

Family gemma_family() {
  return {"gemma", {"GemmaForCausalLM"}, {"gemma"}, false, llama_names(), describe_gemma};
}
Family gemma2_family() {
  return {"gemma2", {"Gemma2ForCausalLM"}, {"gemma2"}, false, kGemma2Names, describe_gemma2,
          {}, nullptr, complete_gemma};
}
Family gemma3_family() {
  return {"gemma3_text", {"Gemma3ForCausalLM"}, {"gemma3"}, false, kGemma2Names, describe_gemma3,
          {}, nullptr, complete_gemma};
}

}  // namespace awq
