// The parts that most families are put together from: sizes under whatever keys, norms, projections,
// feed-forward layers, windows.
#pragma once

#include "model/families/rope_config.h"
#include "model/family.h"

namespace awq {

/// What a family calls the sizes in config.json. Each key falls back to transformers' common
/// spelling (the defaults here), which configs made from GGUF use.
struct SizeKeys {
  std::string_view layers = "num_hidden_layers", hidden = "hidden_size";
  std::string_view heads = "num_attention_heads", kv_heads = "num_key_value_heads";
  std::string_view ffn = "intermediate_size", vocab = "vocab_size";
  std::string_view context = "max_position_embeddings";
  int64_t default_context = 2048;
  int64_t ffn_ratio = 0;      ///< ffn / hidden where the config does not say; 0: it must
  int64_t head_dim = 0;       ///< where the config does not say; 0: hidden / heads
};
Result<Sizes> read_sizes(const Config& config, const SizeKeys& keys = {});

/// Of the first key that the config has; `fallback` when it has none.
Result<Activation> read_activation(const Config& config, std::vector<std::string_view> keys,
                                   Activation fallback);

Result<float> read_float(const Config& config, std::string_view key, double fallback, double low,
                         double high);

inline Norm rms_norm(Slot slot, float weight_offset = 0) {
  return {slot, NormKind::rms, false, weight_offset};
}
inline Norm layer_norm(Slot slot, bool bias = true) { return {slot, NormKind::layer, bias}; }

/// q, k, v, o with biases or without.
Attention attention(bool qkv_bias, bool o_bias, Positions positions);
GatedFfn gated_ffn(Activation activation, bool bias = false);
PlainFfn plain_ffn(Activation activation, bool bias);

/// Embedding, head and the norms of a pre-norm decoder, each of `norm`'s kind.
void set_frame(Arch& arch, const Norm& norm);

/// Layers that "layer_types" calls sliding; empty when the config has no such list.
Result<std::vector<bool>> read_sliding_layers(const Config& config, int64_t layers);

/// "sliding_window"; 0: none. `fallback` is for an absent key, null always means none.
Result<int64_t> read_window(const Config& config, int64_t fallback = 0);

/// Gives the layers in `second` a kind of their own.
void set_second_kind(Attention& attention, const LayerAttention& kind,
                     const std::vector<bool>& second);

/// An error naming `key` unless it is absent or `wanted`: a switch that is not run.
Status require_boolean(const Config& config, std::string_view key, bool wanted);

}  // namespace awq
