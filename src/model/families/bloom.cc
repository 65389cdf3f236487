// BLOOM: a norm after the embedding, ALiBi, q, k, v interleaved per head.
#include "model/families/parts.h"
#include "model/families/registry.h"

namespace awq {

static constexpr SlotName kBloomNames[] = {
    {Slot::embed, "transformer.word_embeddings"},
    {Slot::embed_norm, "transformer.word_embeddings_layernorm"},
    {Slot::lm_head, "lm_head"},
    {Slot::final_norm, "transformer.ln_f"},
    {Slot::attn_norm, "transformer.h.{}.input_layernorm"},
    {Slot::q, "transformer.h.{}.self_attention.query_key_value", Fusion::kv_groups},
    {Slot::k, "transformer.h.{}.self_attention.query_key_value", Fusion::kv_groups},
    {Slot::v, "transformer.h.{}.self_attention.query_key_value", Fusion::kv_groups},
    {Slot::o, "transformer.h.{}.self_attention.dense"},
    {Slot::ffn_norm, "transformer.h.{}.post_attention_layernorm"},
    {Slot::up, "transformer.h.{}.mlp.dense_h_to_4h"},
    {Slot::act, "transformer.h.{}.mlp.gelu_impl"},
    {Slot::down, "transformer.h.{}.mlp.dense_4h_to_h"},
};
static constexpr SlotName kBloomGgufNames[] = {
    {Slot::q, "blk.{}.attn_qkv", Fusion::stacked},
    {Slot::k, "blk.{}.attn_qkv", Fusion::stacked},
    {Slot::v, "blk.{}.attn_qkv", Fusion::stacked},
};

static Result<Arch> describe_bloom(const Config& config) {
  Arch arch;
  arch.family = "bloom";
  AWQ_ASSIGN(arch.sizes,
             read_sizes(config, {.layers = "n_layer",
                                 .hidden = config.has("n_embed") ? "n_embed" : "hidden_size",
                                 .heads = "n_head", .context = "seq_length", .ffn_ratio = 4}));
  AWQ_TRY(require_boolean(config, "apply_residual_connection_post_layernorm", false));
  AWQ_ASSIGN(arch.tied_head, config.boolean_or("tie_word_embeddings", true));
  AWQ_ASSIGN(arch.norm_epsilon, read_float(config, "layer_norm_epsilon", 1e-5, 0, 1));
  set_frame(arch, layer_norm(Slot::attn_norm));
  arch.embed_norm = layer_norm(Slot::embed_norm);
  arch.block.attention = attention(true, true, Alibi{});
  arch.block.ffn = plain_ffn(Activation::gelu_tanh, true);
  return arch;
}

Family bloom_family() {
  return {"bloom", {"BloomForCausalLM"}, {"bloom"}, false, kBloomNames, describe_bloom,
          kBloomGgufNames};
}

}  // namespace awq
