#include "model/forward.h"

#include "model/forward_context.h"

namespace awq {

int64_t workspace_columns(const Arch& arch, int part) {
  const Sizes& sizes = arch.sizes;
  const bool moe = std::holds_alternative<MoeFfn>(arch.block.ffn);
  switch (part) {
    case Workspace::kQ:
    case Workspace::kAttention: return sizes.heads * sizes.head_dim;
    case Workspace::kK:
    case Workspace::kV: return sizes.kv_heads * sizes.head_dim;
    case Workspace::kGate:
    case Workspace::kUp: return moe ? sizes.expert_ffn : sizes.ffn;
    case Workspace::kRouter: return sizes.experts;
    case Workspace::kRouted:
    case Workspace::kExpert: return moe ? sizes.hidden : 0;
    default: return sizes.hidden;
  }
}

Matrix Workspace::matrix(Part part, int64_t rows, int64_t cols) {
  buffers_[part].reserve(*device_, static_cast<size_t>(rows * cols) * sizeof(float));
  return {buffers_[part].as<float>(), rows, cols};
}

uint64_t Workspace::bytes(const Arch& arch, int64_t tokens) {
  int64_t columns = 0;
  for (int part = 0; part < kParts; ++part) columns += workspace_columns(arch, part);
  return static_cast<uint64_t>(columns * tokens) * sizeof(float);
}

void ffn_module(const Context& context, Matrix normed, Matrix y) {
  const Ffn& ffn = context.model.arch.block.ffn;
  if (const auto* moe = std::get_if<MoeFfn>(&ffn)) return moe_module(context, *moe, normed, y);
  const Matrix up = context.scratch(Workspace::kUp, normed.rows);
  if (const auto* gated = std::get_if<GatedFfn>(&ffn)) {
    const Matrix gate = context.scratch(Workspace::kGate, normed.rows);
    context.linears(normed, {{Slot::gate, gate}, {Slot::up, up}});
    context.ops.act_mul(context.device, gated->activation, gate, up, up);
  } else {
    context.linear(Slot::up, normed, up);
    context.ops.act(context.device, std::get<PlainFfn>(ffn).activation, up, up);
    if (const float* factor = context.weights.activation_factor.as<float>(); factor != nullptr) {
      context.ops.scale_columns(context.device, up, factor, up);
    }
  }
  context.linear(Slot::down, up, y);
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

// What becomes of a module's output before it joins the residual stream.
static void finish_branch(const Context& context, const std::optional<Norm>& norm, Matrix branch) {
  if (norm) context.norm(*norm, branch, branch);
  const float multiplier = context.model.arch.block.branch_multiplier;
  if (multiplier != 1) context.ops.scale(context.device, branch, multiplier);
}

static void sequential_block(const Context& context, Matrix x, const Rows& rows) {
  const Block& block = context.model.arch.block;
  const Matrix branch = context.scratch(Workspace::kBranch, x.rows);
  Matrix normed = x;
  if (block.attn_norm) {
    normed = context.scratch(Workspace::kNormed, x.rows);
    context.norm(*block.attn_norm, x, normed);
  }
  attention_module(context, normed, rows, branch);
  finish_branch(context, block.attn_out_norm, branch);
  if (block.ffn_norm) {
    normed = context.scratch(Workspace::kNormed, x.rows);
    context.add_norm(*block.ffn_norm, branch, x, normed);
  } else {
    normed = x;
    context.ops.add(context.device, branch, x);
  }
  ffn_module(context, normed, branch);
  finish_branch(context, block.ffn_out_norm, branch);
  context.ops.add(context.device, branch, x);
}

// Both branches read the block's input, so x is added to only at the end.
static void parallel_block(const Context& context, Matrix x, const Rows& rows) {
  const Block& block = context.model.arch.block;
  const Matrix normed = context.scratch(Workspace::kNormed, x.rows);
  const Matrix branch = context.scratch(Workspace::kBranch, x.rows);
  const Matrix fed = context.scratch(Workspace::kSecondBranch, x.rows);
  context.norm(*block.attn_norm, x, normed);
  attention_module(context, normed, rows, branch);
  if (block.residual == Residual::parallel_two_norms) context.norm(*block.ffn_norm, x, normed);
  ffn_module(context, normed, fed);
  finish_branch(context, block.attn_out_norm, branch);
  finish_branch(context, block.ffn_out_norm, fed);
  context.ops.add(context.device, branch, x);
  context.ops.add(context.device, fed, x);
}

static void post_norm_block(const Context& context, Matrix x, const Rows& rows) {
  const Block& block = context.model.arch.block;
  const Matrix branch = context.scratch(Workspace::kBranch, x.rows);
  attention_module(context, x, rows, branch);
  context.add_norm(*block.attn_norm, branch, x, x);
  ffn_module(context, x, branch);
  context.add_norm(*block.ffn_norm, branch, x, x);
}

void forward_block(const Model& model, const BlockWeights& weights, int64_t layer, Matrix x,
                   const Rows& rows, Workspace& workspace, Observer* observer) {
  const Context context{model, weights, layer, workspace, observer};
  switch (model.arch.block.residual) {
    case Residual::sequential: return sequential_block(context, x, rows);
    case Residual::parallel_one_norm:
    case Residual::parallel_two_norms: return parallel_block(context, x, rows);
    case Residual::post_norm: return post_norm_block(context, x, rows);
  }
}

static void frame_norm(const Model& model, const Norm& record, const NormWeights& norm, Matrix x,
                       Matrix y) {
  model.ops.norm(*model.ops.device,
                 {x, y, record.kind, norm.weight.as<float>(), norm.bias.as<float>(),
                  model.arch.norm_epsilon, record.weight_offset});
}

static void frame_linear(const Model& model, const LinearWeights& linear, Matrix x, Matrix y) {
  model.ops.matmul(*model.ops.device, x, *linear.weight, linear.bias.as<float>(), y);
}

void embed_tokens(const Model& model, std::span<const int32_t> ids,
                  std::span<const int32_t> positions, Matrix x, Workspace& workspace) {
  const Arch& arch = model.arch;
  const Ops& ops = model.ops;
  Device& device = *ops.device;
  if (arch.project_in) {
    const Matrix narrow = workspace.matrix(Workspace::kSecondBranch, x.rows,
                                           axis_size(arch.sizes, Axis::token_embed));
    ops.embed(device, ids, *model.embed.weight, narrow);
    frame_linear(model, model.project_in, narrow, x);
  } else {
    ops.embed(device, ids, *model.embed.weight, x);
  }
  if (arch.embed_multiplier != 1) ops.scale(device, x, arch.embed_multiplier);
  if (arch.learned_positions) {
    std::vector<int32_t> places(positions.begin(), positions.end());
    for (int32_t& place : places) place += static_cast<int32_t>(arch.learned_positions->offset);
    const Matrix learned = workspace.matrix(Workspace::kBranch, x.rows, x.cols);
    ops.embed(device, places, *model.position_table.weight, learned);
    ops.add(device, learned, x);
  }
  if (arch.embed_norm) frame_norm(model, *arch.embed_norm, model.embed_norm, x, x);
}

void forward_head(const Model& model, Matrix x, Matrix logits, Workspace& workspace) {
  const Arch& arch = model.arch;
  Matrix last = x;
  if (arch.final_norm) {
    last = workspace.matrix(Workspace::kNormed, x.rows, x.cols);
    frame_norm(model, *arch.final_norm, model.final_norm, x, last);
  }
  if (arch.project_out) {
    const Matrix narrow = workspace.matrix(Workspace::kSecondBranch, x.rows,
                                           axis_size(arch.sizes, Axis::token_embed));
    frame_linear(model, model.project_out, last, narrow);
    last = narrow;
  }
  model.ops.matmul(*model.ops.device, last, model.head(),
                   arch.tied_head ? nullptr : model.lm_head.bias.as<float>(), logits);
  if (arch.logit_multiplier != 1) {
    model.ops.scale(*model.ops.device, logits, arch.logit_multiplier);
  }
  if (arch.logit_softcap > 0) model.ops.softcap(*model.ops.device, logits, arch.logit_softcap);
}

}  // namespace awq
