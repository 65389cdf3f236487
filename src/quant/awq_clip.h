// The AWQ clip search: for each group of each row the largest magnitude worth keeping, judged by
// the group's partial dot products (its diagonal block of H).
#pragma once

#include <span>
#include <vector>

#include "kernels/ops.h"
#include "model/float_block.h"
#include "quant/round.h"
#include "tensor/quant_format.h"

namespace awq {

struct ClipResult {
  double clipped_share = 0;  ///< groups that were clipped
  double loss_before = 0;    ///< tr(E H E^T) of the rounded weight without clipping
  double loss_after = 0;     ///< never above loss_before
  /// [out, groups]: the share of its largest magnitude that a group keeps.
  std::vector<float> keep;
};

/// Shrinks of 1, 0.95, ..., 0.55 of the largest magnitude of each group of `weight` [out, in] are
/// tried. A row whose whole output would get worse keeps its values. `gram` [in, in] on the device,
/// in the space of the (already scaled) weight's input; `arithmetic`: what the codes are written in.
ClipResult search_clip(const FloatTensor& weight, const DeviceBuffer& gram,
                       const QuantFormat& format, const Ops& ops,
                       Arithmetic arithmetic = Arithmetic::f32);

/// Clamps every group to the share `keep` [out, groups] of its largest magnitude.
void apply_clip(FloatTensor& weight, std::span<const float> keep, const QuantFormat& format,
                ThreadPool& pool);

}  // namespace awq
