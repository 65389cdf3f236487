#include "quant/round.h"

#include <algorithm>
#include <cmath>

#include "base/float16.h"

namespace awq {
namespace {

constexpr float kMinRange = 1e-5f;
constexpr float kMaxHalf = 65504.0f;
constexpr int kLanes = 8;  // independent extremes, so that the compiler can use vectors

template <Arithmetic A>
inline float store(float value) {
  if constexpr (A == Arithmetic::f16) return half_to_float(float_to_half(value));
  return value;
}

// Nearest integer, ties to even, for |value| < 2^22: the addition itself rounds.
inline float nearest(float value) { return (value + 12582912.0f) - 12582912.0f; }

// A quotient beyond +-4096 saturates the code anyway, and stays inside the range of nearest().
inline float bounded(float value) {
  value = value < -4096.0f ? -4096.0f : value;
  return value > 4096.0f ? 4096.0f : value;
}

struct Extremes {
  float low, high;
};

Extremes find_extremes(const float* w, int64_t n) {
  float low[kLanes], high[kLanes];
  std::fill_n(low, kLanes, w[0]);
  std::fill_n(high, kLanes, w[0]);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const float x = w[i + lane];
      low[lane] = x < low[lane] ? x : low[lane];
      high[lane] = x > high[lane] ? x : high[lane];
    }
  }
  for (; i < n; ++i) {
    low[0] = std::min(low[0], w[i]);
    high[0] = std::max(high[0], w[i]);
  }
  return {*std::min_element(low, low + kLanes), *std::max_element(high, high + kLanes)};
}

// A scale must stay positive and finite in half precision.
float half_scale(float scale) {
  return std::clamp(half_to_float(float_to_half(scale)), 0x1p-24f, kMaxHalf);
}

template <Arithmetic A>
GroupParams params_of(const float* w, int64_t n, const QuantFormat& format) {
  const auto [low, high] = find_extremes(w, n);
  const float min = store<A>(low), max = store<A>(high);
  if (format.symmetric) {
    const int half = 1 << (format.bits - 1);
    const float magnitude = std::max({std::fabs(min), std::fabs(max), store<A>(kMinRange)});
    return {half_scale(magnitude / static_cast<float>(half - 1)), half};
  }
  const float range = std::max(store<A>(max - min), store<A>(kMinRange));
  const float scale = half_scale(range / static_cast<float>(format.max_code()));
  const float zero = -nearest(bounded(store<A>(min / scale)));
  return {scale, static_cast<int>(std::clamp(zero, 0.0f, static_cast<float>(format.max_code())))};
}

template <Arithmetic A>
inline float code_of(float w, float scale, float zero, float top) {
  float code = nearest(bounded(store<A>(store<A>(w) / scale))) + zero;
  code = code < 0 ? 0 : code;
  return code > top ? top : code;
}

template <Arithmetic A>
void codes_of(const float* w, int64_t n, const QuantFormat& format, GroupParams params,
              uint8_t* codes) {
  const auto zero = static_cast<float>(params.zero);
  const auto top = static_cast<float>(format.max_code());
  for (int64_t i = 0; i < n; ++i) {
    codes[i] = static_cast<uint8_t>(static_cast<int>(code_of<A>(w[i], params.scale, zero, top)));
  }
}

template <Arithmetic A>
void worth_of(const float* w, int64_t in, const QuantFormat& format, float* out) {
  const int64_t group = format.group_size(in);
  const auto top = static_cast<float>(format.max_code());
  for (int64_t begin = 0; begin < in; begin += group) {
    const int64_t n = std::min(group, in - begin);
    const GroupParams params = params_of<A>(w + begin, n, format);
    const auto zero = static_cast<float>(params.zero);
    for (int64_t i = begin; i < begin + n; ++i) {
      out[i] = (code_of<A>(w[i], params.scale, zero, top) - zero) * params.scale;
    }
  }
}

}  // namespace

