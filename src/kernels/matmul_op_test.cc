// Weights: every table against the scalar oracle, over formats, shapes and extremes.
#include <gtest/gtest.h>

#include <cstring>

#include "kernels/op_test_data.h"

namespace awq {
namespace {

constexpr int64_t kRowCounts[] = {1, 2, 3, 5, 8, 9, 13, 16, 33, 100};

class MatmulOp : public testing::Test {
 protected:
  std::unique_ptr<Device> device = make_cpu_device(2);
  Ops scalar = make_cpu_ops(*device, "scalar").value();
  std::vector<Ops> tables = fast_tables(*device);
  TestData data{42};

  std::vector<float> run(const Ops& ops, const PackedWeight& w, const std::vector<float>& x,
                         int64_t rows, const float* bias = nullptr) {
    std::vector<float> y(static_cast<size_t>(rows * w.out), -7.0f);
    ops.matmul(*device, {const_cast<float*>(x.data()), rows, w.in}, w, bias,
               {y.data(), rows, w.out});
    return y;
  }

  void expect_close(const std::vector<float>& got, const std::vector<float>& want, int64_t rows,
                    double tolerance, const std::string& what) {
    const auto out = static_cast<int64_t>(want.size()) / rows;
    for (int64_t t = 0; t < rows; ++t) {
      ASSERT_LE(row_error(&got[static_cast<size_t>(t * out)], &want[static_cast<size_t>(t * out)],
                          out),
                tolerance)
          << what << " row " << t << " of " << rows;
    }
  }

  void compare_quant(const QuantWeight& weight, const std::vector<float>& x, int64_t rows,
                     double tolerance, const float* bias = nullptr) {
    const auto oracle = scalar.pack_quant(*device, weight);
    const std::vector<float> want = run(scalar, *oracle, x, rows, bias);
    for (const Ops& ops : tables) {
      const auto packed = ops.pack_quant(*device, weight);
      expect_close(run(ops, *packed, x, rows, bias), want, rows, tolerance,
                   cat(ops.name, " ", format_name(weight.format), " ", weight.out, "x", weight.in));
    }
  }
};

TEST_F(MatmulOp, FloatWeights) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    for (const auto& [out, in] : {std::pair<int64_t, int64_t>{1, 1}, {17, 33}, {48, 576}, {100, 1500}}) {
      const std::vector<float> values = data.normal(out * in), bias = data.normal(out);
      std::vector<uint16_t> halves;
      for (const float v : values) {
        halves.push_back(dtype == DType::f16 ? float_to_half(v) : float_to_bfloat(v));
      }
      const FloatWeight weight = {
          dtype == DType::f32 ? static_cast<const void*>(values.data()) : halves.data(), dtype, out, in};
      const auto oracle = scalar.pack_float(*device, weight);
      for (const int64_t rows : kRowCounts) {
        const std::vector<float> x = data.normal(rows * in);
        const std::vector<float> want = run(scalar, *oracle, x, rows, bias.data());
        for (const Ops& ops : tables) {
          const auto packed = ops.pack_float(*device, weight);
          expect_close(run(ops, *packed, x, rows, bias.data()), want, rows, 1e-5,
                       cat(ops.name, " ", dtype_name(dtype), " ", out, "x", in));
        }
      }
    }
  }
}

TEST_F(MatmulOp, QuantizedWeights) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const int64_t group : {16, 32, 64, 128, 0, 40}) {
      for (const auto& [out, in] : {std::pair<int64_t, int64_t>{17, 33}, {48, 576}, {31, 1100}}) {
        const QuantWeight weight = data.quant_weight(out, in, {bits, group, false});
        const std::vector<float> bias = data.normal(out);
        for (const int64_t rows : kRowCounts) {
          compare_quant(weight, data.normal(rows * in), rows, 2e-4, bias.data());
        }
      }
    }
  }
}

TEST_F(MatmulOp, DeepRowsAreCutIntoSeveralUnpackedTiles) {
  for (const int bits : {2, 3, 4, 8}) {
    const QuantWeight weight = data.quant_weight(40, 3000, {bits, 0, true});
    for (const int64_t rows : {1, 40}) compare_quant(weight, data.normal(rows * 3000), rows, 2e-4);
  }
}

