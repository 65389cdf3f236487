#include "quant/awq_clip.h"

#include <algorithm>
#include <cmath>

#include "quant/hessian_loss.h"
#include "quant/round.h"

namespace awq {
namespace {

constexpr int kGrid = 20, kTried = 10;  // reference: n_grid 20, max_shrink 0.5

float largest_magnitude(const float* w, int64_t n) {
  float largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::fabs(w[i]));
  return largest;
}

std::vector<float> diagonal_block(const std::vector<float>& gram, int64_t in, int64_t begin,
                                  int64_t n) {
  std::vector<float> block(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i) {
    std::copy_n(gram.data() + (begin + i) * in + begin, n, block.data() + i * n);
  }
  return block;
}

// limits[row] = the best bound for group [begin, begin + n) of each row.
void search_group(const FloatTensor& weight, const std::vector<float>& gram, int64_t begin,
                  int64_t n, const QuantFormat& format, Arithmetic arithmetic, const Ops& ops,
                  std::vector<float>& limits) {
  const int64_t rows = weight.shape[0], in = weight.shape[1];
  QuantFormat whole = format;
  whole.group = 0;  // one group: these n inputs
  HessianLoss loss(ops, diagonal_block(gram, in, begin, n), n);
  std::vector<double> best(static_cast<size_t>(rows), INFINITY);
  limits.assign(static_cast<size_t>(rows), 0);
  for (int i = 0; i < kTried; ++i) {
    const float keep = 1.0f - static_cast<float>(i) / kGrid;
    const std::vector<double> losses = loss.rows(rows, [&](int64_t row, float* e) {
      const float* w = weight.values.data() + row * in + begin;
      const float limit = largest_magnitude(w, n) * keep;
      for (int64_t j = 0; j < n; ++j) e[j] = std::clamp(w[j], -limit, limit);
      fake_round_row(e, n, whole, e, arithmetic);
      for (int64_t j = 0; j < n; ++j) e[j] -= w[j];
    });
    for (int64_t row = 0; row < rows; ++row) {
      const auto r = static_cast<size_t>(row);
      if (!(losses[r] < best[r])) continue;
      best[r] = losses[r];
      limits[r] = i == 0 ? INFINITY
                         : largest_magnitude(weight.values.data() + row * in + begin, n) * keep;
    }
  }
}

}  // namespace

ClipResult search_clip(FloatTensor& weight, const std::vector<float>& gram,
                       const QuantFormat& format, const Ops& ops, Arithmetic arithmetic) {
  const int64_t rows = weight.shape[0], in = weight.shape[1];
  const int64_t group = format.group_size(in), groups = format.groups(in);
  std::vector<float> clipped = weight.values;
  std::vector<int64_t> clipped_groups(static_cast<size_t>(rows), 0);
  std::vector<float> limits;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t begin = g * group, n = std::min(group, in - begin);
    search_group(weight, gram, begin, n, format, arithmetic, ops, limits);
    for (int64_t row = 0; row < rows; ++row) {
      const float limit = limits[static_cast<size_t>(row)];
      if (!std::isfinite(limit)) continue;
      ++clipped_groups[static_cast<size_t>(row)];
      float* w = clipped.data() + row * in + begin;
      for (int64_t j = 0; j < n; ++j) w[j] = std::clamp(w[j], -limit, limit);
    }
  }
  // The search saw each group alone; the row's whole output decides.
  HessianLoss loss(ops, gram, in);
  const auto losses_of = [&](const std::vector<float>& values) {
    return loss.rows(rows, [&](int64_t row, float* e) {
      fake_round_row(values.data() + row * in, in, format, e, arithmetic);
      const float* w = weight.values.data() + row * in;
      for (int64_t i = 0; i < in; ++i) e[i] -= w[i];
    });
  };
  const std::vector<double> before = losses_of(weight.values), after = losses_of(clipped);
  ClipResult result;
  int64_t kept_groups = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const auto r = static_cast<size_t>(row);
    result.loss_before += before[r];
    result.loss_after += std::min(before[r], after[r]);
    if (!(after[r] < before[r])) continue;
    std::copy_n(clipped.data() + row * in, in, weight.values.data() + row * in);
    kept_groups += clipped_groups[r];
  }
  result.clipped_share = static_cast<double>(kept_groups) / static_cast<double>(rows * groups);
  return result;
}

}  // namespace awq
