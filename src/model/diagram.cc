#include "model/diagram.h"

#include <charconv>

namespace awq {
namespace {

// Four digits are enough to know a number by.
std::string short_number(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value, std::chars_format::general, 4).ptr};
}

std::string text_of(const Arch& arch, const Linear& linear) {
  return cat(slot_name(linear.slot), " ", linear_shape(arch, linear).text(),
             linear.bias ? " + bias" : "");
}

std::string text_of(const Norm& norm) {
  std::string text = norm.kind == NormKind::rms ? "RMSNorm" : "LayerNorm";
  if (norm.weight_offset != 0) text += " (1 + w)";
  if (norm.own_head_weights) {
    text += " of each head, weights of its own";
  } else if (norm.axis == Axis::head_dim) {
    text += " of each head";
  } else if (norm.axis != Axis::embed) {
    text += " of all heads";
  }
  return text;
}

std::string_view text_of(Activation activation) {
  switch (activation) {
    case Activation::silu: return "SiLU";
    case Activation::gelu: return "GELU";
    case Activation::gelu_tanh: return "GELU (tanh)";
    case Activation::relu: return "ReLU";
    case Activation::quick_gelu: return "quick GELU";
  }
  return "";
}

std::string_view text_of(RopeScaling::Kind kind) {
  switch (kind) {
    case RopeScaling::Kind::none: return "";
    case RopeScaling::Kind::linear: return "linear";
    case RopeScaling::Kind::llama3: return "llama3";
    case RopeScaling::Kind::yarn: return "YaRN";
    case RopeScaling::Kind::dynamic: return "dynamic NTK";
    case RopeScaling::Kind::longrope: return "LongRoPE";
  }
  return "";
}

std::string text_of(const Arch& arch, const LayerAttention& kind) {
  std::string text = "no positions";
  if (const auto* rope = std::get_if<Rope>(&kind.positions)) {
    text = cat("RoPE, base ", rope->theta);
    if (rope->rotary_dim != arch.sizes.head_dim) {
      text += cat(", ", rope->rotary_dim, " of ", arch.sizes.head_dim, " values of a head");
    }
    if (rope->pairing == RopePairing::interleaved) text += ", interleaved pairs";
    if (rope->scaling.kind != RopeScaling::Kind::none) {
      text += cat(", ", text_of(rope->scaling.kind), " x", rope->scaling.factor);
    }
    if (!rope->divisors.empty()) text += ", divisors from the file";
  } else if (std::holds_alternative<Alibi>(kind.positions)) {
    text = "ALiBi";
  } else if (arch.learned_positions) {
    text = "learned positions";
  }
  return kind.window > 0 ? cat(text, ", window of ", kind.window) : cat(text, ", all keys");
}

// "layers 0-4, 6": consecutive ones joined.
std::string layers_of(const Attention& attention, size_t kind, int64_t layers) {
  std::string text;
  for (int64_t layer = 0; layer < layers; ++layer) {
    if (attention.kind(layer) != kind) continue;
    int64_t last = layer;
    while (last + 1 < layers && attention.kind(last + 1) == kind) ++last;
    append_item(text, last == layer ? cat(layer) : cat(layer, "-", last));
    layer = last;
  }
  return text;
}

std::string attention_text(const Arch& arch) {
  const Attention& attention = arch.block.attention;
  const Sizes& sizes = arch.sizes;
  std::string text = cat(text_of(arch, attention.q), ", ", text_of(arch, attention.k), ", ",
                         text_of(arch, attention.v), "\n");
  if (attention.clip > 0) text += cat("      clamped to +-", attention.clip, "\n");
  if (attention.q_norm) text += cat("      q, k: ", text_of(*attention.q_norm), "\n");
  text += cat("      attention: ", sizes.heads, " heads of ", sizes.head_dim, " on ",
              sizes.kv_heads, attention.softcap > 0 ? cat(", scores capped at ", attention.softcap)
                                                    : std::string(),
              attention.scale > 0 ? cat(", scale ", short_number(attention.scale)) : std::string(), "\n");
  for (size_t kind = 0; kind < attention.kinds.size(); ++kind) {
    const std::string which =
        attention.kinds.size() == 1 ? "" : cat("layers ", layers_of(attention, kind, sizes.layers),
                                               ": ");
    text += cat("        ", which, text_of(arch, attention.kinds[kind]), "\n");
  }
  return cat(text, "      ", text_of(arch, attention.o));
}