TEST_F(MatmulOp, PackedInt4EqualsDequantizeThenMultiply) {
  const QuantWeight weight = data.quant_weight(192, 576, {4, 64, false});
  const std::vector<float> dense = dequantize(weight);
  const auto oracle =
      scalar.pack_float(*device, {dense.data(), DType::f32, weight.out, weight.in});
  for (const int64_t rows : {1, 4, 64}) {
    const std::vector<float> x = data.normal(rows * weight.in);
    const std::vector<float> want = run(scalar, *oracle, x, rows);
    for (const Ops& ops : tables) {
      const auto packed = ops.pack_quant(*device, weight);
      expect_close(run(ops, *packed, x, rows), want, rows, 1e-4, std::string(ops.name));
    }
  }
}

TEST_F(MatmulOp, OutliersZeroRowsAndExtremeScales) {
  for (const int bits : {2, 3, 4, 8}) {
    QuantWeight weight = data.quant_weight(33, 320, {bits, 64, false});
    weight.scales[0] = 1;       // the smallest subnormal
    weight.scales[1] = 0x03FF;  // the largest subnormal
    weight.scales[2] = 0;
    weight.scales[3] = 0x7BFF;  // 65504
    for (const int64_t rows : {1, 5, 16}) {
      std::vector<float> x = data.normal(rows * 320);
      for (size_t i = 7; i < x.size(); i += 97) x[i] *= 1000;
      if (rows > 1) std::fill_n(x.begin(), 320, 0.0f);
      compare_quant(weight, x, rows, 5e-4);
    }
  }
}

// Where the outlier itself counts for nothing, the result is what the second set of codes holds: the
// others are less than one step of the first.
TEST_F(MatmulOp, OthersOfABlockWithAnOutlierSurvive) {
  constexpr int64_t kOut = 33, kIn = 320;
  for (const int bits : {2, 3, 4, 8}) {
    QuantWeight weight = data.quant_weight(kOut, kIn, {bits, 64, false});
    for (int64_t i = 5; i < kIn; i += 64) {
      for (int64_t o = 0; o < kOut; ++o) {
        weight.codes[static_cast<size_t>(o * kIn + i)] =
            weight.zeros[static_cast<size_t>(o * weight.groups() + i / 64)];
      }
    }
    for (const int64_t rows : {1, 13}) {
      std::vector<float> x = data.normal(rows * kIn);
      for (size_t i = 5; i < x.size(); i += 64) x[i] = i % 128 == 5 ? 1e5f : -1e5f;
      compare_quant(weight, x, rows, 1e-3);
    }
  }
}

// One plane of bytes: within its rounding for any inputs, exact for whole numbers that it holds.
TEST_F(MatmulOp, EightBitActivations) {
  const std::vector<Ops> a8 = fast_tables(*device, 1);
  for (const int bits : {2, 3, 4, 8}) {
    for (const int64_t group : {32, 64, 0, 40}) {
      const QuantWeight weight = data.quant_weight(37, 300, {bits, group, false});
      const auto oracle = scalar.pack_quant(*device, weight);
      for (const int64_t rows : {1, 3, 8, 9, 40}) {
        const std::vector<float> x = data.normal(rows * 300);
        std::vector<float> whole(x.size());
        for (float& each : whole) each = static_cast<float>(data.integer(-127, 127));
        for (int64_t i = 0; i < rows * 300; i += 10) whole[static_cast<size_t>(i)] = 127;
        const std::vector<float> want = run(scalar, *oracle, x, rows);
        const std::vector<float> want_whole = run(scalar, *oracle, whole, rows);
        for (const Ops& ops : a8) {
          const auto packed = ops.pack_quant(*device, weight);
          const std::string what = cat(ops.name, " ", format_name(weight.format));
          expect_close(run(ops, *packed, x, rows), want, rows, 3e-2, what);
          expect_close(run(ops, *packed, whole, rows), want_whole, rows, 1e-5, what + ", whole");
        }
      }
    }
  }
}

