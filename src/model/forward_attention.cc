// The attention module: projections, their norms, positions, and the scores.
#include <algorithm>
#include <cmath>

#include "model/forward_context.h"

namespace awq {
namespace {

void norm_heads(const Context& context, const Norm& record, Matrix x) {
  NormArgs args = context.norm_args(record, x, x);
  const int64_t dim = context.model.arch.sizes.head_dim;
  if (record.axis == Axis::head_dim) args.heads = x.cols / dim;
  if (record.own_head_weights) {  // normalized with weights of one, then each column by its own
    args.heads = x.cols / dim;
    args.weight = context.model.ones.as<float>();
    args.weight_offset = 0;
  }
  context.ops.norm(context.device, args);
  if (record.own_head_weights) {
    context.ops.scale_columns(context.device, x,
                              context.weights.norm(record.slot).weight.as<float>(), x);
  }
}

void rotate(const Context& context, const Rope& rope, std::span<const float> frequencies,
            std::span<const int32_t> positions, Matrix q, Matrix k) {
  const Sizes& sizes = context.model.arch.sizes;
  RopeArgs args{q,           sizes.heads,    sizes.head_dim, rope.rotary_dim, positions,
                frequencies, rope.magnitude, rope.pairing};
  context.ops.rope(context.device, args);
  args.x = k;
  args.heads = sizes.kv_heads;
  context.ops.rope(context.device, args);
}

// Sequences that have outgrown the original context turn at frequencies of their own.
void apply_rope(const Context& context, const Rope& rope, const PositionTables& tables,
                const Rows& rows, Matrix q, Matrix k) {
  const auto length = [&rows](size_t i) {
    const Segment& segment = rows.segments[i];
    return std::max(segment.past + segment.count, rows.lengths.empty() ? 0 : rows.lengths[i]);
  };
  bool grown = false;
  for (size_t i = 0; i < rows.segments.size(); ++i) grown |= beyond_original(rope, length(i));
  if (!grown) return rotate(context, rope, tables.inverse_frequency, rows.positions, q, k);
  for (size_t i = 0; i < rows.segments.size(); ++i) {
    const Segment& segment = rows.segments[i];
    const auto of = [&](Matrix x) { return x.slice_rows(segment.first, segment.count); };
    rotate(context, rope, inverse_frequencies(rope, length(i)),
           rows.positions.subspan(static_cast<size_t>(segment.first),
                                  static_cast<size_t>(segment.count)),
           of(q), of(k));
  }
}

}  // namespace

void attention_module(const Context& context, Matrix normed, const Rows& rows, Matrix y) {
  const Arch& arch = context.model.arch;
  const Sizes& sizes = arch.sizes;
  const Attention& attention = arch.block.attention;
  const size_t kind = attention.kind(context.layer);
  const LayerAttention& layer = attention.kinds[kind];
  const PositionTables& tables = context.model.positions[kind];
  const Matrix q = context.scratch(Workspace::kQ, normed.rows);
  const Matrix k = context.scratch(Workspace::kK, normed.rows);
  const Matrix v = context.scratch(Workspace::kV, normed.rows);
  const Matrix out = context.scratch(Workspace::kAttention, normed.rows);
  context.linears(normed, {{Slot::q, q}, {Slot::k, k}, {Slot::v, v}});
  if (attention.clip > 0) {
    for (const Matrix& x : {q, k, v}) context.ops.clamp(context.device, x, attention.clip);
  }
  if (attention.q_norm) norm_heads(context, *attention.q_norm, q);
  if (attention.k_norm) norm_heads(context, *attention.k_norm, k);
  if (const auto* rope = std::get_if<Rope>(&layer.positions)) {
    apply_rope(context, *rope, tables, rows, q, k);
  }
  context.ops.kv_append(context.device, {k, v, sizes.kv_heads, sizes.head_dim, rows.segments});
  AttentionArgs args;
  args.q = q;
  args.out = out;
  args.heads = sizes.heads;
  args.kv_heads = sizes.kv_heads;
  args.head_dim = sizes.head_dim;
  args.scale = attention.scale > 0 ? attention.scale
                                   : 1.0f / std::sqrt(static_cast<float>(sizes.head_dim));
  args.softcap = attention.softcap;
  args.window = layer.window;
  args.alibi_slopes = tables.alibi_slopes;
  args.segments = rows.segments;
  context.ops.attention(context.device, args);
  context.linear(Slot::o, out, y);
}

}  // namespace awq
