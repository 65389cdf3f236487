// The AWQ scale search (paper equation 4): s = mean|x|^exponent over a grid of exponents, judged by
// the output error of the group's linears after rounding.
#pragma once

#include <functional>
#include <vector>

#include "model/fold.h"
#include "quant/calibrate.h"
#include "quant/format_plan.h"
#include "quant/round.h"

namespace awq {

struct ScaleChoice {
  double exponent = 0;
  bool duo = false;           ///< divided by the weights' magnitudes too
  std::vector<float> scale;   ///< per producer channel; all ones at exponent 0
  double loss_rounding = 0;   ///< relative squared error of the outputs at exponent 0
  double loss_choice = 0;     ///< never above loss_rounding
};

/// s = max(mean_abs^exponent, 1e-4), divided by sqrt(max s * min s). Exponent 0 gives ones.
std::vector<float> scale_for_exponent(std::span<const float> mean_abs, double exponent);

/// AutoAWQ's "duo scaling", activations and weights: s = max(mean_abs^exponent / (mean_weight^(1 -
/// exponent) + 1e-4), 1e-4), divided by sqrt(max s * min s).
std::vector<float> scale_for_exponent(std::span<const float> mean_abs,
                                      std::span<const float> mean_weight, double exponent);

/// Per column of a group's quantized consumers: the mean over their rows of |w| / (largest |w| of its
/// quantization group + 1e-6).
std::vector<float> mean_relative_weight(const FoldGroup& group, const FloatBlock& block,
                                        const FormatPlan& formats, int64_t layer);

/// Relative squared error of a group's outputs when its columns are scaled by `columns`, rounded
/// (in the arithmetic that the codes will be written in) and unscaled.
using GroupLoss = std::function<double(const std::vector<float>& columns)>;

/// tr(E H E^T) / tr(W H W^T) summed over the group's linears; those that stay in float lose nothing.
GroupLoss hessian_group_loss(const Arch& arch, const FoldGroup& group, const FloatBlock& block,
                             const BlockStatistics& statistics, const FormatPlan& formats,
                             int64_t layer, const Ops& ops,
                             Arithmetic arithmetic = Arithmetic::f32);

/// As the reference: mean squared error of the attention or feed-forward module's output (for v -> o
/// and up -> down the linear's own output, which is what hessian_group_loss gives exactly).
GroupLoss module_group_loss(const Arch& arch, const FoldGroup& group, const FloatBlock& block,
                            int64_t layer, Calibration& calibration,
                            const Calibration::ModuleInputs& inputs, const FormatPlan& formats,
                            const Ops& ops, Arithmetic arithmetic = Arithmetic::f32);

/// Whether the reference inspects a module (not just the linear) for this group.
bool inspects_module(const FoldGroup& group);

/// Tries `grid` exponents 0, 1/grid, ...; the first of equal losses wins. With `mean_weight` (per
/// consumer column; else empty) all exponents but the first, which is plain rounding, are duo ones, and
/// 0 is tried among them too.
ScaleChoice search_scale(const Arch& arch, const FoldGroup& group,
                         const BlockStatistics& statistics, const GroupLoss& loss, int grid,
                         std::span<const float> mean_weight = {});

}  // namespace awq
