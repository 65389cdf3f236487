// What rounding a linear's weight costs at its outputs, whole, by row or by group; rounded on the
// device where the backend can, else on the host.
#pragma once

#include <vector>

#include "kernels/ops.h"
#include "model/float_block.h"
#include "quant/hessian_loss.h"
#include "quant/round.h"

namespace awq {

class RoundingLoss {
 public:
  /// `gram` [in, in] is device memory; it, `ops` and `weight` [out, in] outlive this.
  RoundingLoss(const Ops& ops, const DeviceBuffer& gram, const FloatTensor& weight,
               const QuantFormat& format, Arithmetic arithmetic);

  /// From here on of codes of another width.
  void set_bits(int bits) { format_.bits = bits; }

  /// tr(W H W^T)
  double energy();
  /// tr(E H E^T) of the weight with its columns scaled by `columns` [in], rounded, unscaled.
  double total(const std::vector<float>& columns);
  /// e H e^T of each row of the weight, rounded.
  std::vector<double> rows() { return rows(weight_->values.data()); }
  /// Of each row of `values` [out, in], rounded, against the weight.
  std::vector<double> rows(const float* values);
  /// The same of the weight by groups [out, groups], where each group is first clamped to `keep`
  /// times its largest magnitude and its errors meet no other group's.
  std::vector<double> groups(float keep);

 private:
  bool on_device() const { return device_weight_.data() != nullptr; }
  std::vector<double> device_rows(const float* values, const float* columns);
  template <class F>
  std::vector<double> host_rows(F&& round);
  std::vector<double> host_groups(float keep, int64_t begin, int64_t n);
  template <class F>
  void for_slabs(F&& f);

  const Ops* ops_;
  const DeviceBuffer* gram_;
  const FloatTensor* weight_;
  QuantFormat format_;
  Arithmetic arithmetic_;
  int64_t out_, in_;
  HessianLoss whole_;  ///< on the host
  DeviceBuffer device_weight_, values_, columns_, error_, losses_;
  std::vector<float> host_gram_;  ///< where the device's memory is not the host's
};

}  // namespace awq
