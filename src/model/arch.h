// What a decoder-only language model *is*, as plain records. The forward pass, the AWQ fold groups,
// the checkpoint names, the memory plan and the calibration taps are all derived from one Arch; a
// family is the small function that makes one from a config (families/).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kernels/ops.h"
#include "model/positions.h"
#include "tensor/shape.h"

namespace awq {

/// What an extent of a weight means.
enum class Axis {
  embed,        ///< the residual stream
  heads,        ///< query heads x head_dim
  kv_heads,     ///< key/value heads x head_dim
  head_dim,     ///< one head
  ffn,
  vocab,
  token_embed,  ///< rows of the embedding table, where a projection widens them (OPT-350m)
  positions,    ///< rows of a table of learned positions
  experts,
  expert_ffn,
  shared_ffn,   ///< of the expert that every token visits
  one,
};

/// The place of a tensor in the model, whatever a checkpoint calls it. The three of expert e > 0
/// follow those of expert 0: expert_slot().
enum class Slot : uint16_t {
  // Outside the blocks.
  embed, position_table, embed_norm, project_in, final_norm, project_out, lm_head,
  // One of each per block.
  attn_norm, q, k, v, q_norm, k_norm, o, attn_out_norm,
  ffn_norm, gate, up, act, down, ffn_out_norm,
  router, shared_gate, shared_up, shared_down, shared_router,
  expert_gate, expert_up, expert_down,
};
inline constexpr size_t kSlots = 29;

/// "q"; "expert_up.3" for experts.
std::string slot_name(Slot slot);

/// The slot of expert `e`; `of_first` is one of expert_gate, expert_up, expert_down.
Slot expert_slot(Slot of_first, int64_t e);
/// The slot as of expert 0, and which expert it is of; slots outside experts: themselves, 0.
struct ExpertPlace {
  Slot of_first;
  int64_t expert;
};
ExpertPlace expert_place(Slot slot);

/// y = x W^T + b with W [out_axis, in_axis].
struct Linear {
  Slot slot;
  Axis out_axis, in_axis;
  bool bias = false;
  bool keep_float = false;  ///< never quantized: routers
};

struct Norm {
  Slot slot;
  NormKind kind = NormKind::rms;
  bool bias = false;
  float weight_offset = 0;  ///< 1 where the stored weight is zero-centred (Gemma)
  /// What is normalized as one: Axis::head_dim means each head by itself with shared weights.
  Axis axis = Axis::embed;
  /// With axis heads or kv_heads: each head by itself with its own weights (Cohere).
  bool own_head_weights = false;
};

struct Attention {
  Linear q, k, v, o;
  /// The ways that layers of this model attend; kind_of_layer says which each takes.
  std::vector<LayerAttention> kinds = {LayerAttention{}};
  std::vector<uint8_t> kind_of_layer = {};  ///< [layers]; empty: all take kinds[0]
  float scale = 0;                          ///< of q k^T; 0: 1 / sqrt(head_dim)
  float softcap = 0;                        ///< c tanh(score / c); 0: none
  float clip = 0;                           ///< q, k and v are clamped to +-clip; 0: none (MPT)
  std::optional<Norm> q_norm = {}, k_norm = {};  ///< before RoPE

