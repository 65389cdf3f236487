#include "kernels/reference.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/bytes.h"
#include "base/float16.h"
#include "kernels/check_shapes.h"
#include "kernels/sampling.h"

namespace awq {
namespace reference {
namespace {

// Rows as they came; `row` decodes one to float.
class ReferenceWeight : public PackedWeight {
 public:
  virtual void row(int64_t o, float* values) const = 0;  // values: [in]
};

class FloatRows : public ReferenceWeight {
 public:
  explicit FloatRows(const FloatWeight& weight) : dtype_(weight.dtype) {
    out = weight.out, in = weight.in;
    bytes = dtype_bytes(weight.dtype, static_cast<uint64_t>(out * in));
    data_.resize(bytes);
    std::memcpy(data_.data(), weight.data, bytes);
  }

  void row(int64_t o, float* values) const override {
    const size_t size = dtype_ == DType::f32 ? 4 : 2;
    const std::byte* source = data_.data() + static_cast<size_t>(o * in) * size;
    for (int64_t i = 0; i < in; ++i, source += size) {
      if (dtype_ == DType::f32) {
        values[i] = load_le<float>(source);
      } else {
        const auto bits = load_le<uint16_t>(source);
        values[i] = dtype_ == DType::f16 ? half_to_float(bits) : bfloat_to_float(bits);
      }
    }
  }

 private:
  DType dtype_;
  std::vector<std::byte> data_;
};

class QuantRows : public ReferenceWeight {
 public:
  explicit QuantRows(const QuantWeight& weight) : weight_(weight) {
    out = weight.out, in = weight.in;
    bytes = weight.codes.size() + weight.scales.size() * 2 + weight.zeros.size();
  }

  void row(int64_t o, float* values) const override {
    const int64_t group = weight_.format.group_size(in), groups = weight_.groups();
    for (int64_t i = 0; i < in; ++i) {
      const auto cell = static_cast<size_t>(o * in + i);
      const auto at = static_cast<size_t>(o * groups + i / group);
      values[i] = static_cast<float>(weight_.codes[cell] - weight_.zeros[at]) *
                  half_to_float(weight_.scales[at]);
    }
  }

 private:
  QuantWeight weight_;
};

std::unique_ptr<PackedWeight> pack_float(Device&, const FloatWeight& weight) {
  check_float_weight(weight);
  return std::make_unique<FloatRows>(weight);
}

std::unique_ptr<PackedWeight> pack_quant(Device&, const QuantWeight& weight) {
  check_quant_weight(weight);
  return std::make_unique<QuantRows>(weight);
}

void matmul(Device& device, Matrix x, const PackedWeight& w, const float* bias, Matrix y) {
  check_matmul(x, w, y);
  const auto& weight = static_cast<const ReferenceWeight&>(w);
  device.pool().parallel_for(w.out, 32, [&](int64_t begin, int64_t end) {
    std::vector<float> row(static_cast<size_t>(w.in));
    for (int64_t o = begin; o < end; ++o) {
      weight.row(o, row.data());
      for (int64_t t = 0; t < x.rows; ++t) {
        double sum = bias == nullptr ? 0 : bias[o];
        const float* values = x.row(t);
        for (int64_t i = 0; i < w.in; ++i) sum += double{values[i]} * row[static_cast<size_t>(i)];
        y.row(t)[o] = static_cast<float>(sum);
      }
    }
  });
}

void embed(Device&, std::span<const int32_t> ids, const PackedWeight& table, Matrix y) {
  check_embed(ids, table, y);
  const auto& weight = static_cast<const ReferenceWeight&>(table);
  for (int64_t t = 0; t < y.rows; ++t) weight.row(ids[static_cast<size_t>(t)], y.row(t));
}

void act(Device&, Activation kind, Matrix x, Matrix y) {
  check_same_shape(x, y);
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t i = 0; i < x.cols; ++i) y.row(t)[i] = activate(kind, x.row(t)[i]);
  }
}

void act_mul(Device&, Activation kind, Matrix gate, Matrix up, Matrix y) {
  check_same_shape(gate, up);
  check_same_shape(gate, y);
  for (int64_t t = 0; t < y.rows; ++t) {
    for (int64_t i = 0; i < y.cols; ++i) {
      y.row(t)[i] = activate(kind, gate.row(t)[i]) * up.row(t)[i];
    }
  }
}

void add(Device&, Matrix x, Matrix y) {
  check_same_shape(x, y);
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t i = 0; i < x.cols; ++i) y.row(t)[i] += x.row(t)[i];
  }
}

void scale_columns(Device&, Matrix x, const float* s, Matrix y) {
  check_same_shape(x, y);
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t i = 0; i < x.cols; ++i) y.row(t)[i] = x.row(t)[i] * s[i];
  }
}

void scale(Device&, Matrix x, float s) {
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t i = 0; i < x.cols; ++i) x.row(t)[i] *= s;
  }
}

void softcap(Device&, Matrix x, float c) {
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t i = 0; i < x.cols; ++i) x.row(t)[i] = c * std::tanh(x.row(t)[i] / c);
  }
}

void clamp(Device&, Matrix x, float limit) {
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t i = 0; i < x.cols; ++i) x.row(t)[i] = std::clamp(x.row(t)[i], -limit, limit);
  }
}

void gather(Device&, Matrix x, std::span<const int32_t> rows, Matrix y) {
  check_rows(x, rows, y);
  for (int64_t t = 0; t < y.rows; ++t) {
    std::copy_n(x.row(rows[static_cast<size_t>(t)]), x.cols, y.row(t));
  }
}

