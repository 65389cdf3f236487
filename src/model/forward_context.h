// What the modules of a block share while it runs; forward*.cc only.
#pragma once

#include <initializer_list>

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

  struct Output {
    Slot slot;
    Matrix y;
  };

  // The one place where linears of a block are applied: `outputs` of the same x.
  void linears(Matrix x, std::initializer_list<Output> outputs) const {
    constexpr size_t kMost = 3;
    ProductArgs products[kMost];
    AWQ_CHECK(outputs.size() <= kMost, outputs.size());
    size_t count = 0;
    for (const Output& output : outputs) {
      if (observer != nullptr) observer->on_linear_input(layer, output.slot, x);
      const LinearWeights& linear = weights.linear(output.slot);
      products[count++] = {linear.weight.get(), linear.bias.as<float>(), output.y};
    }
    if (count > 1 && ops.matmuls != nullptr) return ops.matmuls(device, x, {products, count});
    for (const ProductArgs& p : std::span(products, count)) {
      ops.matmul(device, x, *p.weight, p.bias, p.y);
    }
  }

  void linear(Slot slot, Matrix x, Matrix y) const { linears(x, {{slot, y}}); }

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
