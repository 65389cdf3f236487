#include "quant/hessian_loss.h"

#include <algorithm>

namespace awq {

int64_t slab_rows(int64_t rows, int64_t width) {
  constexpr int64_t kSlabBytes = int64_t{256} << 20;
  return std::clamp<int64_t>(kSlabBytes / (width * static_cast<int64_t>(sizeof(float))), 1, rows);
}

int64_t HessianLoss::rows_at_once(int threads) {
  return kPerThread * std::max<int64_t>(4, 2 * int64_t{threads});
}

HessianLoss::HessianLoss(const Ops& ops, const DeviceBuffer& gram, int64_t width)
    : ops_(&ops), width_(width), gram_(gram.as<float>()) {
  AWQ_CHECK(gram.size() == static_cast<size_t>(width * width) * sizeof(float), gram.size());
}

std::vector<double> HessianLoss::rows(int64_t rows,
                                      const std::function<void(int64_t, float*)>& fill) {
  Device& device = *ops_->device;
  std::vector<double> losses(static_cast<size_t>(rows));
  const int64_t step = rows_at_once(device.pool().size());
  for (int64_t first = 0; first < rows; first += step) {
    const int64_t count = std::min(step, rows - first);
    host_error_.resize(static_cast<size_t>(count * width_));
    device.pool().parallel_for(count, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) fill(first + i, host_error_.data() + i * width_);
    });
    const size_t bytes = host_error_.size() * sizeof(float);
    error_.reserve(device, bytes);
    losses_.reserve(device, static_cast<size_t>(count) * sizeof(double));
    device.upload(error_.data(), host_error_.data(), bytes);
    ops_->quadratic_form(device, {error_.as<float>(), count, width_}, gram_,
                         losses_.as<double>());
    device.download(losses.data() + first, losses_.data(),
                    static_cast<size_t>(count) * sizeof(double));
  }
  return losses;
}

double HessianLoss::total(int64_t rows, const std::function<void(int64_t, float*)>& fill) {
  double sum = 0;
  for (const double loss : this->rows(rows, fill)) sum += loss;
  return sum;
}

}  // namespace awq