  size_t kind(int64_t layer) const {
    return kind_of_layer.empty() ? 0 : kind_of_layer[static_cast<size_t>(layer)];
  }
};

struct GatedFfn {  ///< down(act(gate(x)) * up(x))
  Activation activation;
  Linear gate, up, down;
};
/// down(act(up(x)) / s): s [ffn] is stored by quantization (Slot::act), where no linear can take it.
struct PlainFfn {
  Activation activation;
  Linear up, down;
};
/// sum over the best `per_token` experts of weight * expert(x), weights from softmax(router(x)).
struct MoeFfn {
  Linear router;
  GatedFfn expert;           ///< of expert 0
  int64_t experts = 0, per_token = 0;
  bool renormalize = true;   ///< the chosen weights are divided by their sum
};
using Ffn = std::variant<GatedFfn, PlainFfn, MoeFfn>;

enum class Residual {
  sequential,           ///< x += attn(norm1 x); x += ffn(norm2 x)
  parallel_one_norm,    ///< x += attn(norm x) + ffn(norm x)
  parallel_two_norms,   ///< x += attn(norm1 x) + ffn(norm2 x)
  post_norm,            ///< x = norm1(x + attn x); x = norm2(x + ffn x) (OPT-350m)
};

struct Block {
  Residual residual = Residual::sequential;
  /// Of the modules' inputs (post_norm: of the sums). ffn_norm is unused with parallel_one_norm;
  /// both may be absent (OLMo 2).
  std::optional<Norm> attn_norm, ffn_norm;
  /// Of the modules' outputs, before they are added (Gemma 2, OLMo 2).
  std::optional<Norm> attn_out_norm, ffn_out_norm;
  float branch_multiplier = 1;  ///< of both modules' outputs (Granite)
  Attention attention;
  Ffn ffn;
};

struct Sizes {
  int64_t layers = 0, hidden = 0, heads = 0, kv_heads = 0, head_dim = 0, ffn = 0, vocab = 0;
  int64_t context = 0;        ///< positions the model was made for
  int64_t token_embed = 0;    ///< 0: hidden
  int64_t position_rows = 0;  ///< of the table of learned positions
  int64_t experts = 0, expert_ffn = 0, shared_ffn = 0;
};

/// A table of learned positions: row position + offset is added to the embedding.
struct LearnedPositions {
  Linear table = {Slot::position_table, Axis::positions, Axis::embed};
  int64_t offset = 0;  ///< OPT: 2
};

struct Arch {
  std::string family;
  Sizes sizes;
  Block block;
  std::optional<Norm> final_norm;
  Linear embed, lm_head;
  bool tied_head = false;  ///< the head is the embedding
  float norm_epsilon = 1e-5f;
  float embed_multiplier = 1;  ///< Gemma: sqrt(hidden)
  std::optional<LearnedPositions> learned_positions;
  std::optional<Norm> embed_norm;                   ///< BLOOM
  std::optional<Linear> project_in, project_out;    ///< OPT-350m
  float logit_multiplier = 1, logit_softcap = 0;    ///< in this order; softcap 0: none
};

// ---- derived ------------------------------------------------------------------------------------

int64_t axis_size(const Sizes& sizes, Axis axis);

/// The key of config.json that an extent comes from, in transformers' most common spelling.
std::string_view axis_key(Axis axis);

/// [out, in] of a linear.
Shape linear_shape(const Arch& arch, const Linear& linear);

/// Weights of a norm, and their shape in a checkpoint.
int64_t norm_size(const Arch& arch, const Norm& norm);
Shape norm_shape(const Arch& arch, const Norm& norm);

/// Every linear of a block, in the order of the forward pass; of a MoE all experts'.
std::vector<Linear> block_linears(const Block& block);

/// The norms of a block.
std::vector<Norm> block_norms(const Block& block);

/// Outside the blocks: linears besides embedding and head, and norms.
std::vector<Linear> frame_linears(const Arch& arch);
std::vector<Norm> frame_norms(const Arch& arch);

/// The linear of `slot` in a block, if it has one.
std::optional<Linear> find_linear(const Block& block, Slot slot);

/// Whether the block's activation may keep a scale (of its channels) that no linear can absorb:
/// plain feed-forward layers whose activation is not positively homogeneous.
bool keeps_activation_scale(const Block& block);

/// The norm of `slot` in a block, if it has one.
std::optional<Norm> find_norm(const Block& block, Slot slot);

/// The first linear that reads the same input as `slot`: its calibration tap (q for k and v). The
/// experts of a MoE read the tokens that are routed to them: inputs of their own.
Slot input_slot(const Block& block, Slot slot);

/// The slot whose linear sees what the feed-forward module gets, all tokens of it.
Slot ffn_input_slot(const Block& block);

/// Weights and biases, embedding counted once when tied.
int64_t parameter_count(const Arch& arch);

}  // namespace awq
