// Ops that treat each row by itself.
#include <algorithm>
#include <cmath>

#include "kernels/check_shapes.h"
#include "kernels/cpu/head_query.h"
#include "kernels/cpu/launch.h"
#include "kernels/cpu/scratch.h"

namespace awq::cpu {
namespace {

void norm_row(const KernelTable& kernels, const NormArgs& args, int64_t t) {
  const int64_t dim = args.x.cols / args.heads;
  for (int64_t head = 0; head < args.heads; ++head) {
    kernels.norm({args.x.row(t) + head * dim, args.y.row(t) + head * dim, dim,
                  args.kind == NormKind::layer ? 1 : 0, args.weight, args.bias, args.epsilon,
                  args.weight_offset});
  }
}

}  // namespace

void rope_angles(const RopeArgs& args, int32_t position, float* cosines, float* sines) {
  const int64_t half = args.rotary_dim / 2;
  for (int64_t i = 0; i < half; ++i) {
    const float angle =
        static_cast<float>(position) * args.inverse_frequency[static_cast<size_t>(i)];
    const float c = std::cos(angle) * args.magnitude, s = std::sin(angle) * args.magnitude;
    if (args.pairing == RopePairing::half) {
      cosines[i] = c, sines[i] = s;
    } else {
      cosines[2 * i] = cosines[2 * i + 1] = c;
      sines[2 * i] = -s, sines[2 * i + 1] = s;
    }
  }
}

void rotate(const KernelTable& kernels, const RopeArgs& args, const float* cosines,
            const float* sines, float* x) {
  for (int64_t head = 0; head < args.heads; ++head, x += args.head_dim) {
    if (args.pairing == RopePairing::half) {
      kernels.rotate_half(x, args.rotary_dim / 2, cosines, sines);
    } else {
      kernels.rotate_pairs(x, args.rotary_dim, cosines, sines);
    }
  }
}

void norm(const KernelTable& kernels, Device& device, const NormArgs& args) {
  check_norm(args);
  for_rows(device, args.x.rows, args.x.cols, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) norm_row(kernels, args, t);
  });
}

void add_norm(const KernelTable& kernels, Device& device, Matrix x, Matrix residual,
              const NormArgs& args) {
  check_same_shape(x, residual);
  NormArgs of = args;
  of.x = residual;
  check_norm(of);
  for_rows(device, x.rows, x.cols, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      kernels.add(x.row(t), residual.row(t), x.cols);
      norm_row(kernels, of, t);
    }
  });
}

void rope(const KernelTable& kernels, Device& device, const RopeArgs& args) {
  check_rope(args);
  const int64_t half = args.rotary_dim / 2;
  // A sine costs about as much as rotating ten values.
  for_rows(device, args.x.rows, args.x.cols + half * 20, [&](int64_t begin, int64_t end) {
    float* cosines = scratch_of<float>(Scratch::sums, args.rotary_dim * 2);
    float* sines = cosines + args.rotary_dim;
    for (int64_t t = begin; t < end; ++t) {
      rope_angles(args, args.positions[static_cast<size_t>(t)], cosines, sines);
      rotate(kernels, args, cosines, sines, args.x.row(t));
    }
  });
}

void kv_append(const KernelTable& kernels, Device& device, const KvAppendArgs& args) {
  check_kv_append(args);
  const int64_t dim = args.head_dim;
  for (const Segment& segment : args.segments) {
    for_rows(device, segment.count, args.k.cols, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const float *k = args.k.row(segment.first + t), *v = args.v.row(segment.first + t);
        for (int64_t head = 0; head < args.kv_heads; ++head) {
          store_kv(kernels, segment.kv, head, segment.past + t, dim, k + head * dim, v + head * dim);
        }
      }
    });
  }
}

void act_mul(const KernelTable& kernels, Device& device, Activation kind, Matrix gate,
             const Matrix* up, Matrix y) {
  check_same_shape(gate, y);
  if (up != nullptr) check_same_shape(gate, *up);
  for_rows(device, y.rows, y.cols * 2, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      kernels.activate(static_cast<int>(kind), gate.row(t), up == nullptr ? nullptr : up->row(t),
                       y.row(t), y.cols);
    }
  });
}

void add(const KernelTable& kernels, Device& device, Matrix x, Matrix y) {
  check_same_shape(x, y);
  for_rows(device, x.rows, x.cols / 2, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) kernels.add(x.row(t), y.row(t), x.cols);
  });
}

void scale_columns(const KernelTable& kernels, Device& device, Matrix x, const float* s, Matrix y) {
  check_same_shape(x, y);
  for_rows(device, x.rows, x.cols / 2, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) kernels.multiply(x.row(t), s, y.row(t), x.cols);
  });
}

void scale(const KernelTable& kernels, Device& device, Matrix x, float s) {
  for_rows(device, x.rows, x.cols / 2, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) kernels.scale(x.row(t), s, x.cols);
  });
}

void softcap(const KernelTable& kernels, Device& device, Matrix x, float c) {
  for_rows(device, x.rows, x.cols * 2, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) kernels.softcap(x.row(t), c, x.cols);
  });
}

void clamp(Device& device, Matrix x, float limit) {
  for_rows(device, x.rows, x.cols / 2, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* row = x.row(t);
      for (int64_t i = 0; i < x.cols; ++i) row[i] = std::clamp(row[i], -limit, limit);
    }
  });
}

void gather(Device& device, Matrix x, std::span<const int32_t> rows, Matrix y) {
  check_rows(x, rows, y);
  for_rows(device, y.rows, y.cols / 2, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      std::copy_n(x.row(rows[static_cast<size_t>(t)]), x.cols, y.row(t));
    }
  });
}

void scatter_add(Device& device, Matrix x, std::span<const int32_t> rows,
                 std::span<const float> weights, Matrix y) {
  check_rows(y, rows, x);
  AWQ_CHECK(weights.size() == rows.size(), weights.size());
  for_rows(device, x.rows, x.cols / 2, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float weight = weights[static_cast<size_t>(t)];
      const float* from = x.row(t);
      float* to = y.row(rows[static_cast<size_t>(t)]);
      for (int64_t i = 0; i < x.cols; ++i) to[i] += weight * from[i];
    }
  });
}

void argmax(const KernelTable& kernels, Device& device, Matrix x, int32_t* out) {
  for_rows(device, x.rows, x.cols / 2, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      out[t] = static_cast<int32_t>(kernels.argmax(x.row(t), x.cols));
    }
  });
}

void score(const KernelTable& kernels, Device& device, Matrix logits,
           std::span<const int32_t> targets, RowScore* scores) {
  check_score(logits, targets);
  for_rows(device, logits.rows, logits.cols * 4, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float* x = logits.row(t);
      RowScore& score = scores[t];
      score.top = static_cast<int32_t>(kernels.argmax(x, logits.cols));
      const float most = x[score.top];
      score.log_sum = most + std::log(kernels.sum_exp(x, most, logits.cols));
      score.nll = score.log_sum - x[targets[static_cast<size_t>(t)]];
    }
  });
}

void divergence(const KernelTable& kernels, Device& device, Matrix p, Matrix q,
                const RowScore* p_scores, const RowScore* q_scores, double* kl) {
  check_same_shape(p, q);
  for_rows(device, p.rows, p.cols * 4, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const double log_p = p_scores[t].log_sum;
      const double mean = kernels.mean_difference(p.row(t), q.row(t), log_p, p.cols);
      const double sum = mean - (log_p - q_scores[t].log_sum);
      kl[t] = std::max(sum, 0.0);  // rounding of nearly equal models
    }
  });
}

}  // namespace awq::cpu
