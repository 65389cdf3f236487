// Random inputs and comparisons for the op tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "base/float16.h"
#include "kernels/cpu.h"
#include "kernels/cpu/tables.h"

namespace awq {

class TestData {
 public:
  explicit TestData(uint32_t seed) : random_(seed) {}

  std::vector<float> normal(int64_t count, float sigma = 1) {
    std::normal_distribution<float> distribution(0, sigma);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = distribution(random_);
    return values;
  }

  int integer(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

  /// A quantized weight with random codes and zeros; both ends of the zeros' range occur.
  QuantWeight quant_weight(int64_t out, int64_t in, QuantFormat format) {
    QuantWeight weight{format, out, in, {}, {}, {}};
    const auto groups = static_cast<size_t>(out * weight.groups());
    weight.codes.resize(static_cast<size_t>(out * in));
    for (uint8_t& code : weight.codes) code = static_cast<uint8_t>(integer(0, format.max_code()));
    for (size_t i = 0; i < groups; ++i) {
      const float scale = 0.002f * static_cast<float>(integer(1, 20));
      weight.scales.push_back(float_to_half(scale));
      const int zero = format.symmetric ? 1 << (format.bits - 1)
                       : i % 5 == 0     ? 0
                       : i % 5 == 1     ? format.max_code()
                                        : integer(0, format.max_code());
      weight.zeros.push_back(static_cast<uint8_t>(zero));
    }
    return weight;
  }

  std::mt19937& random() { return random_; }

 private:
  std::mt19937 random_;
};

struct AttentionCase {
  int64_t heads, kv_heads, dim;
  std::vector<std::pair<int64_t, int64_t>> segments;  // past, count
  bool causal = true;
  int64_t window = 0;
  float softcap = 0;
  bool alibi = false;
};

/// [out, in] floats of a quantized weight.
inline std::vector<float> dequantize(const QuantWeight& weight) {
  const int64_t group = weight.format.group_size(weight.in);
  std::vector<float> values;
  for (int64_t o = 0; o < weight.out; ++o) {
    for (int64_t i = 0; i < weight.in; ++i) {
      const auto at = static_cast<size_t>(o * weight.groups() + i / group);
      const int code = weight.codes[static_cast<size_t>(o * weight.in + i)] - weight.zeros[at];
      values.push_back(static_cast<float>(code) * half_to_float(weight.scales[at]));
    }
  }
  return values;
}

/// Words of the codes [in, out / 8], docs/formats/awq.md.
inline std::vector<int32_t> awq_words(const QuantWeight& w) {
  std::vector<int32_t> words(static_cast<size_t>(w.in * w.out / 8));
  for (int64_t k = 0; k < w.in; ++k) {
    for (int64_t c = 0; c < w.out / 8; ++c) {
      uint32_t word = 0;
      for (int i = 0; i < 8; ++i) {
        word |= uint32_t{w.codes[static_cast<size_t>((8 * c + kAwqOrder[i]) * w.in + k)]} << (4 * i);
      }
      words[static_cast<size_t>(k * (w.out / 8) + c)] = static_cast<int32_t>(word);
    }
  }
  return words;
}

/// Words of the codes [in * bits / 32, out], docs/formats/gptq.md.
inline std::vector<int32_t> gptq_words(const QuantWeight& w) {
  const int64_t bits = w.format.bits;
  std::vector<int32_t> words(static_cast<size_t>((w.in * bits + 31) / 32 * w.out));
  for (int64_t row = 0; row < w.out; ++row) {
    for (int64_t k = 0; k < w.in; ++k) {
      for (int64_t b = 0; b < bits; ++b) {
        const int64_t bit = k * bits + b;
        const int32_t set = w.codes[static_cast<size_t>(row * w.in + k)] >> b & 1;
        auto& word = reinterpret_cast<uint32_t&>(words[static_cast<size_t>(bit / 32 * w.out + row)]);
        word |= static_cast<uint32_t>(set) << (bit % 32);
      }
    }
  }
  return words;
}

/// Largest |a - b| over the largest |b|: an error is small against its own row.
inline double row_error(const float* a, const float* b, int64_t count) {
  double error = 0, magnitude = 1e-30;
  for (int64_t i = 0; i < count; ++i) {
    if (std::isnan(a[i]) != std::isnan(b[i])) return 1e30;
    if (std::isnan(a[i])) continue;
    error = std::max(error, std::fabs(double{a[i]} - b[i]));
    magnitude = std::max(magnitude, std::fabs(double{b[i]}));
  }
  return error / magnitude;
}

/// Every table of this processor but the scalar one, with and without VNNI.
inline std::vector<Ops> fast_tables(Device& device, int planes = 2) {
  std::vector<Ops> tables;
  for (const cpu::Variant& variant : cpu::variants()) {
    make_cpu_ops(device, variant.name).value();  // sets BLAS to one thread
    tables.push_back(variant.make(device, planes));
    tables.back().name = variant.name;
  }
  return tables;
}

}  // namespace awq
