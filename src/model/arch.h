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
#include "tensor/shape.h"

namespace awq {

/// What an extent of a weight means.
enum class Axis { embed, heads, kv_heads, ffn, vocab };

/// The place of a tensor in the model, whatever a checkpoint calls it.
enum class Slot : uint8_t {
  embed, lm_head, final_norm,                          // outside the blocks
  attn_norm, q, k, v, o, ffn_norm, gate, up, down,     // one of each per block
};
inline constexpr size_t kSlots = 12;
std::string_view slot_name(Slot slot);

/// y = x W^T + b with W [out_axis, in_axis].
struct Linear {
  Slot slot;
  Axis out_axis, in_axis;
  bool bias = false;
};

struct Norm {
  Slot slot;
  NormKind kind = NormKind::rms;
  bool bias = false;
  float weight_offset = 0;  ///< 1 where the stored weight is zero-centred (Gemma)
};

struct RopeScaling {
  enum class Kind { none, linear, llama3 } kind = Kind::none;
  double factor = 1, low_frequency = 1, high_frequency = 4;
  double original_context = 0;
};

struct Rope {
  double theta = 10000;
  int64_t rotary_dim = 0;
  RopePairing pairing = RopePairing::half;
  RopeScaling scaling;
  /// Divisors of each frequency, as GGUF stores an already evaluated scaling; empty: use `scaling`.
  std::vector<float> divisors;
};

struct NoPositions {};
using Positions = std::variant<Rope, NoPositions>;

struct Attention {
  Linear q, k, v, o;
  Positions positions;
  float scale = 0;  ///< of q k^T; 0: 1 / sqrt(head_dim)
};

struct GatedFfn {  ///< down(act(gate(x)) * up(x))
  Activation activation;
  Linear gate, up, down;
};
struct PlainFfn {  ///< down(act(up(x)))
  Activation activation;
  Linear up, down;
};
using Ffn = std::variant<GatedFfn, PlainFfn>;

enum class Residual {
  sequential,           ///< x += attn(norm1 x); x += ffn(norm2 x)
  parallel_one_norm,    ///< x += attn(norm x) + ffn(norm x)
  parallel_two_norms,   ///< x += attn(norm1 x) + ffn(norm2 x)
};

struct Block {
  Residual residual = Residual::sequential;
  Norm attn_norm, ffn_norm;  ///< ffn_norm is unused with parallel_one_norm
  Attention attention;
  Ffn ffn;
};

struct Sizes {
  int64_t layers = 0, hidden = 0, heads = 0, kv_heads = 0, head_dim = 0, ffn = 0, vocab = 0;
  int64_t context = 0;  ///< positions the model was made for
};

struct Arch {
  std::string family;
  Sizes sizes;
  Block block;
  Norm final_norm;
  Linear embed, lm_head;
  bool tied_head = false;  ///< the head is the embedding
  float norm_epsilon = 1e-5f;
};

// ---- derived ------------------------------------------------------------------------------------

int64_t axis_size(const Sizes& sizes, Axis axis);

/// [out, in] of a linear.
Shape linear_shape(const Arch& arch, const Linear& linear);

/// Every linear of a block, in the order of the forward pass.
std::vector<Linear> block_linears(const Block& block);

/// The norms of a block.
std::vector<Norm> block_norms(const Block& block);

/// The linear of `slot` in a block, if it has one.
std::optional<Linear> find_linear(const Block& block, Slot slot);

/// The first linear that reads the same input as `slot`: its calibration tap (q for k and v).
Slot input_slot(const Block& block, Slot slot);

/// Weights and biases, embedding counted once when tied.
int64_t parameter_count(const Arch& arch);

/// Radians per position for each rotated pair, scaling applied: [rotary_dim / 2].
std::vector<float> inverse_frequencies(const Rope& rope);

}  // namespace awq
