// The backend seam: one table of functions per device and instruction set, chosen once and passed
// down by reference. Everything above this header is the same for every backend. The scalar table
// (reference.cc) is a permanent citizen and the oracle of all others.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/check.h"
#include "kernels/device.h"
#include "tensor/dtype.h"
#include "tensor/quant_format.h"

namespace awq {

/// Activations: [rows, cols] f32 on the device, rows `stride` elements apart.
struct Matrix {
  float* data = nullptr;
  int64_t rows = 0, cols = 0, stride = 0;

  Matrix() = default;
  Matrix(float* data_, int64_t rows_, int64_t cols_, int64_t stride_ = 0)
      : data(data_), rows(rows_), cols(cols_), stride(stride_ == 0 ? cols_ : stride_) {}
  float* row(int64_t i) const { return data + i * stride; }
  Matrix slice_rows(int64_t begin, int64_t count) const {
    return {data + begin * stride, count, cols, stride};
  }
  Matrix slice_cols(int64_t begin, int64_t count) const {
    return {data + begin, rows, count, stride};
  }
};

/// A weight [out, in] in a backend's own layout. Made by pack_*, used by the same table only.
class PackedWeight {
 public:
  virtual ~PackedWeight() = default;
  int64_t out = 0, in = 0;
  uint64_t bytes = 0;  ///< memory that one multiplication by a vector reads
};

/// A float weight as stored: row-major [out, in] of `dtype` (F32, F16 or BF16).
struct FloatWeight {
  const void* data = nullptr;
  DType dtype = DType::f32;
  int64_t out = 0, in = 0;
};

/// One of several products of the same x.
struct ProductArgs {
  const PackedWeight* weight = nullptr;
  const float* bias = nullptr;  ///< [out] or null
  Matrix y;
};

class DecodeStep;
class BatchStep;
class TokenDraws;
struct DecodeSpec;
struct SamplerOptions;

enum class NormKind { rms, layer };

struct NormArgs {
  Matrix x;  ///< [tokens, dim], or [tokens, heads * dim] with `heads` > 1: each head by itself
  Matrix y;  ///< same shape; may be x
  NormKind kind = NormKind::rms;
  const float* weight = nullptr;  ///< [dim]
  const float* bias = nullptr;    ///< [dim] or null
  float epsilon = 1e-5f;
  float weight_offset = 0;        ///< Gemma multiplies by 1 + w
  int64_t heads = 1;
};

enum class RopePairing { half, interleaved };  ///< (i, i + R/2) or (2i, 2i + 1)

struct RopeArgs {
  Matrix x;  ///< [tokens, heads * head_dim], rotated in place
  int64_t heads = 0, head_dim = 0;
  int64_t rotary_dim = 0;                      ///< R <= head_dim: the first R of each head
  std::span<const int32_t> positions;          ///< [tokens]
  std::span<const float> inverse_frequency;    ///< [R / 2], radians per position
  float magnitude = 1;                         ///< multiplies cos and sin
  RopePairing pairing = RopePairing::half;
};

/// Keys and values of one sequence in one layer: element (kv_head, position, i) lies at
/// kv_head * head_stride + position * head_dim + i.
///
/// I8, for tables with int8_kv: each key and each value of a head is a vector of signed codes with a
/// scale of its own, element = code * scale; the scale of (kv_head, position) lies at
/// kv_head * (head_stride / head_dim) + position. kv_append makes them in f32 arithmetic:
/// largest = max |x|, scale = largest / 127, code = nearest even of x * (127 / largest); a vector below
/// 1e-30 has scale and codes 0, one with a value that is not finite has scale NaN and codes 0.
struct KvView {
  void* k = nullptr;
  void* v = nullptr;
  DType dtype = DType::f32;  ///< F32, F16 or I8
  int64_t head_stride = 0;   ///< elements: capacity * head_dim
  float* k_scales = nullptr;  ///< [kv_heads, capacity] of I8, else null
  float* v_scales = nullptr;
};

/// Consecutive rows of a batch that belong to one sequence.
struct Segment {
  int64_t first = 0, count = 0;  ///< rows of the batch
  int64_t past = 0;              ///< positions already in the cache before these rows
  KvView kv;
};

struct KvAppendArgs {
  Matrix k, v;  ///< [tokens, kv_heads * head_dim]
  int64_t kv_heads = 0, head_dim = 0;
  std::span<const Segment> segments;
};

struct AttentionArgs {
  Matrix q;    ///< [tokens, heads * head_dim]
  Matrix out;  ///< [tokens, heads * head_dim]; not q
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  float scale = 1;                        ///< of q k^T
  float softcap = 0;                      ///< c * tanh(x / c) on scores; 0 = none
  int64_t window = 0;                     ///< keys a query sees, itself included; 0 = all
  std::span<const float> alibi_slopes;    ///< [heads] or empty: adds slope * (key - query)
  bool causal = true;
  std::span<const Segment> segments;      ///< the keys of the rows are already appended
};

enum class Activation { silu, gelu, gelu_tanh, relu, quick_gelu };

/// What a row of logits says of the token that came next.
struct RowScore {
  double log_sum = 0;  ///< log of the sum of exp of the row; not finite when a logit is not
  double nll = 0;      ///< log_sum - logits[target]: natural logarithm
  int32_t top = 0;     ///< as argmax
};

/// The error of rounding by groups (quant/round.h, f32 arithmetic):
/// e = rounded(clamped(w * columns)) / columns - base.
struct RoundErrorArgs {
  Matrix w;
  Matrix base;                     ///< may be w
  const float* columns = nullptr;  ///< [cols], or null: ones
  QuantFormat format;
  float keep = 1;                  ///< each group is clamped to this share of its largest magnitude
  Matrix e;
};

/// A weight as codes [rows, cols], IEEE half scales and zeros [rows, groups]: device memory.
struct CodeBuffers {
  uint8_t* codes = nullptr;
  uint16_t* scales = nullptr;
  uint8_t* zeros = nullptr;
};

/// Rounding to codes (quant/round.h, f32 arithmetic).
struct RoundCodesArgs {
  Matrix w;  ///< rows without gaps
  QuantFormat format;
  const float* keep = nullptr;  ///< [rows, groups], device memory, or null: ones; as RoundErrorArgs
  CodeBuffers to;
};

/// What GPTQ takes errors back by (quant/inverse_factor.h): device memory.
struct ColumnFactor {
  const double* upper = nullptr;   ///< [cols, cols], read from the diagonal on
  const int32_t* order = nullptr;  ///< [cols]: the column of the weight that each of its rows is about
  bool static_groups = false;      ///< grids of the weight as it was, not as errors leave it
};

struct FactorArgs {
  const float* h = nullptr;        ///< [dim, dim] symmetric, device memory
  std::span<const int32_t> order;  ///< [dim], host memory
  double dead = 1;                 ///< takes the place of a zero on the diagonal
  double damping = 0;              ///< added to the whole diagonal then
  double* upper = nullptr;         ///< [dim, dim], device memory; below the diagonal: not defined
};

/// `unavailable`: a library that it needs is not there; said once on stderr.
enum class FactorOutcome { done, not_positive_definite, unavailable };

/// What a backend offers. Functions take the table's device first; shapes are checked by the
/// launcher. A null fused entry means that callers compose it from the others.
///
/// Matrices, KV caches and the pointers of biases, norms, `s`, `h`, `sums` and `losses` are device
/// memory. Host memory: all spans (token ids, targets, positions, frequencies, slopes, segments),
/// the sources of pack_float, pack_quant and pack_words, and the results of argmax, score and divergence, which
/// those calls wait for. All other work may still be running when a call returns; the host memory
/// that it was given may go away nevertheless.
struct Ops {
  std::string_view name;  ///< "scalar", "avx2", "avx512"
  Device* device = nullptr;
  bool int8_kv = false;  ///< kv_append and attention take KV caches of I8

