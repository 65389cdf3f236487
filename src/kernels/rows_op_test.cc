// Ops on rows, and calibration: every table against the scalar oracle.
#include <gtest/gtest.h>

#include <cstring>

#include "kernels/op_test_data.h"

namespace awq {
namespace {

constexpr int64_t kColumns[] = {1, 7, 16, 33, 576, 1537};

class RowsOp : public testing::Test {
 protected:
  std::unique_ptr<Device> device = make_cpu_device(2);
  Ops scalar = make_cpu_ops(*device, "scalar").value();
  std::vector<Ops> tables = fast_tables(*device);
  TestData data{11};

  // Runs f(ops, y) on copies of `start` for the oracle and every table, and compares row by row.
  template <class F>
  void compare(const std::vector<float>& start, int64_t columns, double tolerance, F&& f) {
    std::vector<float> want = start;
    f(scalar, want.data());
    for (const Ops& ops : tables) {
      std::vector<float> got = start;
      f(ops, got.data());
      for (size_t at = 0; at < want.size(); at += static_cast<size_t>(columns)) {
        ASSERT_LE(row_error(&got[at], &want[at], columns), tolerance)
            << ops.name << " columns " << columns << " row " << at / static_cast<size_t>(columns);
      }
    }
  }
};

TEST_F(RowsOp, Norms) {
  for (const NormKind kind : {NormKind::rms, NormKind::layer}) {
    for (const int64_t dim : kColumns) {
      for (const int64_t heads : {1, 3}) {
        const int64_t rows = 4, columns = dim * heads;
        std::vector<float> x = data.normal(rows * columns);
        for (float& v : x) v += 3;
        std::fill_n(x.begin(), columns, 0.0f);
        const std::vector<float> weight = data.normal(dim), bias = data.normal(dim);
        NormArgs args;
        args.kind = kind, args.weight = weight.data(), args.heads = heads;
        if (kind == NormKind::layer) args.bias = bias.data();
        args.weight_offset = kind == NormKind::rms ? 1.0f : 0.0f;
        if (kind == NormKind::layer && dim == 1) continue;  // x - mean is nothing but rounding
        compare(x, columns, 1e-5, [&](const Ops& ops, float* y) {
          args.x = args.y = {y, rows, columns};
          ops.norm(*device, args);
        });
      }
    }
  }
}

TEST_F(RowsOp, AddNormEqualsItsParts) {
  std::vector<float> x = data.normal(5 * 576), weight = data.normal(576);
  const std::vector<float> residual = data.normal(5 * 576);
  for (const Ops& ops : tables) {
    std::vector<float> r1 = residual, r2 = residual, y1(x.size()), y2(x.size());
    NormArgs args;
    args.weight = weight.data();
    args.x = {r1.data(), 5, 576}, args.y = {y1.data(), 5, 576};
    ops.add(*device, {x.data(), 5, 576}, args.x);
    ops.norm(*device, args);
    args.y = {y2.data(), 5, 576};
    ops.add_norm(*device, {x.data(), 5, 576}, {r2.data(), 5, 576}, args);
    EXPECT_EQ(r1, r2);
    EXPECT_EQ(y1, y2);
  }
}

TEST_F(RowsOp, Activations) {
  for (const Activation kind : {Activation::silu, Activation::gelu, Activation::gelu_tanh,
                                Activation::relu, Activation::quick_gelu}) {
    for (const int64_t columns : kColumns) {
      std::vector<float> x = data.normal(3 * columns, 4), up = data.normal(3 * columns);
      for (int64_t t = 0; t < 3; ++t) {  // errors are held against a value of the common size
        x[static_cast<size_t>(t * columns)] = 2, up[static_cast<size_t>(t * columns)] = 1;
      }
      compare(x, columns, 1e-6, [&](const Ops& ops, float* y) {
        ops.act(*device, kind, {y, 3, columns}, {y, 3, columns});
      });
      compare(x, columns, 1e-6, [&](const Ops& ops, float* y) {
        ops.act_mul(*device, kind, {y, 3, columns},
                    {up.data(), 3, columns}, {y, 3, columns});
      });
    }
    std::vector<float> extreme = {-1e30f, -200, -100, -88.5f, -87, -1e-20f, 0, 1e-20f, 87, 100, 3e38f};
    for (float value : extreme) {
      compare({value}, 1, 1, [&](const Ops& ops, float* y) {
        const bool small = value < -20;  // both are next to nothing there
        ops.act(*device, kind, {y, 1, 1}, {y, 1, 1});
        EXPECT_FALSE(std::isnan(*y)) << ops.name << " " << value;
        if (small) {
          EXPECT_NEAR(*y, 0, 1e-6) << ops.name << " " << value;
          *y = 0;
        }
      });
    }
  }
}

TEST_F(RowsOp, SmallOnes) {
  for (const int64_t columns : kColumns) {
    const std::vector<float> x = data.normal(4 * columns, 30), s = data.normal(4 * columns);
    auto* other = const_cast<float*>(s.data());
    compare(x, columns, 0, [&](const Ops& ops, float* y) {
      ops.add(*device, {other, 4, columns}, {y, 4, columns});
    });
    compare(x, columns, 0, [&](const Ops& ops, float* y) {
      ops.scale_columns(*device, {y, 4, columns}, other, {y, 4, columns});
    });
    compare(x, columns, 0,
            [&](const Ops& ops, float* y) { ops.scale(*device, {y, 4, columns}, 0.37f); });
    compare(x, columns, 1e-5,
            [&](const Ops& ops, float* y) { ops.softcap(*device, {y, 4, columns}, 30.0f); });
    compare(x, columns, 0,
            [&](const Ops& ops, float* y) { ops.clamp(*device, {y, 4, columns}, 7.0f); });
    const std::vector<int32_t> rows = {3, 0, 2};
    const std::vector<float> weights = {0.5f, -2.0f, 0.3f};
    compare(x, columns, 0, [&](const Ops& ops, float* y) {
      ops.gather(*device, {other, 4, columns}, rows, {y, 3, columns});
    });
    compare(x, columns, 1e-6, [&](const Ops& ops, float* y) {
      ops.scatter_add(*device, {other, 3, columns}, rows, weights, {y, 4, columns});
    });
  }
}

TEST_F(RowsOp, ArgmaxTakesTheFirstAndNeverNan) {
  for (const int64_t columns : kColumns) {
    for (int round = 0; round < 8; ++round) {
      std::vector<float> x = data.normal(2 * columns);
      for (float& v : x) v = std::round(v * 2);  // ties
      for (int i = 0; i < round; ++i) {
        x[static_cast<size_t>(data.integer(0, static_cast<int>(2 * columns) - 1))] =
            round % 2 == 0 ? std::nanf("") : -INFINITY;
      }
      if (round == 7) std::fill(x.begin(), x.end(), std::nanf(""));
      int32_t want[2], got[2];
      scalar.argmax(*device, {x.data(), 2, columns}, want);
      for (const Ops& ops : tables) {
        ops.argmax(*device, {x.data(), 2, columns}, got);
        EXPECT_EQ(got[0], want[0]) << ops.name;
        EXPECT_EQ(got[1], want[1]) << ops.name;
      }
    }
  }
}

TEST_F(RowsOp, ScoreAndDivergence) {
  for (const int64_t columns : {1, 15, 33, 1000, 49152}) {
    std::vector<float> p = data.normal(3 * columns), q = data.normal(3 * columns);
    for (float& x : p) x *= 4;
    for (float& x : q) x = 4 * x + 3;
    std::copy(p.begin(), p.begin() + columns, q.begin());  // row 0: the same distribution
    const std::vector<int32_t> targets = {0, static_cast<int32_t>(columns - 1), 0};
    const Matrix mp(p.data(), 3, columns), mq(q.data(), 3, columns);
    std::vector<RowScore> want(6), got(6);
    std::vector<double> want_kl(3), got_kl(3);
    const auto run = [&](const Ops& ops, std::vector<RowScore>& scores, std::vector<double>& kl) {
      ops.score(*device, mp, targets, scores.data());
      ops.score(*device, mq, targets, scores.data() + 3);
      ops.divergence(*device, mp, mq, scores.data(), scores.data() + 3, kl.data());
    };
    run(scalar, want, want_kl);
    EXPECT_EQ(want_kl[0], 0);
    for (const Ops& ops : tables) {
      run(ops, got, got_kl);
      for (size_t i = 0; i < 6; ++i) {
        EXPECT_NEAR(got[i].nll, want[i].nll, 2e-6) << ops.name << ' ' << columns;
        EXPECT_EQ(got[i].top, want[i].top) << ops.name;
      }
      for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(got_kl[i], want_kl[i], 1e-5) << ops.name;
    }
  }
}

TEST_F(RowsOp, ScoreOfABadRowIsNotFinite) {
  std::vector<float> x = data.normal(200);
  const std::vector<int32_t> targets = {3};
  for (const float bad : {std::nanf(""), INFINITY}) {
    x[70] = bad;
    for (const Ops& ops : tables) {
      RowScore score;
      ops.score(*device, {x.data(), 1, 200}, targets, &score);
      EXPECT_FALSE(std::isfinite(score.nll)) << ops.name;
    }
  }
}

TEST_F(RowsOp, Gram) {
  for (const int64_t dim : {1, 33, 192, 450}) {
    std::vector<float> x = data.normal(70 * (dim + 3));
    const std::vector<float> start(static_cast<size_t>(dim * dim), 0.5f);
    compare(start, dim, 1e-5, [&](const Ops& ops, float* h) {
      ops.gram(*device, {x.data(), 70, dim, dim + 3}, h);
      ops.gram(*device, {x.data(), 1, dim, dim + 3}, h);
      for (int64_t i = 0; i < dim; ++i) {
        for (int64_t j = 0; j < i; ++j) ASSERT_EQ(h[i * dim + j], h[j * dim + i]);
      }
    });
  }
}

TEST_F(RowsOp, SumsAndQuadraticForm) {
  for (const int64_t dim : {1, 33, 300}) {
    std::vector<float> x = data.normal(150 * dim), h(static_cast<size_t>(dim * dim), 0.0f);
    scalar.gram(*device, {x.data(), 150, dim}, h.data());
    std::vector<double> sums(static_cast<size_t>(dim), 1.0), losses(150);
    scalar.abs_sum(*device, {x.data(), 150, dim}, sums.data());
    scalar.quadratic_form(*device, {x.data(), 150, dim}, h.data(), losses.data());
    for (const Ops& ops : tables) {
      std::vector<double> got_sums(static_cast<size_t>(dim), 1.0), got_losses(150);
      ops.abs_sum(*device, {x.data(), 150, dim}, got_sums.data());
      ops.quadratic_form(*device, {x.data(), 150, dim}, h.data(), got_losses.data());
      for (size_t i = 0; i < sums.size(); ++i) EXPECT_NEAR(got_sums[i], sums[i], 1e-9) << ops.name;
      for (size_t i = 0; i < 150; ++i) {
        EXPECT_NEAR(got_losses[i], losses[i], 1e-5 * losses[i] + 1e-9) << ops.name;
      }
    }
  }
}

TEST_F(RowsOp, SameBitsForAnyThreads) {
  std::vector<float> x = data.normal(130 * 700), weight = data.normal(700);
  for (size_t table = 0; table < tables.size(); ++table) {
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 2, 3}) {
      const auto other = make_cpu_device(threads);
      const Ops ops = fast_tables(*other)[table];
      std::vector<float> h(700 * 700 + 130 * 700);
      std::vector<double> losses(130), sums(700);
      ops.gram(*other, {x.data(), 130, 700}, h.data());
      ops.quadratic_form(*other, {x.data(), 130, 700}, h.data(), losses.data());
      ops.abs_sum(*other, {x.data(), 130, 700}, sums.data());
      NormArgs args;
      args.x = {x.data(), 130, 700}, args.y = {h.data() + 700 * 700, 130, 700};
      args.weight = weight.data();
      ops.norm(*other, args);
      for (const double v : losses) h.push_back(static_cast<float>(v));
      for (const double v : sums) h.push_back(static_cast<float>(v));
      results.push_back(h);
    }
    EXPECT_EQ(results[0], results[1]) << tables[table].name;
    EXPECT_EQ(results[0], results[2]) << tables[table].name;
  }
}

}  // namespace
}  // namespace awq