void scatter_add(Device&, Matrix x, std::span<const int32_t> rows, std::span<const float> weights,
                 Matrix y) {
  check_rows(y, rows, x);
  AWQ_CHECK(weights.size() == rows.size(), weights.size());
  for (int64_t t = 0; t < x.rows; ++t) {
    const float weight = weights[static_cast<size_t>(t)];
    float* to = y.row(rows[static_cast<size_t>(t)]);
    for (int64_t i = 0; i < x.cols; ++i) to[i] += weight * x.row(t)[i];
  }
}

void argmax(Device&, Matrix x, int32_t* out) {
  for (int64_t t = 0; t < x.rows; ++t) {
    int64_t best = -1;
    for (int64_t i = 0; i < x.cols; ++i) {
      const float value = x.row(t)[i];
      if (!std::isnan(value) && (best < 0 || value > x.row(t)[best])) best = i;
    }
    out[t] = static_cast<int32_t>(best < 0 ? 0 : best);
  }
}

void score(Device& device, Matrix logits, std::span<const int32_t> targets, RowScore* scores) {
  check_score(logits, targets);
  for (int64_t t = 0; t < logits.rows; ++t) {
    const float* x = logits.row(t);
    argmax(device, logits.slice_rows(t, 1), &scores[t].top);
    const double most = x[scores[t].top];
    double sum = 0;
    for (int64_t i = 0; i < logits.cols; ++i) sum += std::exp(x[i] - most);
    scores[t].log_sum = most + std::log(sum);
    scores[t].nll = scores[t].log_sum - x[targets[static_cast<size_t>(t)]];
  }
}

void divergence(Device&, Matrix p, Matrix q, const RowScore* p_scores, const RowScore* q_scores,
                double* kl) {
  check_same_shape(p, q);
  for (int64_t t = 0; t < p.rows; ++t) {
    double sum = 0;
    for (int64_t i = 0; i < p.cols; ++i) {
      const double log_p = p.row(t)[i] - p_scores[t].log_sum;
      if (log_p > -50) sum += std::exp(log_p) * (log_p - (q.row(t)[i] - q_scores[t].log_sum));
    }
    kl[t] = std::max(sum, 0.0);  // rounding of nearly equal models
  }
}

void gram(Device& device, Matrix x, float* h) {
  device.pool().parallel_for(x.cols, 8, [&](int64_t begin, int64_t end) {
    std::vector<double> sums(static_cast<size_t>(x.cols));
    for (int64_t i = begin; i < end; ++i) {
      std::fill(sums.begin(), sums.end(), 0.0);
      for (int64_t t = 0; t < x.rows; ++t) {
        const double left = x.row(t)[i];
        for (int64_t j = 0; j < x.cols; ++j) sums[static_cast<size_t>(j)] += left * x.row(t)[j];
      }
      for (int64_t j = 0; j < x.cols; ++j) {
        h[i * x.cols + j] = static_cast<float>(h[i * x.cols + j] + sums[static_cast<size_t>(j)]);
      }
    }
  });
}

void abs_sum(Device&, Matrix x, double* sums) {
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t i = 0; i < x.cols; ++i) sums[i] += std::fabs(x.row(t)[i]);
  }
}

void quadratic_form(Device& device, Matrix e, const float* h, double* losses) {
  device.pool().parallel_for(e.rows, 4, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      const float* row = e.row(o);
      double loss = 0;
      for (int64_t i = 0; i < e.cols; ++i) {
        double product = 0;
        for (int64_t j = 0; j < e.cols; ++j) product += double{h[i * e.cols + j]} * row[j];
        loss += product * row[i];
      }
      losses[o] = loss;
    }
  });
}

void unscale_gram(Device& device, float* h, const float* s, int64_t dim) {
  device.pool().parallel_for(dim, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < dim; ++j) h[i * dim + j] /= s[i] * s[j];
    }
  });
}

}  // namespace

float activate(Activation kind, float x) {
  const double v = x;
  switch (kind) {
    case Activation::silu: return static_cast<float>(v / (1 + std::exp(-v)));
    case Activation::gelu: return static_cast<float>(0.5 * v * std::erfc(-v * M_SQRT1_2));
    case Activation::gelu_tanh:
      return static_cast<float>(
          0.5 * v * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v))));
    case Activation::relu: return x > 0 ? x : 0;
    case Activation::quick_gelu: return static_cast<float>(v / (1 + std::exp(-1.702 * v)));
  }
  AWQ_CHECK(false, static_cast<int>(kind));
}

}  // namespace reference

Ops reference_ops(Device& device) {
  using namespace reference;
  Ops ops;
  ops.name = "scalar";
  ops.device = &device;
  ops.int8_kv = true;
  ops.pack_float = pack_float;
  ops.pack_quant = pack_quant;
  ops.matmul = matmul;
  ops.embed = embed;
  ops.norm = norm;
  ops.add_norm = [](Device& d, Matrix x, Matrix residual, const NormArgs& args) {
    add(d, x, residual);
    NormArgs of = args;
    of.x = residual;
    norm(d, of);
  };
  ops.rope = rope;
  ops.kv_append = kv_append;
  ops.attention = attention;
  ops.act = act;
  ops.act_mul = act_mul;
  ops.add = add;
  ops.scale_columns = scale_columns;
  ops.scale = scale;
  ops.softcap = softcap;
  ops.clamp = clamp;
  ops.gather = gather;
  ops.scatter_add = scatter_add;
  ops.argmax = argmax;
  ops.plan_draws = plan_host_draws;
  ops.score = score;
  ops.divergence = divergence;
  ops.gram = gram;
  ops.abs_sum = abs_sum;
  ops.quadratic_form = quadratic_form;
  ops.unscale_gram = unscale_gram;
  return ops;
}

}  // namespace awq
