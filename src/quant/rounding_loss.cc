#include "quant/rounding_loss.h"

#include <algorithm>
#include <cmath>

#include "model/weights.h"

namespace awq {
namespace {

float largest_magnitude(const float* w, int64_t n) {
  float largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::fabs(w[i]));
  return largest;
}

double sum_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum;
}

}  // namespace

RoundingLoss::RoundingLoss(const Ops& ops, const DeviceBuffer& gram, const FloatTensor& weight,
                           const QuantFormat& format, Arithmetic arithmetic)
    : ops_(&ops),
      gram_(&gram),
      weight_(&weight),
      format_(format),
      arithmetic_(arithmetic),
      out_(weight.shape[0]),
      in_(weight.shape[1]),
      whole_(ops, gram, in_) {
  if (ops.round_error != nullptr && arithmetic == Arithmetic::f32) {
    device_weight_ = upload_floats(*ops.device, weight.values);
  }
}

// f(first row, rows) with buffers for the rows' errors and losses.
template <class F>
void RoundingLoss::for_slabs(F&& f) {
  const int64_t step = slab_rows(out_, in_);
  error_.reserve(*ops_->device, static_cast<size_t>(step * in_) * sizeof(float));
  losses_.reserve(*ops_->device, static_cast<size_t>(step * format_.groups(in_)) * sizeof(double));
  for (int64_t first = 0; first < out_; first += step) f(first, std::min(step, out_ - first));
}

std::vector<double> RoundingLoss::device_rows(const float* values, const float* columns) {
  std::vector<double> losses(static_cast<size_t>(out_));
  for_slabs([&](int64_t first, int64_t rows) {
    const Matrix w(const_cast<float*>(values) + first * in_, rows, in_);
    const Matrix base(device_weight_.as<float>() + first * in_, rows, in_);
    const Matrix e(error_.as<float>(), rows, in_);
    ops_->round_error(*ops_->device, {w, base, columns, format_, 1, e});
    ops_->quadratic_form(*ops_->device, e, gram_->as<float>(), losses_.as<double>());
    ops_->device->download(losses.data() + first, losses_.data(),
                           static_cast<size_t>(rows) * sizeof(double));
  });
  return losses;
}

// Losses of rows that `round(row, out)` rounds.
template <class F>
std::vector<double> RoundingLoss::host_rows(F&& round) {
  return whole_.rows(out_, [&](int64_t row, float* e) {
    round(row, e);
    const float* w = weight_->values.data() + row * in_;
    for (int64_t i = 0; i < in_; ++i) e[i] -= w[i];
  });
}

double RoundingLoss::energy() {
  if (!on_device()) {
    return whole_.total(out_, [&](int64_t row, float* e) {
      std::copy_n(weight_->values.data() + row * in_, in_, e);
    });
  }
  double sum = 0;
  for_slabs([&](int64_t first, int64_t rows) {
    std::vector<double> losses(static_cast<size_t>(rows));
    const Matrix w(device_weight_.as<float>() + first * in_, rows, in_);
    ops_->quadratic_form(*ops_->device, w, gram_->as<float>(), losses_.as<double>());
    ops_->device->download(losses.data(), losses_.data(), losses.size() * sizeof(double));
    sum += sum_of(losses);
  });
  return sum;
}

double RoundingLoss::total(const std::vector<float>& columns) {
  if (on_device()) {
    columns_ = upload_floats(*ops_->device, columns);
    return sum_of(device_rows(device_weight_.as<float>(), columns_.as<float>()));
  }
  return sum_of(host_rows([&](int64_t row, float* out) {
    rounded_row(*weight_, row, columns, format_, arithmetic_, out);
  }));
}

std::vector<double> RoundingLoss::rows(const float* values) {
  if (on_device()) {
    if (values == weight_->values.data()) return device_rows(device_weight_.as<float>(), nullptr);
    values_.reserve(*ops_->device, device_weight_.size());
    ops_->device->upload(values_.data(), values, device_weight_.size());
    return device_rows(values_.as<float>(), nullptr);
  }
  return host_rows([&](int64_t row, float* out) {
    fake_round_row(values + row * in_, in_, format_, out, arithmetic_);
  });
}

// Losses [out] of inputs [begin, begin + n).
std::vector<double> RoundingLoss::host_groups(float keep, int64_t begin, int64_t n) {
  QuantFormat whole = format_;
  whole.group = 0;  // one group: these n inputs
  Device& device = *ops_->device;
  const float* gram = gram_->as<float>();
  if (!device.host_visible()) {
    if (host_gram_.empty()) {
      host_gram_.resize(static_cast<size_t>(in_ * in_));
      device.download(host_gram_.data(), gram, gram_->size());
    }
    gram = host_gram_.data();
  }
  std::vector<float> block(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i) {
    std::copy_n(gram + (begin + i) * in_ + begin, n, block.data() + i * n);
  }
  const DeviceBuffer diagonal = upload_floats(device, block);
  return HessianLoss(*ops_, diagonal, n).rows(out_, [&](int64_t row, float* e) {
    const float* w = weight_->values.data() + row * in_ + begin;
    const float limit = largest_magnitude(w, n) * keep;
    for (int64_t j = 0; j < n; ++j) e[j] = std::clamp(w[j], -limit, limit);
    fake_round_row(e, n, whole, e, arithmetic_);
    for (int64_t j = 0; j < n; ++j) e[j] -= w[j];
  });
}

std::vector<double> RoundingLoss::groups(float keep) {
  const int64_t size = format_.group_size(in_), count = format_.groups(in_);
  std::vector<double> losses(static_cast<size_t>(out_ * count));
  if (!on_device()) {
    for (int64_t g = 0; g < count; ++g) {
      const auto of_group = host_groups(keep, g * size, std::min(size, in_ - g * size));
      for (int64_t row = 0; row < out_; ++row) {
        losses[static_cast<size_t>(row * count + g)] = of_group[static_cast<size_t>(row)];
      }
    }
    return losses;
  }
  for_slabs([&](int64_t first, int64_t rows) {
    const Matrix w(device_weight_.as<float>() + first * in_, rows, in_);
    const Matrix e(error_.as<float>(), rows, in_);
    ops_->round_error(*ops_->device, {w, w, nullptr, format_, keep, e});
    ops_->group_forms(*ops_->device, e, gram_->as<float>(), size, losses_.as<double>());
    ops_->device->download(losses.data() + first * count, losses_.data(),
                           static_cast<size_t>(rows * count) * sizeof(double));
  });
  return losses;
}

}  // namespace awq