  // Weights. pack_float keeps the dtype of its source.
  std::unique_ptr<PackedWeight> (*pack_float)(Device&, const FloatWeight&) = nullptr;
  std::unique_ptr<PackedWeight> (*pack_quant)(Device&, const QuantWeight&) = nullptr;
  /// pack_quant of a weight without codes, from a checkpoint's words. Null, or null returned for a
  /// format that it does not know: callers unpack first.
  std::unique_ptr<PackedWeight> (*pack_words)(Device&, const QuantWeight& facts,
                                              const QuantWords& words) = nullptr;

  /// y[t, o] = sum_i x[t, i] w[o, i] + bias[o]; `bias` [out] or null. x and y do not overlap.
  void (*matmul)(Device&, Matrix x, const PackedWeight& w, const float* bias, Matrix y) = nullptr;
  /// y[t, :] = table[ids[t], :] of a float weight.
  void (*embed)(Device&, std::span<const int32_t> ids, const PackedWeight& table,
                Matrix y) = nullptr;

  void (*norm)(Device&, const NormArgs&) = nullptr;
  void (*rope)(Device&, const RopeArgs&) = nullptr;
  void (*kv_append)(Device&, const KvAppendArgs&) = nullptr;
  void (*attention)(Device&, const AttentionArgs&) = nullptr;

