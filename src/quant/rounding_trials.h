// The ways of rounding one linear, tried one after the other and judged by what they lose at its
// outputs; on the device where the backend rounds there, else on the host.
#pragma once

#include <span>
#include <vector>

#include "model/float_block.h"
#include "quant/hessian_loss.h"
#include "quant/inverse_factor.h"
#include "tensor/quant_format.h"

namespace awq {

class RoundingTrials {
 public:
  /// `judge` [in, in]: X^T X of the tokens that judge, device memory. `keep` [out, groups] or empty:
  /// the share of its largest magnitude that a group keeps (AWQ's clip). All of them and `ops`
  /// outlive this.
  RoundingTrials(const Ops& ops, const DeviceBuffer& judge, const FloatTensor& weight,
                 const QuantFormat& format, std::span<const float> keep);

  // Each replaces the try before and returns what it loses: tr(E H E^T) over tr(W H W^T).
  /// To nearest within the clips.
  double nearest();
  /// As gptq_round() does; `clipped`: grids span the clips.
  double compensated(const InverseFactor& factor, bool clipped);

  /// The last try is the best so far.
  void choose();
  /// The best one, when all is tried.
  QuantWeight take();

 private:
  /// Codes in device memory.
  struct Codes {
    DeviceBuffer codes, scales, zeros;
  };

  bool on_device() const { return ops_->round_compensated != nullptr; }
  RoundCodesArgs arguments(int64_t first, int64_t rows, const float* keep);
  double loss();
  double host_loss();
  template <class F>
  double for_slabs(F&& fill);

  const Ops* ops_;
  const float* gram_;
  const FloatTensor* weight_;
  QuantFormat format_;
  std::span<const float> keep_;
  int64_t out_, in_;
  double energy_ = 0;
  // On the host.
  HessianLoss host_;
  QuantWeight tried_, chosen_;
  // On the device.
  DeviceBuffer device_weight_, device_keep_, error_, losses_;
  Codes device_tried_, device_chosen_;
};

}  // namespace awq
