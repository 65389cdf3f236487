// A mixture of experts: the router's softmax picks experts for each token, and every expert runs once
// over all tokens that were given to it.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/forward_context.h"

namespace awq {
namespace {

// The tokens of each expert and the weights that its outputs are added with.
struct Routing {
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::vector<float>> weights;
};

// Softmax over all experts, then the best of them, the first on ties.
Routing route(const MoeFfn& moe, const std::vector<float>& logits) {
  const auto experts = static_cast<size_t>(moe.experts);
  const auto chosen = static_cast<ptrdiff_t>(moe.per_token);
  Routing routing{std::vector<std::vector<int32_t>>(experts),
                  std::vector<std::vector<float>>(experts)};
  std::vector<size_t> order(experts);
  std::vector<double> share(experts);
  for (size_t token = 0; token < logits.size() / experts; ++token) {
    const float* row = logits.data() + token * experts;
    const float most = *std::max_element(row, row + experts);
    double total = 0;
    for (size_t e = 0; e < experts; ++e) total += share[e] = std::exp(double{row[e]} - most);
    std::iota(order.begin(), order.end(), size_t{0});
    std::partial_sort(order.begin(), order.begin() + chosen, order.end(), [&](size_t a, size_t b) {
      return share[a] != share[b] ? share[a] > share[b] : a < b;
    });
    if (moe.renormalize) {
      total = 0;
      for (ptrdiff_t i = 0; i < chosen; ++i) total += share[order[static_cast<size_t>(i)]];
    }
    for (ptrdiff_t i = 0; i < chosen; ++i) {
      const size_t e = order[static_cast<size_t>(i)];
      routing.tokens[e].push_back(static_cast<int32_t>(token));
      routing.weights[e].push_back(static_cast<float>(share[e] / total));
    }
  }
  return routing;
}

}  // namespace

void moe_module(const Context& context, const MoeFfn& moe, Matrix normed, Matrix y) {
  const Matrix scores = context.scratch(Workspace::kRouter, normed.rows);
  context.linear(Slot::router, normed, scores);
  std::vector<float> logits(static_cast<size_t>(scores.rows * scores.cols));
  context.device.download(logits.data(), scores.data, logits.size() * sizeof(float));
  const Routing routing = route(moe, logits);
  AWQ_CHECK(y.stride == y.cols, y.stride);
  context.device.clear(y.data, static_cast<size_t>(y.rows * y.cols) * sizeof(float));
  for (int64_t e = 0; e < moe.experts; ++e) {
    const auto& tokens = routing.tokens[static_cast<size_t>(e)];
    if (tokens.empty()) continue;
    const auto count = static_cast<int64_t>(tokens.size());
    const int64_t ffn = context.model.arch.sizes.expert_ffn;
    const Matrix x = context.workspace.matrix(Workspace::kRouted, count, normed.cols);
    const Matrix gate = context.workspace.matrix(Workspace::kGate, count, ffn);
    const Matrix up = context.workspace.matrix(Workspace::kUp, count, ffn);
    const Matrix out = context.workspace.matrix(Workspace::kExpert, count, normed.cols);
    context.ops.gather(context.device, normed, tokens, x);
    context.linears(x, {{expert_slot(moe.expert.gate.slot, e), gate},
                        {expert_slot(moe.expert.up.slot, e), up}});
    context.ops.act_mul(context.device, moe.expert.activation, gate, up, up);
    context.linear(expert_slot(moe.expert.down.slot, e), up, out);
    context.ops.scatter_add(context.device, out, tokens,
                            routing.weights[static_cast<size_t>(e)], y);
  }
}

}  // namespace awq
