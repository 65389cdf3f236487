#include "quant/awq_scale.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "quant/rounding_loss.h"

namespace awq {

// At least 1e-4, the smallest and the largest equally far from 1.
static std::vector<float> centred(std::vector<float> scale) {
  float low = INFINITY, high = 0;
  for (float& value : scale) {
    value = std::max(value, 1e-4f);
    low = std::min(low, value);
    high = std::max(high, value);
  }
  const float middle = std::sqrt(low) * std::sqrt(high);
  for (float& value : scale) value /= middle;
  return scale;
}

std::vector<float> scale_for_exponent(std::span<const float> mean_abs, double exponent) {
  std::vector<float> scale(mean_abs.size());
  for (size_t i = 0; i < scale.size(); ++i) {
    scale[i] = std::pow(mean_abs[i], static_cast<float>(exponent));
  }
  return centred(std::move(scale));
}

std::vector<float> scale_for_exponent(std::span<const float> mean_abs,
                                      std::span<const float> mean_weight, double exponent) {
  std::vector<float> scale(mean_abs.size());
  const auto power = static_cast<float>(exponent);
  for (size_t i = 0; i < scale.size(); ++i) {
    scale[i] = std::pow(mean_abs[i], power) / (std::pow(mean_weight[i], 1 - power) + 1e-4f);
  }
  return centred(std::move(scale));
}

std::vector<float> mean_relative_weight(const FoldGroup& group, const FloatBlock& block,
                                        const FormatPlan& formats, int64_t layer) {
  std::vector<double> sums(static_cast<size_t>(block[group.consumers.front()].weight.shape[1]), 0.0);
  int64_t rows = 0;
  for (const Slot slot : group.consumers) {
    const auto format = formats.of(layer, slot);
    if (!format) continue;
    const FloatTensor& weight = block[slot].weight;
    const int64_t in = weight.shape[1], size = format->group_size(in);
    for (int64_t row = 0; row < weight.shape[0]; ++row) {
      const float* w = weight.values.data() + row * in;
      for (int64_t first = 0; first < in; first += size) {
        const int64_t end = std::min(in, first + size);
        float largest = 1e-6f;
        for (int64_t i = first; i < end; ++i) largest = std::max(largest, std::fabs(w[i]) + 1e-6f);
        for (int64_t i = first; i < end; ++i) {
          sums[static_cast<size_t>(i)] += std::fabs(w[i]) / largest;
        }
      }
    }
    rows += weight.shape[0];
  }
  std::vector<float> mean(sums.size());
  for (size_t i = 0; i < mean.size(); ++i) {
    mean[i] = rows == 0 ? 1.0f : static_cast<float>(sums[i] / static_cast<double>(rows));
  }
  return mean;
}

GroupLoss hessian_group_loss(const Arch& arch, const FoldGroup& group, const FloatBlock& block,
                             const BlockStatistics& statistics, const FormatPlan& formats,
                             int64_t layer, const Ops& ops, Arithmetic arithmetic) {
  auto losses = std::make_shared<std::vector<RoundingLoss>>();
  double energy = 0;
  for (const Slot slot : group.consumers) {
    const auto format = formats.of(layer, slot);
    if (!format) continue;
    const InputStatistics& input = *find_statistics(statistics, arch.block, slot);
    losses->emplace_back(ops, input.gram, block[slot].weight, *format, arithmetic);
    energy += losses->back().energy();
  }
  energy = std::max(energy, 1e-30);
  return [=](const std::vector<float>& columns) {
    double sum = 0;
    for (RoundingLoss& loss : *losses) sum += loss.total(columns);
    return sum / energy;
  };
}

bool inspects_module(const FoldGroup& group) { return group.into == FoldInto::norm; }

// The modules that read a group's norm: with one norm for both branches, both.
static std::vector<bool> attention_or_ffn(const Block& block, const FoldGroup& group) {
  std::vector<bool> modules;
  for (const Slot slot : group.consumers) {
    if (slot == Slot::q) modules.push_back(true);
    if (slot == ffn_input_slot(block)) modules.push_back(false);
  }
  return modules;
}

GroupLoss module_group_loss(const Arch& arch, const FoldGroup& group, const FloatBlock& block,
                            int64_t layer, Calibration& calibration,
                            const Calibration::ModuleInputs& inputs, const FormatPlan& formats,
                            const Ops& ops, Arithmetic arithmetic) {
  auto trial = std::make_shared<BlockWeights>(pack_block(arch, block, ops));
  const std::vector<bool> modules = attention_or_ffn(arch.block, group);
  const auto outputs = [=, &calibration, &inputs] {
    std::vector<float> all;
    for (const bool attention : modules) {
      const std::vector<float> y = calibration.run_module(
          *trial, layer, attention, attention ? inputs.attention : inputs.ffn);
      all.insert(all.end(), y.begin(), y.end());
    }
    return all;
  };
  auto expected = std::make_shared<std::vector<float>>(outputs());
  double energy = 1e-30;
  for (const float y : *expected) energy += double{y} * y;
  return [=, &arch, &block, &ops](const std::vector<float>& columns) {
    for (const Slot slot : group.consumers) {
      const auto format = formats.of(layer, slot);
      if (!format) continue;
      FloatTensor rounded = block[slot].weight;
      ops.device->pool().parallel_for(rounded.shape[0], 16, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          rounded_row(block[slot].weight, row, columns, *format, arithmetic,
                      rounded.values.data() + row * rounded.shape[1]);
        }
      });
      trial->linear(slot).weight = ops.pack_float(
          *ops.device, {rounded.values.data(), DType::f32, rounded.shape[0], rounded.shape[1]});
    }
    const std::vector<float> y = outputs();
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) {
      const double difference = double{y[i]} - (*expected)[i];
      sum += difference * difference;
    }
    return sum / energy;
  };
}

ScaleChoice search_scale(const Arch& arch, const FoldGroup& group,
                         const BlockStatistics& statistics, const GroupLoss& loss, int grid,
                         std::span<const float> mean_weight) {
  const InputStatistics& input = statistics.at(input_slot(arch.block, group.consumers.front()));
  const std::vector<float> mean_abs = reduce_columns(arch, group, input.mean_abs);
  const bool duo = !mean_weight.empty();
  std::vector<float> weights;
  if (duo) weights = reduce_columns(arch, group, mean_weight);
  ScaleChoice best;
  best.scale = scale_for_exponent(mean_abs, 0);
  best.loss_rounding = best.loss_choice = loss(expand_scale(arch, group, best.scale));
  for (int i = duo ? 0 : 1; i < grid; ++i) {
    const double exponent = static_cast<double>(i) / grid;
    std::vector<float> scale = duo ? scale_for_exponent(mean_abs, weights, exponent)
                                   : scale_for_exponent(mean_abs, exponent);
    const double value = loss(expand_scale(arch, group, scale));
    if (!(value < best.loss_choice)) continue;
    best.exponent = exponent;
    best.duo = duo;
    best.scale = std::move(scale);
    best.loss_choice = value;
  }
  return best;
}

}  // namespace awq