  /// y = act(x); x may be y.
  void (*act)(Device&, Activation, Matrix x, Matrix y) = nullptr;
  /// y = act(gate) * up; any of them may be the same.
  void (*act_mul)(Device&, Activation, Matrix gate, Matrix up, Matrix y) = nullptr;
  /// y += x
  void (*add)(Device&, Matrix x, Matrix y) = nullptr;
  /// y[t, i] = x[t, i] * s[i]
  void (*scale_columns)(Device&, Matrix x, const float* s, Matrix y) = nullptr;
  /// x *= s
  void (*scale)(Device&, Matrix x, float s) = nullptr;
  /// x = c * tanh(x / c)
  void (*softcap)(Device&, Matrix x, float c) = nullptr;
  /// x = min(max(x, -limit), limit)
  void (*clamp)(Device&, Matrix x, float limit) = nullptr;
  /// y[i, :] = x[rows[i], :]; y [rows.size(), cols] does not overlap x.
  void (*gather)(Device&, Matrix x, std::span<const int32_t> rows, Matrix y) = nullptr;
  /// y[rows[i], :] += weights[i] * x[i, :]; no row is named twice.
  void (*scatter_add)(Device&, Matrix x, std::span<const int32_t> rows,
                      std::span<const float> weights, Matrix y) = nullptr;
  /// out[t] = index of the largest of x[t, :], the first on ties; NaN never wins. `out` lies in
  /// host memory; the call waits for it.
  void (*argmax)(Device&, Matrix x, int32_t* out) = nullptr;

  /// Draws of tokens (kernels/sampling.h) from rows of `vocab` logits, one for each of the sequences
  /// whose tokens so far are `recent` (for the penalty; copied). Never null.
  std::unique_ptr<TokenDraws> (*plan_draws)(
      Device&, const SamplerOptions&, int64_t vocab,
      std::span<const std::span<const int32_t>> recent) = nullptr;

  // Evaluation. Results and `p_scores`, `q_scores` lie in host memory; the calls wait for them.
  /// scores[t] of logits[t, :] and targets[t].
  void (*score)(Device&, Matrix logits, std::span<const int32_t> targets,
                RowScore* scores) = nullptr;
  /// kl[t] = sum_i p_i (log p_i - log q_i) >= 0, p and q the softmax of logits whose log_sums are
  /// in `p_scores` and `q_scores` [rows].
  void (*divergence)(Device&, Matrix p, Matrix q, const RowScore* p_scores,
                     const RowScore* q_scores, double* kl) = nullptr;

  // Calibration and search.
  /// h += x^T x, h [dim, dim] row-major on the device; both triangles are kept.
  void (*gram)(Device&, Matrix x, float* h) = nullptr;
  /// sums[i] += sum over rows of |x[t, i]|; `sums` [dim] on the device
  void (*abs_sum)(Device&, Matrix x, double* sums) = nullptr;
  /// losses[o] = e[o, :] h e[o, :]^T with h [in, in] symmetric: the rows of tr(E H E^T). All on the
  /// device.
  void (*quadratic_form)(Device&, Matrix e, const float* h, double* losses) = nullptr;

  /// h[i, j] /= s[i] * s[j], h [dim, dim]: the Gram matrix of x / s.
  void (*unscale_gram)(Device&, float* h, const float* s, int64_t dim) = nullptr;
  /// Rounding on the device, by backends whose memory the host does not see; null: callers round on
  /// the host. The same values as there.
  void (*round_error)(Device&, const RoundErrorArgs&) = nullptr;
  /// losses[o, g] = e_g h_gg e_g^T over the `group` inputs of each group g (the last may be short),
  /// `losses` [rows, groups]. Comes with round_error.
  void (*group_forms)(Device&, Matrix e, const float* h, int64_t group, double* losses) = nullptr;

  // GPTQ by backends whose memory the host does not see; all null, or none: callers do it on the
  // host. Doubles where the host has doubles; sums of products may be in another order.
  /// `upper` = U, U^T U = (H + damping)^-1, rows and columns of H in `order`. Waits for the result.
  FactorOutcome (*inverse_factor)(Device&, const FactorArgs&) = nullptr;
  /// To nearest.
  void (*round_codes)(Device&, const RoundCodesArgs&) = nullptr;
  /// Columns in the factor's order, errors taken back, as quant/gptq.h.
  void (*round_compensated)(Device&, const RoundCodesArgs&, const ColumnFactor&) = nullptr;
  /// e = (code - zero) * scale - w of the codes in `to`; e without gaps.
  void (*code_error)(Device&, const RoundCodesArgs&, Matrix e) = nullptr;

  /// A random weight for measurements, made on the device: uniform codes, varied scales and zeros,
  /// products about as large as their input. Null, or null returned for a shape that it does not
  /// know: callers make one on the host.
  std::unique_ptr<PackedWeight> (*pack_random)(Device&, const QuantFormat&, int64_t out, int64_t in,
                                               uint64_t seed) = nullptr;

  // Fused; null when the backend has none.
  /// matmul of one x with several weights: what they all need of x is made once.
  void (*matmuls)(Device&, Matrix x, std::span<const ProductArgs> products) = nullptr;
  /// A plan of whole decode steps (kernels/decode_step.h); null entry or null answer: walk the ops.
  std::unique_ptr<DecodeStep> (*plan_decode)(Device&, const DecodeSpec&) = nullptr;
  /// A plan of passes over batches and prompts; null as above.
  std::unique_ptr<BatchStep> (*plan_batch)(Device&, const DecodeSpec&) = nullptr;
  /// residual += x; y = norm(residual)
  void (*add_norm)(Device&, Matrix x, Matrix residual, const NormArgs&) = nullptr;
};

}  // namespace awq
