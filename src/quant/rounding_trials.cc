#include "quant/rounding_trials.h"

#include <algorithm>

#include "model/weights.h"
#include "quant/awq_clip.h"
#include "quant/gptq.h"
#include "quant/round.h"

namespace awq {

RoundingTrials::RoundingTrials(const Ops& ops, const DeviceBuffer& judge, const FloatTensor& weight,
                               const QuantFormat& format, std::span<const float> keep)
    : ops_(&ops),
      gram_(judge.as<float>()),
      weight_(&weight),
      format_(format),
      keep_(keep),
      out_(weight.shape[0]),
      in_(weight.shape[1]),
      host_(ops, judge, in_) {
  if (!on_device()) {
    energy_ = host_.total(out_, [&](int64_t row, float* e) {
      std::copy_n(weight.values.data() + row * in_, in_, e);
    });
  } else {
    Device& device = *ops.device;
    const auto codes = static_cast<size_t>(out_ * in_);
    const auto groups = static_cast<size_t>(out_ * format.groups(in_));
    device_weight_ = upload_floats(device, weight.values);
    device_keep_ = upload_floats(device, std::vector<float>(keep.begin(), keep.end()));
    for (Codes* set : {&device_tried_, &device_chosen_}) {
      set->codes = DeviceBuffer(device, codes);
      set->scales = DeviceBuffer(device, groups * sizeof(uint16_t));
      set->zeros = DeviceBuffer(device, groups);
    }
    energy_ = for_slabs([&](int64_t first, const Matrix& e) {
      return Matrix(device_weight_.as<float>() + first * in_, e.rows, in_);
    });
  }
  energy_ = std::max(energy_, 1e-30);
}

// Sum of e H e^T over the rows of what fill(first row, buffer) returns for each slab.
template <class F>
double RoundingTrials::for_slabs(F&& fill) {
  Device& device = *ops_->device;
  const int64_t step = slab_rows(out_, in_);
  error_.reserve(device, static_cast<size_t>(step * in_) * sizeof(float));
  losses_.reserve(device, static_cast<size_t>(step) * sizeof(double));
  std::vector<double> losses(static_cast<size_t>(step));
  double sum = 0;
  for (int64_t first = 0; first < out_; first += step) {
    const int64_t rows = std::min(step, out_ - first);
    const Matrix e = fill(first, Matrix(error_.as<float>(), rows, in_));
    ops_->quadratic_form(device, e, gram_, losses_.as<double>());
    device.download(losses.data(), losses_.data(), static_cast<size_t>(rows) * sizeof(double));
    for (int64_t i = 0; i < rows; ++i) sum += losses[static_cast<size_t>(i)];
  }
  return sum;
}

// Of rows [first, first + rows) of the try.
RoundCodesArgs RoundingTrials::arguments(int64_t first, int64_t rows, const float* keep) {
  const int64_t groups = format_.groups(in_);
  return {{device_weight_.as<float>() + first * in_, rows, in_},
          format_,
          keep,
          {device_tried_.codes.as<uint8_t>() + first * in_,
           device_tried_.scales.as<uint16_t>() + first * groups,
           device_tried_.zeros.as<uint8_t>() + first * groups}};
}

double RoundingTrials::loss() {
  if (!on_device()) return host_loss();
  return for_slabs([&](int64_t first, const Matrix& e) {
           ops_->code_error(*ops_->device, arguments(first, e.rows, nullptr), e);
           return e;
         }) / energy_;
}

double RoundingTrials::host_loss() {
  const FloatTensor worth = dequantize_weight(tried_, ops_->device->pool());
  return host_.total(out_, [&](int64_t row, float* e) {
    const auto first = static_cast<size_t>(row * in_);
    for (size_t i = 0; i < static_cast<size_t>(in_); ++i) {
      e[i] = worth.values[first + i] - weight_->values[first + i];
    }
  }) / energy_;
}

double RoundingTrials::nearest() {
  ThreadPool& pool = ops_->device->pool();
  if (on_device()) {
    ops_->round_codes(*ops_->device,
                      arguments(0, out_, keep_.empty() ? nullptr : device_keep_.as<float>()));
  } else if (keep_.empty()) {
    tried_ = round_weight(*weight_, format_, pool);
  } else {
    FloatTensor clipped = *weight_;
    apply_clip(clipped, keep_, format_, pool);
    tried_ = round_weight(clipped, format_, pool);
  }
  return loss();
}

double RoundingTrials::compensated(const InverseFactor& factor, bool clipped) {
  const std::span<const float> keep = clipped ? keep_ : std::span<const float>();
  if (on_device()) {
    ops_->round_compensated(*ops_->device,
                            arguments(0, out_, keep.empty() ? nullptr : device_keep_.as<float>()),
                            {factor.device_upper.as<double>(), factor.device_order.as<int32_t>(),
                             factor.reordered()});
  } else {
    tried_ = gptq_round(*weight_, factor, format_, keep, ops_->device->pool());
  }
  return loss();
}

void RoundingTrials::choose() {
  std::swap(tried_, chosen_);
  std::swap(device_tried_, device_chosen_);
}

QuantWeight RoundingTrials::take() {
  if (!on_device()) return std::move(chosen_);
  QuantWeight result{format_, out_, in_, {}, {}, {}};
  result.codes.resize(static_cast<size_t>(out_ * in_));
  result.scales.resize(static_cast<size_t>(out_ * result.groups()));
  result.zeros.resize(result.scales.size());
  Device& device = *ops_->device;
  device.download(result.codes.data(), device_chosen_.codes.data(), result.codes.size());
  device.download(result.scales.data(), device_chosen_.scales.data(),
                  result.scales.size() * sizeof(uint16_t));
  device.download(result.zeros.data(), device_chosen_.zeros.data(), result.zeros.size());
  return result;
}

}  // namespace awq
