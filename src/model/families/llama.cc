// Llama 1/2/3, TinyLlama, SmolLM2: RMSNorm, RoPE, grouped-query attention, gated SiLU feed-forward.
#include "model/families/llama.h"

#include "model/families/rope_config.h"

namespace awq {
namespace {

constexpr SlotName kNames[] = {
    {Slot::embed, "model.embed_tokens"},
    {Slot::lm_head, "lm_head"},
    {Slot::final_norm, "model.norm"},
    {Slot::attn_norm, "model.layers.{}.input_layernorm"},
    {Slot::q, "model.layers.{}.self_attn.q_proj"},
    {Slot::k, "model.layers.{}.self_attn.k_proj"},
    {Slot::v, "model.layers.{}.self_attn.v_proj"},
    {Slot::o, "model.layers.{}.self_attn.o_proj"},
    {Slot::ffn_norm, "model.layers.{}.post_attention_layernorm"},
    {Slot::gate, "model.layers.{}.mlp.gate_proj"},
    {Slot::up, "model.layers.{}.mlp.up_proj"},
    {Slot::down, "model.layers.{}.mlp.down_proj"},
};

constexpr int64_t kMaxExtent = int64_t{1} << 24;

Result<Sizes> read_sizes(const Config& config) {
  Sizes sizes;
  AWQ_ASSIGN(sizes.layers, config.integer("num_hidden_layers", 1, 4096));
  AWQ_ASSIGN(sizes.hidden, config.integer("hidden_size", 1, kMaxExtent));
  AWQ_ASSIGN(sizes.heads, config.integer("num_attention_heads", 1, 65536));
  AWQ_ASSIGN(sizes.kv_heads,
             config.integer_or("num_key_value_heads", sizes.heads, 1, sizes.heads));
  AWQ_ASSIGN(sizes.ffn, config.integer("intermediate_size", 1, kMaxExtent));
  AWQ_ASSIGN(sizes.vocab, config.integer("vocab_size", 1, kMaxExtent));
  AWQ_ASSIGN(sizes.context,
             config.integer_or("max_position_embeddings", 2048, 1, int64_t{1} << 30));
  if (!config.has("head_dim") && sizes.hidden % sizes.heads != 0) {
    return bad_input(cat(config.origin(), ": hidden_size ", sizes.hidden,
                         " is not a multiple of num_attention_heads ", sizes.heads,
                         " and there is no head_dim"));
  }
  AWQ_ASSIGN(sizes.head_dim, config.integer_or("head_dim", sizes.hidden / sizes.heads, 1, 4096));
  if (sizes.heads % sizes.kv_heads != 0) {
    return bad_input(cat(config.origin(), ": num_attention_heads ", sizes.heads,
                         " is not a multiple of num_key_value_heads ", sizes.kv_heads));
  }
  if (sizes.head_dim % 2 != 0) {
    return bad_input(cat(config.origin(), ": head_dim ", sizes.head_dim,
                         " is odd; rotary positions need pairs"));
  }
  return sizes;
}

Result<Activation> read_activation(const Config& config) {
  AWQ_ASSIGN(const std::string name, config.text_or("hidden_act", "silu"));
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "gelu") return Activation::gelu;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new") return Activation::gelu_tanh;
  if (name == "relu") return Activation::relu;
  return bad_input(cat(config.origin(), ": hidden_act \"", printable(name),
                       "\" is not supported; supported: silu, gelu, gelu_pytorch_tanh, relu"));
}

}  // namespace

Result<Arch> describe_llama(const Config& config) {
  Arch arch;
  arch.family = "llama";
  AWQ_ASSIGN(arch.sizes, read_sizes(config));
  AWQ_ASSIGN(const Activation activation, read_activation(config));
  AWQ_ASSIGN(const bool attention_bias, config.boolean_or("attention_bias", false));
  AWQ_ASSIGN(const bool mlp_bias, config.boolean_or("mlp_bias", false));
  AWQ_ASSIGN(arch.tied_head, config.boolean_or("tie_word_embeddings", false));
  AWQ_ASSIGN(const double epsilon, config.number_or("rms_norm_eps", 1e-6, 0, 1));
  arch.norm_epsilon = static_cast<float>(epsilon);
  AWQ_ASSIGN(Rope rope, read_rope(config, arch.sizes.head_dim));

  using enum Axis;
  const bool bias = attention_bias;
  arch.embed = {Slot::embed, vocab, embed};
  arch.lm_head = {Slot::lm_head, vocab, embed};
  arch.final_norm = {Slot::final_norm};
  arch.block.attn_norm = {Slot::attn_norm};
  arch.block.ffn_norm = {Slot::ffn_norm};
  arch.block.attention = {{Slot::q, heads, embed, bias},
                          {Slot::k, kv_heads, embed, bias},
                          {Slot::v, kv_heads, embed, bias},
                          {Slot::o, embed, heads, bias},
                          std::move(rope)};
  arch.block.ffn = GatedFfn{activation,
                            {Slot::gate, ffn, embed, mlp_bias},
                            {Slot::up, ffn, embed, mlp_bias},
                            {Slot::down, embed, ffn, mlp_bias}};
  return arch;
}

Family llama_family() {
  return {"llama", {"LlamaForCausalLM", "LLaMAForCausalLM"}, {"llama"}, true, kNames,
          describe_llama};
}

}  // namespace awq
