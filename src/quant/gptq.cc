#include "quant/gptq.h"

#include <algorithm>
#include <cmath>

#include "base/float16.h"
#include "kernels/cpu/blas.h"
#include "quant/round.h"

namespace awq {
namespace {

constexpr int64_t kBlock = 128;  // columns between two updates of all that follow
constexpr int64_t kRows = 32;    // rows that a thread carries through all columns

// Nearest integer, ties to even, of a quotient; beyond +-4096 every code saturates.
double nearest(double value) {
  return (std::clamp(value, -4096.0, 4096.0) + 0x1.8p52) - 0x1.8p52;
}

class Slab {
 public:
  Slab(const FloatTensor& weight, const InverseFactor& factor, std::span<const float> keep,
       QuantWeight& result)
      : weight_(weight),
        factor_(factor),
        keep_(keep),
        result_(result),
        in_(result.in),
        group_(result.format.group_size(result.in)),
        groups_(result.groups()),
        static_groups_(factor.reordered()),
        w_(static_cast<size_t>(kRows * in_)),
        error_(static_cast<size_t>(kRows * kBlock)),
        scratch_(static_cast<size_t>(group_)),
        params_(static_cast<size_t>(kRows * groups_)) {}

  void round(int64_t first, int64_t rows) {
    for (int64_t r = 0; r < rows; ++r) {
      const float* from = weight_.values.data() + (first + r) * in_;
      for (int64_t i = 0; i < in_; ++i) row(r)[i] = from[factor_.order[static_cast<size_t>(i)]];
      if (!static_groups_) continue;
      for (int64_t g = 0; g < groups_; ++g) {
        const int64_t begin = g * group_, n = std::min(group_, in_ - begin);
        std::copy_n(from + begin, n, scratch_.data());
        find_group(first, r, g, n);
      }
    }
    for (int64_t begin = 0; begin < in_; begin += kBlock) {
      const int64_t end = std::min(in_, begin + kBlock);
      for (int64_t r = 0; r < rows; ++r) round_block(first, r, begin, end);
      if (end == in_) break;
      cpu::dgemm()(CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<blasint>(rows),
                   static_cast<blasint>(in_ - end), static_cast<blasint>(end - begin), -1,
                   error_.data(), kBlock, factor_.row(begin) + end, static_cast<blasint>(in_), 1,
                   w_.data() + end, static_cast<blasint>(in_));
    }
  }

 private:
  double* row(int64_t r) { return w_.data() + r * in_; }
  GroupParams& params(int64_t r, int64_t g) {
    return params_[static_cast<size_t>(r * groups_ + g)];
  }

  // The grid of the `n` values in scratch_, noted in the result.
  void find_group(int64_t first, int64_t r, int64_t g, int64_t n) {
    const int64_t cell = (first + r) * groups_ + g;
    if (!keep_.empty() && keep_[static_cast<size_t>(cell)] != 1) {
      float largest = 0;
      for (int64_t i = 0; i < n; ++i) {
        largest = std::max(largest, std::fabs(scratch_[static_cast<size_t>(i)]));
      }
      const float limit = largest * keep_[static_cast<size_t>(cell)];
      for (int64_t i = 0; i < n; ++i) {
        float& value = scratch_[static_cast<size_t>(i)];
        value = std::clamp(value, -limit, limit);
      }
    }
    const GroupParams found = find_params(scratch_.data(), n, result_.format);
    params(r, g) = found;
    result_.scales[static_cast<size_t>(cell)] = float_to_half(found.scale);
    result_.zeros[static_cast<size_t>(cell)] = static_cast<uint8_t>(found.zero);
  }

  // One row's columns [begin, end); error_ keeps what the columns after them are to take back.
  void round_block(int64_t first, int64_t r, int64_t begin, int64_t end) {
    double* w = row(r);
    const double top = result_.format.max_code();
    uint8_t* codes = result_.codes.data() + (first + r) * in_;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t column = factor_.order[static_cast<size_t>(i)];
      if (!static_groups_ && i % group_ == 0) {
        const int64_t n = std::min(group_, in_ - i);
        for (int64_t k = 0; k < n; ++k) {
          scratch_[static_cast<size_t>(k)] = static_cast<float>(w[i + k]);
        }
        find_group(first, r, i / group_, n);
      }
      const GroupParams& grid = params(r, column / group_);
      const double code = std::clamp(nearest(w[i] / grid.scale) + grid.zero, 0.0, top);
      codes[column] = static_cast<uint8_t>(code);
      const double* u = factor_.row(i);
      const double error = (w[i] - (code - grid.zero) * grid.scale) / u[i];
      error_[static_cast<size_t>(r * kBlock + i - begin)] = error;
      for (int64_t k = i + 1; k < end; ++k) w[k] -= error * u[k];
    }
  }

  const FloatTensor& weight_;
  const InverseFactor& factor_;
  std::span<const float> keep_;
  QuantWeight& result_;
  int64_t in_, group_, groups_;
  bool static_groups_;
  std::vector<double> w_, error_;  // [kRows, in] in the factor's order, [kRows, kBlock]
  std::vector<float> scratch_;
  std::vector<GroupParams> params_;  // [kRows, groups]
};

}  // namespace

QuantWeight gptq_round(const FloatTensor& weight, const InverseFactor& factor,
                       const QuantFormat& format, std::span<const float> keep, ThreadPool& pool) {
  QuantWeight result{format, weight.shape[0], weight.shape[1], {}, {}, {}};
  const int64_t group = format.group_size(result.in), groups = result.groups();
  AWQ_CHECK(factor.width == result.in, factor.width, " channels, ", result.in, " columns");
  AWQ_CHECK(groups == 1 || kBlock % group == 0 || group % kBlock == 0, "group ", group);
  result.codes.resize(static_cast<size_t>(result.out * result.in));
  result.scales.resize(static_cast<size_t>(result.out * groups));
  result.zeros.resize(static_cast<size_t>(result.out * groups));
  pool.parallel_for(result.out, kRows, [&](int64_t begin, int64_t end) {
    Slab(weight, factor, keep, result).round(begin, end - begin);
  });
  return result;
}

uint64_t gptq_scratch_bytes(int64_t in, int threads) {
  return static_cast<uint64_t>(threads) * static_cast<uint64_t>(kRows * (2 * in + kBlock)) *
         sizeof(double);
}

}  // namespace awq