// Sums of codes are exact and floats are added in one order: the instruction set does not matter.
TEST_F(MatmulOp, SameBitsOfEveryInstructionSet) {
  for (const int planes : {1, 2}) {
    const std::vector<Ops> each = fast_tables(*device, planes);
    for (const int bits : {2, 3, 4, 8}) {
      const QuantWeight weight = data.quant_weight(50, 400, {bits, 64, false});
      for (const int64_t rows : {1, 5, 20}) {
        const std::vector<float> x = data.normal(rows * 400);
        std::vector<std::vector<float>> results;
        for (const Ops& ops : each) {
          results.push_back(run(ops, *ops.pack_quant(*device, weight), x, rows));
          EXPECT_EQ(results.back(), results.front()) << ops.name << ", " << bits << " bits";
        }
      }
    }
  }
}

// The largest sums that codes and activations can make must not wrap.
TEST_F(MatmulOp, LargestSumsStayExact) {
  for (const int bits : {2, 3, 4, 8}) {
    QuantWeight weight = data.quant_weight(16, 256, {bits, 0, false});
    for (const int zero : {0, weight.format.max_code()}) {
      for (const int code : {0, weight.format.max_code()}) {
        std::fill(weight.codes.begin(), weight.codes.end(), static_cast<uint8_t>(code));
        std::fill(weight.zeros.begin(), weight.zeros.end(), static_cast<uint8_t>(zero));
        for (const int64_t rows : {1, 12}) {
          compare_quant(weight, std::vector<float>(static_cast<size_t>(rows * 256), -3.0f), rows, 1e-6);
        }
      }
    }
  }
}

TEST_F(MatmulOp, NotANumberStaysVisible) {
  const QuantWeight weight = data.quant_weight(20, 128, {4, 64, false});
  for (const float bad : {std::nanf(""), INFINITY}) {
    for (const int64_t rows : {2, 10}) {
      std::vector<float> x = data.normal(rows * 128);
      x[130] = bad;
      for (const Ops& ops : tables) {
        const auto packed = ops.pack_quant(*device, weight);
        const std::vector<float> y = run(ops, *packed, x, rows);
        EXPECT_FALSE(std::isnan(y[0])) << ops.name;
        EXPECT_TRUE(std::isnan(y[20])) << ops.name;
      }
    }
  }
}

// A row's result depends neither on the number of threads nor, for integer weights, on the rows
// that are computed with it.
TEST_F(MatmulOp, SameBitsForAnyThreadsAndBatch) {
  const QuantWeight weight = data.quant_weight(203, 700, {4, 64, false});
  const std::vector<float> dense = dequantize(weight), x = data.normal(40 * 700);
  for (size_t table = 0; table < tables.size(); ++table) {
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 2, 3}) {
      const auto other = make_cpu_device(threads);
      const Ops ops = fast_tables(*other)[table];
      const auto quant = ops.pack_quant(*other, weight);
      const auto plain = ops.pack_float(*other, {dense.data(), DType::f32, 203, 700});
      std::vector<float> y(static_cast<size_t>(40 * 203 * 4));
      float* at = y.data();
      for (const PackedWeight* w : {quant.get(), plain.get()}) {
        for (const int64_t rows : {3, 40}) {
          ops.matmul(*other, {const_cast<float*>(x.data()), rows, 700}, *w, nullptr, {at, rows, 203});
          at += rows * 203;
        }
      }
      EXPECT_EQ(std::memcmp(y.data(), y.data() + 3 * 203, 3 * 203 * sizeof(float)), 0) << ops.name;
      results.push_back(y);
    }
    for (const auto& result : results) {
      EXPECT_EQ(std::memcmp(result.data(), results[0].data(), result.size() * sizeof(float)), 0)
          << tables[table].name;
    }
  }
}

