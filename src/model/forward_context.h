// What the modules of a block share while it runs; forward*.cc only.
#pragma once

#include "model/forward.h"

namespace awq {

/// Columns of a scratch part.
int64_t workspace_columns(const Arch& arch, int part);

struct Context {
  const Model& model;
  const BlockWeights& weights;
  int64_t layer;
  Workspace& workspace;
  Observer* observer;
  const Ops& ops = model.ops;
  Device& device = *model.ops.device;

  Matrix scratch(Workspace::Part part, int64_t rows) const {
    return workspace.matrix(part, rows, workspace_columns(model.arch, part));
  }

  // The one place where a linear of a block is applied.
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

/// y = o(attention(q, k, v)) of the normed input.
void attention_module(const Context& context, Matrix normed, const Rows& rows, Matrix y);

/// y = ffn(normed), whichever kind it is.
void ffn_module(const Context& context, Matrix normed, Matrix y);

/// The same of a mixture of experts.
void moe_module(const Context& context, const MoeFfn& moe, Matrix normed, Matrix y);

}  // namespace awq
