#include "model/families/parts.h"

namespace awq {

constexpr int64_t kMaxExtent = int64_t{1} << 24;

static std::string_view present(const Config& config, std::string_view key,
                                std::string_view common) {
  return config.has(key) || !config.has(common) ? key : common;
}

Result<Sizes> read_sizes(const Config& config, const SizeKeys& keys) {
  const SizeKeys common;
  const auto of = [&](std::string_view SizeKeys::* key) {
    return present(config, keys.*key, common.*key);
  };
  Sizes sizes;
  const std::string_view heads = of(&SizeKeys::heads), kv_heads = of(&SizeKeys::kv_heads),
                         hidden = of(&SizeKeys::hidden), ffn = of(&SizeKeys::ffn);
  AWQ_ASSIGN(sizes.layers, config.integer(of(&SizeKeys::layers), 1, 4096));
  AWQ_ASSIGN(sizes.hidden, config.integer(hidden, 1, kMaxExtent));
  AWQ_ASSIGN(sizes.heads, config.integer(heads, 1, 65536));
  AWQ_ASSIGN(sizes.kv_heads, config.integer_or(kv_heads, sizes.heads, 1, sizes.heads));
  AWQ_ASSIGN(sizes.vocab, config.integer(of(&SizeKeys::vocab), 1, kMaxExtent));
  AWQ_ASSIGN(sizes.context, config.integer_or(of(&SizeKeys::context), keys.default_context, 1,
                                              int64_t{1} << 30));
  AWQ_ASSIGN(sizes.ffn, keys.ffn_ratio == 0 ? config.integer(ffn, 1, kMaxExtent)
                                            : config.integer_or(ffn, keys.ffn_ratio * sizes.hidden,
                                                                1, kMaxExtent));
  if (!config.has("head_dim") && keys.head_dim == 0 && sizes.hidden % sizes.heads != 0) {
    return bad_input(cat(config.origin(), ": ", hidden, " ", sizes.hidden,
                         " is not a multiple of ", heads, " ", sizes.heads,
                         " and there is no head_dim"));
  }
  const int64_t dim = keys.head_dim == 0 ? sizes.hidden / sizes.heads : keys.head_dim;
  AWQ_ASSIGN(sizes.head_dim, config.integer_or("head_dim", std::max<int64_t>(dim, 1), 1, 4096));
  if (sizes.heads % sizes.kv_heads != 0) {
    return bad_input(cat(config.origin(), ": ", heads, " ", sizes.heads, " is not a multiple of ",
                         kv_heads, " ", sizes.kv_heads));
  }
  return sizes;
}

Result<Activation> read_activation(const Config& config, std::vector<std::string_view> keys,
                                   Activation fallback) {
  for (const std::string_view key : keys) {
    if (!config.has(key)) continue;
    AWQ_ASSIGN(const std::string name, config.text_or(key, ""));
    if (name == "silu" || name == "swish") return Activation::silu;
    if (name == "gelu") return Activation::gelu;
    if (name == "gelu_pytorch_tanh" || name == "gelu_new" || name == "gelu_fast") {
      return Activation::gelu_tanh;
    }
    if (name == "relu") return Activation::relu;
    if (name == "quick_gelu") return Activation::quick_gelu;
    return bad_input(cat(config.origin(), ": ", key, " \"", printable(name),
                         "\" is not supported; supported: silu, gelu, gelu_pytorch_tanh, relu, "
                         "quick_gelu"));
  }
  return fallback;
}

Result<float> read_float(const Config& config, std::string_view key, double fallback, double low,
                         double high) {
  AWQ_ASSIGN(const double value, config.number_or(key, fallback, low, high));
  return static_cast<float>(value);
}

Attention attention(bool qkv_bias, bool o_bias, Positions known) {
  using enum Axis;
  Attention record;
  record.q = {Slot::q, heads, embed, qkv_bias};
  record.k = {Slot::k, kv_heads, embed, qkv_bias};
  record.v = {Slot::v, kv_heads, embed, qkv_bias};
  record.o = {Slot::o, embed, heads, o_bias};
  record.kinds = {LayerAttention{std::move(known), 0}};
  return record;
}

GatedFfn gated_ffn(Activation activation, bool bias) {
  using enum Axis;
  return {activation,
          {Slot::gate, ffn, embed, bias},
          {Slot::up, ffn, embed, bias},
          {Slot::down, embed, ffn, bias}};
}

PlainFfn plain_ffn(Activation activation, bool bias) {
  using enum Axis;
  return {activation, {Slot::up, ffn, embed, bias}, {Slot::down, embed, ffn, bias}};
}

void set_frame(Arch& arch, const Norm& norm) {
  arch.embed = {Slot::embed, Axis::vocab, Axis::token_embed};
  arch.lm_head = {Slot::lm_head, Axis::vocab, Axis::token_embed};
  const auto at = [&norm](Slot slot) {
    Norm placed = norm;
    placed.slot = slot;
    return placed;
  };
  arch.final_norm = at(Slot::final_norm);
  arch.block.attn_norm = at(Slot::attn_norm);
  arch.block.ffn_norm = at(Slot::ffn_norm);
}

Result<std::vector<bool>> read_sliding_layers(const Config& config, int64_t layers) {
  AWQ_ASSIGN(const std::vector<std::string> types, config.texts("layer_types"));
  std::vector<bool> sliding;
  if (types.empty()) return sliding;
  if (static_cast<int64_t>(types.size()) != layers) {
    return bad_input(cat(config.origin(), ": \"layer_types\" has ", types.size(),
                         " entries, the config tells ", layers, " layers"));
  }
  for (const std::string& type : types) {
    if (type != "sliding_attention" && type != "full_attention") {
      return bad_input(cat(config.origin(), ": layer type \"", printable(type),
                           "\" is not supported; supported: full_attention, sliding_attention"));
    }
    sliding.push_back(type == "sliding_attention");
  }
  return sliding;
}

Result<int64_t> read_window(const Config& config, int64_t fallback) {
  const auto found = config.json().find("sliding_window");
  if (found != config.json().end() && found->is_null()) return int64_t{0};
  return config.integer_or("sliding_window", fallback, 0, int64_t{1} << 40);
}

void set_second_kind(Attention& attention, const LayerAttention& kind,
                     const std::vector<bool>& second) {
  attention.kinds.push_back(kind);
  attention.kind_of_layer.assign(second.begin(), second.end());
}

Status require_boolean(const Config& config, std::string_view key, bool wanted) {
  AWQ_ASSIGN(const bool value, config.boolean_or(key, wanted));
  if (value == wanted) return {};
  return bad_input(cat(config.origin(), ": \"", key, "\": ", value,
                       " is not supported; models with ", wanted, " are"));
}

}  // namespace awq