GroupParams find_params(const float* w, int64_t n, const QuantFormat& format,
                        Arithmetic arithmetic) {
  return arithmetic == Arithmetic::f16 ? params_of<Arithmetic::f16>(w, n, format)
                                       : params_of<Arithmetic::f32>(w, n, format);
}

void round_group(const float* w, int64_t n, const QuantFormat& format, GroupParams params,
                 uint8_t* codes, Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::f16) {
    codes_of<Arithmetic::f16>(w, n, format, params, codes);
  } else {
    codes_of<Arithmetic::f32>(w, n, format, params, codes);
  }
}

void fake_round_row(const float* w, int64_t in, const QuantFormat& format, float* out,
                    Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::f16) {
    worth_of<Arithmetic::f16>(w, in, format, out);
  } else {
    worth_of<Arithmetic::f32>(w, in, format, out);
  }
}

void rounded_row(const FloatTensor& weight, int64_t row, const std::vector<float>& columns,
                 const QuantFormat& format, Arithmetic arithmetic, float* out) {
  const auto in = static_cast<int64_t>(columns.size());
  const float* w = weight.values.data() + row * in;
  for (int64_t i = 0; i < in; ++i) out[i] = w[i] * columns[static_cast<size_t>(i)];
  fake_round_row(out, in, format, out, arithmetic);
  for (int64_t i = 0; i < in; ++i) out[i] /= columns[static_cast<size_t>(i)];
}

QuantWeight round_weight(const FloatTensor& weight, const QuantFormat& format, ThreadPool& pool,
                         Arithmetic arithmetic) {
  QuantWeight result;
  result.format = format;
  result.out = weight.shape[0];
  result.in = weight.shape[1];
  const int64_t groups = result.groups(), group = format.group_size(result.in);
  result.codes.resize(static_cast<size_t>(result.out * result.in));
  result.scales.resize(static_cast<size_t>(result.out * groups));
  result.zeros.resize(static_cast<size_t>(result.out * groups));
  pool.parallel_for(result.out, 16, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t begin = row * result.in + g * group;
        const int64_t n = std::min(group, result.in - g * group);
        const float* w = weight.values.data() + begin;
        const GroupParams params = find_params(w, n, format, arithmetic);
        round_group(w, n, format, params, result.codes.data() + begin, arithmetic);
        result.scales[static_cast<size_t>(row * groups + g)] = float_to_half(params.scale);
        result.zeros[static_cast<size_t>(row * groups + g)] = static_cast<uint8_t>(params.zero);
      }
    }
  });
  return result;
}

void round_to_half(FloatTensor& tensor) {
  for (float& value : tensor.values) value = half_to_float(float_to_half(value));
}

void dequantize_weight(const QuantWeight& weight, FloatTensor& to, ThreadPool& pool) {
  to.shape = {weight.out, weight.in};
  to.values.resize(weight.codes.size());
  const int64_t group = weight.format.group_size(weight.in), groups = weight.groups();
  pool.parallel_for(weight.out, 16, [&](int64_t first, int64_t last) {
    for (int64_t cell = first * groups; cell < last * groups; ++cell) {
      const int64_t begin = cell % groups * group, n = std::min(group, weight.in - begin);
      const auto at = static_cast<size_t>(cell / groups * weight.in + begin);
      const int zero = weight.zeros[static_cast<size_t>(cell)];
      const float scale = half_to_float(weight.scales[static_cast<size_t>(cell)]);
      for (size_t i = at; i < at + static_cast<size_t>(n); ++i) {
        to.values[i] = static_cast<float>(weight.codes[i] - zero) * scale;
      }
    }
  });
}

FloatTensor dequantize_weight(const QuantWeight& weight, ThreadPool& pool) {
  FloatTensor result;
  dequantize_weight(weight, result, pool);
  return result;
}

}  // namespace awq