std::string ffn_text(const Arch& arch) {
  const Ffn& ffn = arch.block.ffn;
  if (const auto* plain = std::get_if<PlainFfn>(&ffn)) {
    return cat(text_of(arch, plain->up), ", ", text_of(plain->activation), ", ",
               text_of(arch, plain->down));
  }
  const auto gated = [&arch](const GatedFfn& g) {
    return cat(text_of(g.activation), "(", text_of(arch, g.gate), ") * ", text_of(arch, g.up), ", ",
               text_of(arch, g.down));
  };
  if (const auto* moe = std::get_if<MoeFfn>(&ffn)) {
    return cat(text_of(arch, moe->router), ", softmax, the best ", moe->per_token, " of ",
               moe->experts, " experts", moe->renormalize ? ", weights renormalized" : "",
               "\n      each: ", gated(moe->expert));
  }
  return gated(std::get<GatedFfn>(ffn));
}

// "x += [norm] module(norm x)", with the module on lines of its own.
std::string branch(const Arch& arch, std::string_view name, const std::optional<Norm>& before,
                   const std::optional<Norm>& after, const std::string& module) {
  std::string text = cat("    x += ", name, " of ", before ? text_of(*before) : "x", ":\n      ",
                         module, "\n");
  if (after) text += cat("      ", text_of(*after), "\n");
  if (arch.block.branch_multiplier != 1) text += cat("      x ", short_number(arch.block.branch_multiplier), "\n");
  return text;
}

std::string block_text(const Arch& arch) {
  const Block& block = arch.block;
  const bool shared = block.residual == Residual::parallel_one_norm;
  if (block.residual == Residual::post_norm) {
    return cat(branch(arch, "attention", {}, {}, attention_text(arch)), "    x = ",
               text_of(*block.attn_norm), "\n", branch(arch, "feed-forward", {}, {}, ffn_text(arch)),
               "    x = ", text_of(*block.ffn_norm), "\n");
  }
  std::string text = shared ? "    both branches of the same norm of x:\n"
                     : block.residual == Residual::parallel_two_norms
                         ? "    both branches of the block's input x:\n"
                         : "";
  text += branch(arch, "attention", block.attn_norm, block.attn_out_norm, attention_text(arch));
  return text + branch(arch, "feed-forward", shared ? block.attn_norm : block.ffn_norm,
                       block.ffn_out_norm, ffn_text(arch));
}

}  // namespace

std::string block_diagram(const Arch& arch) {
  std::string text = cat("  x = ", text_of(arch, arch.embed));
  if (arch.project_in) text += cat(", ", text_of(arch, *arch.project_in));
  if (arch.embed_multiplier != 1) text += cat(" x ", short_number(arch.embed_multiplier));
  if (arch.learned_positions) {
    text += cat(" + position_table", linear_shape(arch, arch.learned_positions->table).text());
  }
  if (arch.embed_norm) text += cat(", ", text_of(*arch.embed_norm));
  text += cat("\n  ", arch.sizes.layers, " blocks:\n", block_text(arch), "  logits = ");
  if (arch.final_norm) text += cat(text_of(*arch.final_norm), ", ");
  if (arch.project_out) text += cat(text_of(arch, *arch.project_out), ", ");
  text += arch.tied_head ? "the embedding's transpose" : text_of(arch, arch.lm_head);
  if (arch.logit_multiplier != 1) text += cat(" x ", short_number(arch.logit_multiplier));
  if (arch.logit_softcap > 0) text += cat(", capped at ", arch.logit_softcap);
  return text + "\n";
}

}  // namespace awq