// Whether the integers of x are made once for several weights or for each: mixed groups and floats
// between them must not get those of another.
TEST_F(MatmulOp, SeveralProductsOfTheSameInput) {
  constexpr int64_t kIn = 320;
  const std::vector<float> dense = data.normal(20 * kIn), bias = data.normal(50);
  for (const Ops& ops : tables) {
    std::vector<std::unique_ptr<PackedWeight>> weights;
    weights.push_back(ops.pack_quant(*device, data.quant_weight(50, kIn, {4, 64, false})));
    weights.push_back(ops.pack_quant(*device, data.quant_weight(33, kIn, {3, 64, false})));
    weights.push_back(ops.pack_float(*device, {dense.data(), DType::f32, 20, kIn}));
    weights.push_back(ops.pack_quant(*device, data.quant_weight(33, kIn, {4, 32, false})));
    weights.push_back(ops.pack_quant(*device, data.quant_weight(17, kIn, {8, 64, false})));
    for (const int64_t rows : {1, 8, 9, 40}) {
      std::vector<float> x = data.normal(rows * kIn);
      std::vector<std::vector<float>> want, got;
      std::vector<ProductArgs> products;
      for (const auto& weight : weights) {
        const float* added = weight->out == 50 ? bias.data() : nullptr;
        want.push_back(run(ops, *weight, x, rows, added));
        got.emplace_back(want.back().size());
        products.push_back({weight.get(), added, {got.back().data(), rows, weight->out}});
      }
      ops.matmuls(*device, {x.data(), rows, kIn}, products);
      EXPECT_EQ(got, want) << ops.name << ", " << rows << " rows";
    }
  }
}

// Panels made of a checkpoint's words multiply as those of the codes, to the bit.
TEST_F(MatmulOp, WordsOfCheckpoints) {
  const auto facts_of = [](QuantWeight weight) {
    weight.codes.clear();
    return weight;
  };
  for (const int bits : {2, 3, 4, 8}) {
    for (const int64_t group : {32, 0, 40}) {
      for (const auto& [out, in] : {std::pair<int64_t, int64_t>{8, 64}, {200, 320}, {152, 1120}}) {
        const QuantWeight weight = data.quant_weight(out, in, {bits, group, false});
        const QuantWeight facts = facts_of(weight);
        const std::vector<int32_t> gptq = gptq_words(weight), awq = awq_words(weight);
        const std::vector<float> x = data.normal(in);
        for (const Ops& ops : tables) {
          const std::vector<float> want = run(ops, *ops.pack_quant(*device, weight), x, 1);
          const auto by = [&](QuantWords::Order order, const std::vector<int32_t>& words) {
            const QuantWords of = {order, words.data(), static_cast<int64_t>(words.size())};
            return run(ops, *ops.pack_words(*device, facts, of), x, 1);
          };
          const std::string what = cat(ops.name, " ", format_name(weight.format), " ", out, "x", in);
          EXPECT_EQ(by(QuantWords::Order::gptq, gptq), want) << what;
          if (bits != 4) continue;
          EXPECT_EQ(by(QuantWords::Order::awq, awq), want) << what;
        }
      }
    }
  }
}

TEST_F(MatmulOp, StridedRowsAndEmbedding) {
  const std::vector<float> table = data.normal(37 * 24);
  const FloatWeight weight = {table.data(), DType::f32, 37, 24};
  const std::vector<int32_t> ids = {36, 0, 16, 15, 16};
  for (const Ops& ops : tables) {
    const auto packed = ops.pack_float(*device, weight);
    std::vector<float> y(5 * 30, -1);
    ops.embed(*device, ids, *packed, {y.data(), 5, 24, 30});
    for (size_t t = 0; t < ids.size(); ++t) {
      EXPECT_EQ(std::memcmp(&y[t * 30], &table[static_cast<size_t>(ids[t]) * 24], 24 * 4), 0);
      EXPECT_EQ(y[t * 30 + 24], -1);
    }
    std::vector<float> z(5 * 40, -1);
    ops.matmul(*device, {y.data(), 5, 24, 30}, *packed, nullptr, {z.data(), 5, 37, 40});
    double sum = 0;
    for (size_t i = 0; i < 24; ++i) sum += double{y[60 + i]} * table[36 * 24 + i];
    EXPECT_NEAR(z[2 * 40 + 36], sum, 1e-4) << ops.name;
    EXPECT_EQ(z[2 * 40 + 37], -1);
  }
}

TEST_F(MatmulOp, UnknownBackendIsAnErrorThatNamesTheChoices) {
  const auto result = make_cpu_ops(*device, "avx9");
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find("scalar"), std::string::npos);
  EXPECT_EQ(make_cpu_ops(*device).value().name, cpu_backends().back());
}

}  // namespace
}  // namespace awq
