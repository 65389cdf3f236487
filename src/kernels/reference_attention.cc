// The scalar ops that know about heads and positions.
#include <cmath>
#include <limits>
#include <vector>

#include "base/float16.h"
#include "kernels/check_shapes.h"
#include "kernels/reference.h"

namespace awq::reference {
namespace {

void norm_vector(const float* x, float* y, int64_t dim, const NormArgs& args) {
  double mean = 0, square = 0;
  if (args.kind == NormKind::layer) {
    for (int64_t i = 0; i < dim; ++i) mean += x[i];
    mean /= static_cast<double>(dim);
  }
  for (int64_t i = 0; i < dim; ++i) square += (x[i] - mean) * (x[i] - mean);
  const double factor = 1 / std::sqrt(square / static_cast<double>(dim) + double{args.epsilon});
  for (int64_t i = 0; i < dim; ++i) {
    const double weight = double{args.weight[i]} + args.weight_offset;
    const double bias = args.bias == nullptr ? 0 : args.bias[i];
    y[i] = static_cast<float>((x[i] - mean) * factor * weight + bias);
  }
}

// Element `i` of the vector `row` (see KvView) of `data`.
double kv_value(const void* data, const float* scales, DType dtype, int64_t row, int64_t dim,
                int64_t i) {
  const int64_t at = row * dim + i;
  if (dtype == DType::f32) return static_cast<const float*>(data)[at];
  if (dtype == DType::f16) return half_to_float(static_cast<const uint16_t*>(data)[at]);
  return double{scales[row]} * static_cast<const int8_t*>(data)[at];
}

void store_codes(const float* x, int64_t dim, int8_t* codes, float* scale) {
  float largest = 0;
  bool finite = true;
  for (int64_t i = 0; i < dim; ++i) {
    finite = finite && std::isfinite(x[i]);
    largest = std::max(largest, std::fabs(x[i]));
  }
  const bool plain = finite && largest >= 1e-30f;
  *scale = plain ? largest / 127.0f : finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  const float inverse = plain ? 127.0f / largest : 0.0f;
  for (int64_t i = 0; i < dim; ++i) {
    codes[i] = plain ? static_cast<int8_t>(std::nearbyint(x[i] * inverse)) : int8_t{0};
  }
}

void kv_store(void* data, float* scales, DType dtype, int64_t row, int64_t dim, const float* x) {
  if (dtype == DType::i8) {
    return store_codes(x, dim, static_cast<int8_t*>(data) + row * dim, scales + row);
  }
  for (int64_t i = 0; i < dim; ++i) {
    if (dtype == DType::f32) {
      static_cast<float*>(data)[row * dim + i] = x[i];
    } else {
      static_cast<uint16_t*>(data)[row * dim + i] = float_to_half(x[i]);
    }
  }
}

void attend(const AttentionArgs& args, const Segment& segment, int64_t query, int64_t head) {
  const int64_t dim = args.head_dim, position = segment.past + query;
  const KeyRange keys = visible_keys(args, segment, position);
  const float* q = args.q.row(segment.first + query) + head * dim;
  float* out = args.out.row(segment.first + query) + head * dim;
  const KvView& kv = segment.kv;
  const int64_t first_row = head / (args.heads / args.kv_heads) * (kv.head_stride / dim);
  std::vector<double> scores(static_cast<size_t>(keys.end - keys.begin));
  double largest = -std::numeric_limits<double>::infinity(), total = 0;
  for (int64_t key = keys.begin; key < keys.end; ++key) {
    double score = 0;
    for (int64_t i = 0; i < dim; ++i) {
      score += double{q[i]} * kv_value(kv.k, kv.k_scales, kv.dtype, first_row + key, dim, i);
    }
    score *= args.scale;
    if (args.softcap > 0) score = args.softcap * std::tanh(score / args.softcap);
    if (!args.alibi_slopes.empty()) {
      score += double{args.alibi_slopes[static_cast<size_t>(head)]} *
               static_cast<double>(key - position);
    }
    scores[static_cast<size_t>(key - keys.begin)] = score;
    largest = std::max(largest, score);
  }
  for (double& score : scores) total += score = std::exp(score - largest);
  for (int64_t i = 0; i < dim; ++i) {
    double sum = 0;
    for (int64_t key = keys.begin; key < keys.end; ++key) {
      sum += scores[static_cast<size_t>(key - keys.begin)] *
             kv_value(kv.v, kv.v_scales, kv.dtype, first_row + key, dim, i);
    }
    out[i] = static_cast<float>(sum / total);
  }
}

}  // namespace

void norm(Device&, const NormArgs& args) {
  check_norm(args);
  const int64_t dim = args.x.cols / args.heads;
  for (int64_t t = 0; t < args.x.rows; ++t) {
    for (int64_t head = 0; head < args.heads; ++head) {
      norm_vector(args.x.row(t) + head * dim, args.y.row(t) + head * dim, dim, args);
    }
  }
}

void rope(Device&, const RopeArgs& args) {
  check_rope(args);
  const int64_t half = args.rotary_dim / 2;
  for (int64_t t = 0; t < args.x.rows; ++t) {
    const auto position = static_cast<float>(args.positions[static_cast<size_t>(t)]);
    for (int64_t i = 0; i < half; ++i) {
      // The angle is rounded to float, as in the models' own code.
      const float angle = position * args.inverse_frequency[static_cast<size_t>(i)];
      const double c = std::cos(double{angle}) * double{args.magnitude};
      const double s = std::sin(double{angle}) * double{args.magnitude};
      for (int64_t head = 0; head < args.heads; ++head) {
        float* x = args.x.row(t) + head * args.head_dim;
        const bool split = args.pairing == RopePairing::half;
        float& a = x[split ? i : 2 * i];
        float& b = x[split ? i + half : 2 * i + 1];
        const double first = a, second = b;
        a = static_cast<float>(first * c - second * s);
        b = static_cast<float>(second * c + first * s);
      }
    }
  }
}

void kv_append(Device&, const KvAppendArgs& args) {
  check_kv_append(args);
  for (const Segment& segment : args.segments) {
    for (int64_t t = 0; t < segment.count; ++t) {
      for (int64_t head = 0; head < args.kv_heads; ++head) {
        const KvView& kv = segment.kv;
        const int64_t dim = args.head_dim, row = head * (kv.head_stride / dim) + segment.past + t;
        const float* k = args.k.row(segment.first + t) + head * dim;
        const float* v = args.v.row(segment.first + t) + head * dim;
        kv_store(kv.k, kv.k_scales, kv.dtype, row, dim, k);
        kv_store(kv.v, kv.v_scales, kv.dtype, row, dim, v);
      }
    }
  }
}

void attention(Device& device, const AttentionArgs& args) {
  check_attention(args);
  for (const Segment& segment : args.segments) {
    device.pool().parallel_for(segment.count * args.heads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) attend(args, segment, i / args.heads, i % args.heads);
    });
  }
}

}  // namespace awq::reference
