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

float kv_value(const void* data, DType dtype, int64_t at) {
  return dtype == DType::f32 ? static_cast<const float*>(data)[at]
                             : half_to_float(static_cast<const uint16_t*>(data)[at]);
}

void kv_store(void* data, DType dtype, int64_t at, float value) {
  if (dtype == DType::f32) {
    static_cast<float*>(data)[at] = value;
  } else {
    static_cast<uint16_t*>(data)[at] = float_to_half(value);
  }
}

void attend(const AttentionArgs& args, const Segment& segment, int64_t query, int64_t head) {
  const int64_t dim = args.head_dim, position = segment.past + query;
  const KeyRange keys = visible_keys(args, segment, position);
  const float* q = args.q.row(segment.first + query) + head * dim;
  float* out = args.out.row(segment.first + query) + head * dim;
  const int64_t kv_base = head / (args.heads / args.kv_heads) * segment.kv.head_stride;
  std::vector<double> scores(static_cast<size_t>(keys.end - keys.begin));
  double largest = -std::numeric_limits<double>::infinity(), total = 0;
  for (int64_t key = keys.begin; key < keys.end; ++key) {
    double score = 0;
    for (int64_t i = 0; i < dim; ++i) {
      score += double{q[i]} * kv_value(segment.kv.k, segment.kv.dtype, kv_base + key * dim + i);
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
             kv_value(segment.kv.v, segment.kv.dtype, kv_base + key * dim + i);
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
        const int64_t base = head * segment.kv.head_stride + (segment.past + t) * args.head_dim;
        const float* k = args.k.row(segment.first + t) + head * args.head_dim;
        const float* v = args.v.row(segment.first + t) + head * args.head_dim;
        for (int64_t i = 0; i < args.head_dim; ++i) {
          kv_store(segment.kv.k, segment.kv.dtype, base + i, k[i]);
          kv_store(segment.kv.v, segment.kv.dtype, base + i, v[i]);
        }
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
