#include "quant/awq_clip.h"

#include <algorithm>
#include <cmath>

#include "quant/rounding_loss.h"
#include "tensor/buffer.h"

namespace awq {
namespace {

constexpr int kGrid = 20, kTried = 10;  // reference: n_grid 20, max_shrink 0.5

// [out, groups]: the share of its largest magnitude that each group of a row keeps.
std::vector<float> search_groups(RoundingLoss& loss, ThreadPool& pool) {
  std::vector<float> best_keep;
  std::vector<double> best;
  for (int i = 0; i < kTried; ++i) {
    const float keep = 1.0f - static_cast<float>(i) / kGrid;
    const std::vector<double> losses = loss.groups(keep);
    if (i == 0) {
      best.assign(losses.size(), INFINITY);
      best_keep.assign(losses.size(), 1);
    }
    pool.parallel_for(
        static_cast<int64_t>(losses.size()), 1 << 16, [&](int64_t begin, int64_t end) {
          for (auto cell = static_cast<size_t>(begin); cell < static_cast<size_t>(end); ++cell) {
            if (!(losses[cell] < best[cell])) continue;
            best[cell] = losses[cell];
            best_keep[cell] = keep;
          }
        });
  }
  return best_keep;
}

// Clamps one row by groups; returns how many of them were clipped.
int64_t clip_row(float* w, const float* keep, int64_t in, const QuantFormat& format) {
  const int64_t group = format.group_size(in), groups = format.groups(in);
  int64_t clipped = 0;
  for (int64_t g = 0; g < groups; ++g) {
    if (keep[g] == 1) continue;
    ++clipped;
    float *begin = w + g * group, *end = w + std::min(in, (g + 1) * group), largest = 0;
    for (const float* p = begin; p < end; ++p) largest = std::max(largest, std::fabs(*p));
    const float limit = largest * keep[g];
    for (float* p = begin; p < end; ++p) *p = std::clamp(*p, -limit, limit);
  }
  return clipped;
}

}  // namespace

ClipResult search_clip(const FloatTensor& weight, const DeviceBuffer& gram,
                       const QuantFormat& format, const Ops& ops, Arithmetic arithmetic) {
  const int64_t rows = weight.shape[0], in = weight.shape[1], groups = format.groups(in);
  ThreadPool& pool = ops.device->pool();
  RoundingLoss loss(ops, gram, weight, format, arithmetic);
  std::vector<float> keep = search_groups(loss, pool);
  Buffer clipped(weight.values.size() * sizeof(float));
  auto* values = static_cast<float*>(static_cast<void*>(clipped.data()));
  std::vector<int64_t> clipped_groups(static_cast<size_t>(rows), 0);
  pool.parallel_for(rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      std::copy_n(weight.values.data() + row * in, in, values + row * in);
      clipped_groups[static_cast<size_t>(row)] =
          clip_row(values + row * in, keep.data() + row * groups, in, format);
    }
  });
  // The search saw each group alone; the row's whole output decides.
  const std::vector<double> before = loss.rows(), after = loss.rows(values);
  ClipResult result;
  int64_t kept_groups = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const auto r = static_cast<size_t>(row);
    result.loss_before += before[r];
    result.loss_after += std::min(before[r], after[r]);
    if (after[r] < before[r]) kept_groups += clipped_groups[r];
  }
  for (int64_t row = 0; row < rows; ++row) {
    const auto r = static_cast<size_t>(row);
    if (!(after[r] < before[r])) std::fill_n(keep.begin() + row * groups, groups, 1.0f);
  }
  result.keep = std::move(keep);
  result.clipped_share = static_cast<double>(kept_groups) / static_cast<double>(rows * groups);
  return result;
}

void apply_clip(FloatTensor& weight, std::span<const float> keep, const QuantFormat& format,
                ThreadPool& pool) {
  const int64_t rows = weight.shape[0], in = weight.shape[1], groups = format.groups(in);
  pool.parallel_for(rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      clip_row(weight.values.data() + row * in, keep.data() + row * groups, in, format);
    }
  });
}

}  // namespace awq
