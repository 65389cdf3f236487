#include "model/forward.h"

#include <cmath>

namespace awq {
namespace {

int64_t part_columns(const Arch& arch, int part) {
  const Sizes& sizes = arch.sizes;
  switch (part) {
    case Workspace::kQ:
    case Workspace::kAttention: return sizes.heads * sizes.head_dim;
    case Workspace::kK:
    case Workspace::kV: return sizes.kv_heads * sizes.head_dim;
    case Workspace::kGate:
    case Workspace::kUp: return sizes.ffn;
    default: return sizes.hidden;
  }
}

// What every step of a block needs to know.
struct Context {
  const Model& model;
  const BlockWeights& weights;
  int64_t layer;
  Workspace& workspace;
  Observer* observer;
  const Ops& ops = model.ops;
  Device& device = *model.ops.device;

  Matrix scratch(Workspace::Part part, int64_t rows) const {
    return workspace.matrix(part, rows, part_columns(model.arch, part));
  }

  // The one place where a linear is applied.
  void linear(Slot slot, Matrix x, Matrix y) const {
    if (observer != nullptr) observer->on_linear_input(layer, slot, x);
    const LinearWeights& linear = weights.linear(slot);
    ops.matmul(device, x, *linear.weight, linear.bias.as<float>(), y);
  }

  NormArgs norm_args(const Norm& record, Matrix x, Matrix y) const {
    const NormWeights& norm = weights.norm(record.slot);
    return {x, y, record.kind, norm.weight.as<float>(), norm.bias.as<float>(),
            model.arch.norm_epsilon, record.weight_offset};
  }

  void norm(const Norm& record, Matrix x, Matrix y) const {
    ops.norm(device, norm_args(record, x, y));
  }

  // x += branch, y = norm(x).
  void add_norm(const Norm& record, Matrix branch, Matrix x, Matrix y) const {
    ops.add_norm(device, branch, x, norm_args(record, x, y));
  }
};

void attention_module(const Context& context, Matrix normed, const Rows& rows, Matrix y) {
  const Arch& arch = context.model.arch;
  const Sizes& sizes = arch.sizes;
  const Attention& attention = arch.block.attention;
  const Matrix q = context.scratch(Workspace::kQ, normed.rows);
  const Matrix k = context.scratch(Workspace::kK, normed.rows);
  const Matrix v = context.scratch(Workspace::kV, normed.rows);
  const Matrix out = context.scratch(Workspace::kAttention, normed.rows);
  context.linear(Slot::q, normed, q);
  context.linear(Slot::k, normed, k);
  context.linear(Slot::v, normed, v);
  if (const auto* rope = std::get_if<Rope>(&attention.positions)) {
    RopeArgs args{q,    sizes.heads,    sizes.head_dim, rope->rotary_dim,
                  rows.positions, context.model.inverse_frequency, 1, rope->pairing};
    context.ops.rope(context.device, args);
    args.x = k;
    args.heads = sizes.kv_heads;
    context.ops.rope(context.device, args);
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
  args.segments = rows.segments;
  context.ops.attention(context.device, args);
  context.linear(Slot::o, out, y);
}

void ffn_module(const Context& context, Matrix normed, Matrix y) {
  const Ffn& ffn = context.model.arch.block.ffn;
  const Matrix up = context.scratch(Workspace::kUp, normed.rows);
  if (const auto* gated = std::get_if<GatedFfn>(&ffn)) {
    const Matrix gate = context.scratch(Workspace::kGate, normed.rows);
    context.linear(Slot::gate, normed, gate);
    context.linear(Slot::up, normed, up);
    context.ops.act_mul(context.device, gated->activation, gate, up, up);
  } else {
    context.linear(Slot::up, normed, up);
    context.ops.act(context.device, std::get<PlainFfn>(ffn).activation, up, up);
  }
  context.linear(Slot::down, up, y);
}

}  // namespace

Matrix Workspace::matrix(Part part, int64_t rows, int64_t cols) {
  buffers_[part].reserve(*device_, static_cast<size_t>(rows * cols) * sizeof(float));
  return {buffers_[part].as<float>(), rows, cols};
}

uint64_t Workspace::bytes(const Arch& arch, int64_t tokens) {
  int64_t columns = 0;
  for (int part = 0; part < kParts; ++part) columns += part_columns(arch, part);
  return static_cast<uint64_t>(columns * tokens) * sizeof(float);
}

void forward_attention(const Model& model, const BlockWeights& weights, int64_t layer,
                       Matrix normed, const Rows& rows, Matrix y, Workspace& workspace,
                       Observer* observer) {
  attention_module({model, weights, layer, workspace, observer}, normed, rows, y);
}

void forward_ffn(const Model& model, const BlockWeights& weights, int64_t layer, Matrix normed,
                 Matrix y, Workspace& workspace, Observer* observer) {
  ffn_module({model, weights, layer, workspace, observer}, normed, y);
}

void forward_block(const Model& model, const BlockWeights& weights, int64_t layer, Matrix x,
                   const Rows& rows, Workspace& workspace, Observer* observer) {
  const Context context{model, weights, layer, workspace, observer};
  const Block& block = model.arch.block;
  const Matrix normed = context.scratch(Workspace::kNormed, x.rows);
  const Matrix branch = context.scratch(Workspace::kBranch, x.rows);
  context.norm(block.attn_norm, x, normed);
  attention_module(context, normed, rows, branch);
  if (block.residual == Residual::sequential) {
    context.add_norm(block.ffn_norm, branch, x, normed);
    ffn_module(context, normed, branch);
    context.ops.add(context.device, branch, x);
    return;
  }
  // Parallel: both branches read the block's input, so x is added to only at the end.
  if (block.residual == Residual::parallel_two_norms) context.norm(block.ffn_norm, x, normed);
  const Matrix fed = context.scratch(Workspace::kSecondBranch, x.rows);
  ffn_module(context, normed, fed);
  context.ops.add(context.device, branch, x);
  context.ops.add(context.device, fed, x);
}

void embed_tokens(const Model& model, std::span<const int32_t> ids, Matrix x) {
  model.ops.embed(*model.ops.device, ids, *model.embed.weight, x);
}

void forward_head(const Model& model, Matrix x, Matrix normed, Matrix logits) {
  const Norm& norm = model.arch.final_norm;
  model.ops.norm(*model.ops.device,
                 {x, normed, norm.kind, model.final_norm.weight.as<float>(),
                  model.final_norm.bias.as<float>(), model.arch.norm_epsilon, norm.weight_offset});
  model.ops.matmul(*model.ops.device, normed, model.head(),
                   model.arch.tied_head ? nullptr : model.lm_head.bias.as<float>(), logits);
}

}  // namespace awq
