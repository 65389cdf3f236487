// The CUDA table against the scalar oracle, on the first device; skipped where there is none.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/cuda_test.h"
#include "kernels/op_test_data.h"

namespace awq {
namespace {

using Shape = std::pair<int64_t, int64_t>;

class CudaOp : public CudaTest {
 protected:
  // Device memory that lives as long as the test, with a copy of `values`.
  template <class T>
  T* up(const std::vector<T>& values) {
    buffers.emplace_back(*device, values.size() * sizeof(T));
    device->upload(buffers.back().data(), values.data(), values.size() * sizeof(T));
    return buffers.back().as<T>();
  }
  template <class T>
  std::vector<T> down(const T* from, size_t count) {
    std::vector<T> values(count);
    device->download(values.data(), from, count * sizeof(T));
    return values;
  }

  void expect_close(const std::vector<float>& got, const std::vector<float>& want, int64_t rows,
                    double tolerance, const std::string& what) {
    ASSERT_EQ(got.size(), want.size());
    const auto cols = static_cast<int64_t>(want.size()) / rows;
    for (int64_t t = 0; t < rows; ++t) {
      const auto at = static_cast<size_t>(t * cols);
      ASSERT_LE(row_error(&got[at], &want[at], cols), tolerance) << what << " row " << t;
    }
  }

  // An op that works on one matrix in place, by both tables.
  template <class Run>
  void compare(std::vector<float> x, int64_t rows, double tolerance, const std::string& what,
               Run run) {
    float* on_device = up(x);
    const auto cols = static_cast<int64_t>(x.size()) / rows;
    run(cuda, Matrix(on_device, rows, cols), true);
    const std::vector<float> got = down(on_device, x.size());
    run(scalar, Matrix(x.data(), rows, cols), false);
    expect_close(got, x, rows, tolerance, what);
  }

  std::unique_ptr<Device> host = make_cpu_device(2);
  Ops scalar = make_cpu_ops(*host, "scalar").value();
  std::vector<DeviceBuffer> buffers;
  TestData data{11};
};

TEST_F(CudaOp, QuantizedProducts) {
  for (const int bits : {4, 3, 2, 8}) {
    for (const int64_t group : {128, 64, 32, 0, 16}) {
      for (const auto& [out, in] :
           std::initializer_list<Shape>{{48, 576}, {192, 1536}, {7, 96}, {160, 512}}) {
        const QuantWeight weight = data.quant_weight(out, in, {bits, group, group == 64});
        const auto oracle = scalar.pack_quant(*host, weight);
        const auto packed = cuda.pack_quant(*device, weight);
        const std::vector<float> bias = data.normal(out);
        const float* device_bias = up(bias);
        for (const int64_t rows : {1, 2, 7, 8, 9, 16, 33, 64, 130, 512}) {
          std::vector<float> x = data.normal(rows * in);
          std::vector<float> want(static_cast<size_t>(rows * out));
          float* y = up(std::vector<float>(want.size(), -7.0f));
          cuda.matmul(*device, {up(x), rows, in}, *packed, device_bias, {y, rows, out});
          scalar.matmul(*host, {x.data(), rows, in}, *oracle, bias.data(),
                        {want.data(), rows, out});
          expect_close(down(y, want.size()), want, rows, 3e-3,
                       cat(format_name(weight.format), " ", out, "x", in, ", ", rows, " rows"));
        }
        buffers.clear();
      }
    }
  }
}

// The kernels of many tokens, whole tiles and tails of rows, inputs and tokens; nothing is written
// beside y, and equal calls give equal bits.
TEST_F(CudaOp, QuantizedProductsOfManyTokens) {
  constexpr int64_t kMost = 300;
  for (const int bits : {4, 3, 2, 8}) {
    for (const int64_t group : {128, 64, 32, 0}) {
      for (const auto& [out, in] :
           std::initializer_list<Shape>{{203, 1100}, {260, 128}, {128, 2500}, {7, 100}}) {
        const QuantWeight weight = data.quant_weight(out, in, {bits, group, group == 64});
        const auto oracle = scalar.pack_quant(*host, weight);
        const auto packed = cuda.pack_quant(*device, weight);
        const std::vector<float> bias = data.normal(out);
        std::vector<float> x = data.normal(kMost * in);
        std::vector<float> want(static_cast<size_t>(kMost * out));
        scalar.matmul(*host, {x.data(), kMost, in}, *oracle, bias.data(),
                      {want.data(), kMost, out});
        const float *device_x = up(x), *device_bias = up(bias);
        for (const int64_t rows : {33, 64, 65, 128, 130, 256, 300}) {
          const auto what = cat(format_name(weight.format), " ", out, "x", in, ", ", rows, " rows");
          const auto used = static_cast<size_t>(rows * out);
          std::vector<float> first;
          for (const int64_t apart : {0, 0, 5}) {  // columns between rows of y
            const int64_t stride = out + apart;
            const size_t size = static_cast<size_t>(rows * stride + 8);
            float* y = up(std::vector<float>(size, -7.0f));
            cuda.matmul(*device, {const_cast<float*>(device_x), rows, in}, *packed, device_bias,
                        Matrix(y, rows, stride).slice_cols(0, out));
            const std::vector<float> all = down(y, size);
            std::vector<float> got;
            for (int64_t t = 0; t < rows; ++t) {
              const auto at = all.begin() + t * stride;
              got.insert(got.end(), at, at + out);
              for (int64_t i = out; i < stride; ++i) ASSERT_EQ(at[i], -7.0f) << what;
            }
            for (auto i = all.begin() + rows * stride; i != all.end(); ++i) ASSERT_EQ(*i, -7.0f);
            expect_close(got, {want.begin(), want.begin() + static_cast<int64_t>(used)}, rows, 3e-3,
                         what);
            if (first.empty()) first = got;
            if (apart == 0) {
              ASSERT_EQ(std::memcmp(got.data(), first.data(), used * sizeof(float)), 0) << what;
            }
          }
        }
        buffers.clear();
      }
    }
  }
}

// Small weights take other kernels; of a large one the oracle multiplies some rows of activations.
TEST_F(CudaOp, LargeQuantizedProductsOfManyTokens) {
  constexpr int64_t out = 4100, in = 2100, kMost = 300;
  for (const QuantFormat& format : std::initializer_list<QuantFormat>{
           {4, 128, false}, {4, 32, true}, {3, 64, false}, {2, 0, false}, {8, 128, false}}) {
    const QuantWeight weight = data.quant_weight(out, in, format);
    const auto oracle = scalar.pack_quant(*host, weight);
    const auto packed = cuda.pack_quant(*device, weight);
    std::vector<float> bias = data.normal(out), x = data.normal(kMost * in);
    const float *device_x = up(x), *device_bias = up(bias);
    for (const int64_t rows : {17, 64, 65, 128, 200, 300}) {
      float* y = up(std::vector<float>(static_cast<size_t>(rows * out), -7.0f));
      cuda.matmul(*device, {const_cast<float*>(device_x), rows, in}, *packed, device_bias,
                  {y, rows, out});
      for (const int64_t row : {int64_t{0}, int64_t{7}, rows / 2, rows - 1}) {
        std::vector<float> want(out);
        scalar.matmul(*host, {x.data() + row * in, 1, in}, *oracle, bias.data(),
                      {want.data(), 1, out});
        expect_close(down(y + row * out, out), want, 1, 3e-3,
                     cat(format_name(format), ", ", rows, " rows, row ", row));
      }
    }
    buffers.clear();
  }
}

TEST_F(CudaOp, WeightsBeyondHalvesStayRight) {
  QuantWeight weight = data.quant_weight(40, 256, {4, 128, false});
  weight.scales[5] = 0x7BFF;  // 65504
  const auto packed = cuda.pack_quant(*device, weight);
  for (const int64_t rows : {5, 100, 200}) {  // of every path without such weights
    const std::vector<float> x = data.normal(rows * 256);
    float* y = up(std::vector<float>(static_cast<size_t>(rows * 40)));
    cuda.matmul(*device, {up(x), rows, 256}, *packed, nullptr, {y, rows, 40});
    const std::vector<float> got = down(y, static_cast<size_t>(rows * 40));
    for (int64_t t = 0; t < rows; ++t) {
      for (int64_t o = 0; o < 40; ++o) {
        double want = 0, magnitude = 0;
        for (int64_t i = 0; i < 256; ++i) {
          const auto group = static_cast<size_t>(o * 2 + i / 128);
          const double w = (weight.codes[static_cast<size_t>(o * 256 + i)] - weight.zeros[group]) *
                           double{half_to_float(weight.scales[group])};
          const double term = w * x[static_cast<size_t>(t * 256 + i)];
          want += term, magnitude += std::fabs(term);
        }
        // Activations are rounded to halves: each term is off by up to 2^-11 of itself. A bound
        // relative to the sum would not hold, where terms of both signs nearly cancel.
        ASSERT_NEAR(got[static_cast<size_t>(t * 40 + o)], want, 0x1p-11 * magnitude)
            << rows << " rows, row " << t << " output " << o;
      }
    }
  }
}

TEST_F(CudaOp, FloatProductsAndEmbedding) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    for (const auto& [out, in] :
         std::initializer_list<Shape>{{17, 33}, {48, 576}, {300, 1500}, {512, 512}}) {
      const std::vector<float> values = data.normal(out * in);
      std::vector<uint16_t> halves;
      for (const float v : values) {
        halves.push_back(dtype == DType::f16 ? float_to_half(v) : float_to_bfloat(v));
      }
      const FloatWeight weight = {
          dtype == DType::f32 ? static_cast<const void*>(values.data()) : halves.data(), dtype, out,
          in};
      const auto oracle = scalar.pack_float(*host, weight);
      const auto packed = cuda.pack_float(*device, weight);
      for (const int64_t rows : {1, 3, 8, 9, 40, 129}) {
        std::vector<float> x = data.normal(rows * in), want(static_cast<size_t>(rows * out));
        float* y = up(std::vector<float>(want.size(), -7.0f));
        cuda.matmul(*device, {up(x), rows, in}, *packed, nullptr, {y, rows, out});
        scalar.matmul(*host, {x.data(), rows, in}, *oracle, nullptr, {want.data(), rows, out});
        const double tolerance = dtype == DType::bf16 && rows > 4 ? 1e-2 : 2e-3;
        expect_close(down(y, want.size()), want, rows, tolerance,
                     cat(dtype_name(dtype), " ", out, "x", in, ", ", rows, " rows"));
      }
      const std::vector<int32_t> ids = {0, static_cast<int32_t>(out - 1), 3};
      std::vector<float> want(static_cast<size_t>(3 * in));
      float* y = up(want);
      cuda.embed(*device, ids, *packed, {y, 3, in});
      scalar.embed(*host, ids, *oracle, {want.data(), 3, in});
      EXPECT_EQ(down(y, want.size()), want);
      buffers.clear();
    }
  }
}

TEST_F(CudaOp, Norms) {
  for (const int64_t dim : {1, 33, 576, 4096, 20000}) {
    const std::vector<float> weight = data.normal(dim), bias = data.normal(dim);
    for (const NormKind kind : {NormKind::rms, NormKind::layer}) {
      for (const bool fused : {false, true}) {
        std::vector<float> branch = data.normal(5 * dim);
        compare(data.normal(5 * dim), 5, 1e-5, cat("norm of ", dim),
                [&](const Ops& ops, Matrix x, bool on_device) {
                  NormArgs args{x,
                                x,
                                kind,
                                on_device ? up(weight) : weight.data(),
                                on_device ? up(bias) : bias.data(),
                                1e-5f,
                                1.0f,
                                1};
                  const Matrix added(on_device ? up(branch) : branch.data(), 5, dim);
                  if (!fused) return ops.norm(*ops.device, args);
                  std::vector<float> y(static_cast<size_t>(5 * dim));
                  args.y = Matrix(on_device ? up(y) : y.data(), 5, dim);
                  ops.add_norm(*ops.device, added, x, args);
                  ops.add(*ops.device, args.y, x);  // both results in one
                });
      }
    }
  }
}

TEST_F(CudaOp, Rope) {
  for (const int64_t rows : {4, 1100}) {
    std::vector<int32_t> positions;
    for (int64_t i = 0; i < rows; ++i) positions.push_back(data.integer(0, 8191));
    for (const RopePairing pairing : {RopePairing::half, RopePairing::interleaved}) {
      for (const auto& [dim, rotary] :
           std::initializer_list<Shape>{{64, 64}, {80, 32}, {20, 10}, {8, 0}, {256, 256}}) {
        std::vector<float> frequency;
        for (int64_t i = 0; i < rotary / 2; ++i) {
          frequency.push_back(
              std::pow(10000.0f, -2.0f * static_cast<float>(i) / static_cast<float>(rotary)));
        }
        compare(data.normal(rows * (3 * dim + 5)), rows, 2e-6, cat("rope ", dim, " ", rotary),
                [&](const Ops& ops, Matrix x, bool) {
                  RopeArgs args;
                  args.x = x.slice_cols(2, 3 * dim);
                  args.heads = 3, args.head_dim = dim, args.rotary_dim = rotary;
                  args.positions = positions, args.inverse_frequency = frequency;
                  args.magnitude = 1.25f, args.pairing = pairing;
                  ops.rope(*ops.device, args);
                });
      }
    }
  }
}

TEST_F(CudaOp, RowsMayLieApart) {
  const std::vector<float> weight = data.normal(32), bias = data.normal(48);
  const QuantWeight quant = data.quant_weight(48, 96, {4, 32, false});
  for (const int64_t rows : {1, 6, 20, 200}) {
    compare(data.normal(rows * 400), rows, 2e-3, "slices", [&](const Ops& ops, Matrix x, bool on) {
      Device& d = *ops.device;
      const auto packed = ops.pack_quant(d, quant);
      const Matrix a = x.slice_cols(4, 96), b = x.slice_cols(104, 96), y = x.slice_cols(208, 48);
      NormArgs args;
      args.x = a, args.y = b, args.heads = 3;
      args.weight = on ? up(weight) : weight.data();
      ops.norm(d, args);
      ops.matmul(d, b, *packed, on ? up(bias) : bias.data(), y);
      ops.act_mul(d, Activation::silu, a, b, a);
      ops.add_norm(d, a, b, args);
      d.synchronize();
    });
    buffers.clear();
  }
}

TEST_F(CudaOp, Elementwise) {
  const std::vector<float> other = data.normal(7 * 100);
  for (int kind = 0; kind < 5; ++kind) {
    compare(data.normal(7 * 100, 3), 7, 1e-5, cat("activation ", kind),
            [&](const Ops& ops, Matrix x, bool on_device) {
              std::vector<float> copy = other;
              const Matrix up_(on_device ? up(other) : copy.data(), 7, 100);
              ops.act_mul(*ops.device, static_cast<Activation>(kind), x, up_, x);
              ops.act(*ops.device, static_cast<Activation>(kind), x, x);
              ops.add(*ops.device, up_, x);
              ops.scale(*ops.device, x, 0.7f);
              ops.softcap(*ops.device, x, 2.0f);
              ops.scale_columns(*ops.device, x, up_.data, x);
              ops.clamp(*ops.device, x, 0.8f);
              const std::vector<int32_t> rows = {6, 0, 3};
              const std::vector<float> weights = {0.5f, -2.0f, 0.3f};
              ops.scatter_add(*ops.device, up_.slice_rows(0, 3), rows, weights, x);
              ops.gather(*ops.device, up_, rows, x.slice_rows(1, 3));
            });
  }
}

// Few pairs and many, parts of the keys or not, whole tiles and tails of everything.
const AttentionCase kAttention[] = {
    {9, 3, 64, {{0, 40}}},
    {9, 3, 64, {{700, 1}}},
    {9, 3, 64, {{3, 1}, {300, 2}, {0, 7}, {64, 70}}},
    {32, 32, 128, {{900, 1}}},
    {8, 2, 128, {{0, 300}, {5, 64}}},
    {32, 8, 128, {{3000, 8}, {2999, 1}}},
    {4, 4, 80, {{20, 33}, {1000, 16}}},
    {4, 4, 96, {{77, 65}}},
    {4, 1, 20, {{30, 1}, {5, 90}}},
    {4, 2, 72, {{0, 130}}},
    {8, 1, 256, {{130, 12}, {0, 100}}},
    {8, 4, 256, {{2000, 20}, {2000, 1}}},
    {4, 4, 160, {{9, 50}}},
    {2, 1, 8, {{0, 1}, {0, 5}, {0, 200}}},
    {6, 2, 32, {{90, 10}, {0, 100}, {90, 1}}, false},
    {6, 2, 32, {{500, 1}, {0, 150}, {1000, 60}}, true, 17},
    {6, 2, 48, {{100, 1}, {60, 40}}, true, 0, 30.0f},
    {6, 2, 16, {{100, 1}, {60, 40}}, true, 0, 0, true},
    {6, 3, 96, {{300, 3}, {10, 66}}, true, 64, 50.0f, true},
    {40, 1, 64, {{33, 1}, {9, 40}}},
    // Sequences of one row each.
    {9, 3, 64, {{5, 1}, {70, 1}, {0, 1}, {1300, 1}}},
    {40, 1, 72, {{33, 1}, {9, 1}}},
    {6, 3, 96, {{300, 1}, {10, 1}, {20, 3}, {64, 1}, {0, 1}}, true, 64, 50.0f, true},
    {8, 4, 256, {{2000, 1}, {3, 1}}},
};

// Appends keys and values through the table's own kv_append, then attends; q becomes the result.
void attend(const Ops& ops, const AttentionCase& c, DType dtype, const std::vector<float>& kv,
            Matrix q, const std::vector<float>& slopes) {
  Device& device = *ops.device;
  std::vector<DeviceBuffer> memory;
  const auto on_device = [&](const std::vector<float>& values) {
    memory.emplace_back(device, values.size() * sizeof(float));
    device.upload(memory.back().data(), values.data(), values.size() * sizeof(float));
    return memory.back().as<float>();
  };
  float* source = on_device(kv);
  std::vector<Segment> segments;
  std::vector<float> keys, values;  // of the batch's own rows
  int64_t first = 0;
  const int64_t width = c.kv_heads * c.dim;
  for (const auto& [past, count] : c.segments) {
    const int64_t total = past + count;
    // Beyond what is appended lies what must not be read.
    const std::vector<float> nothing(static_cast<size_t>((total + 3) * width), NAN);
    KvView view{on_device(nothing), on_device(nothing), dtype, (total + 3) * c.dim};
    if (dtype == DType::i8) {
      const std::vector<float> none(static_cast<size_t>((total + 3) * c.kv_heads), NAN);
      view.k_scales = on_device(none), view.v_scales = on_device(none);
    }
    const Segment before{0, past, 0, view};
    ops.kv_append(
        device,
        {{source, past, width}, {source + 1000, past, width}, c.kv_heads, c.dim, {&before, 1}});
    keys.insert(keys.end(), kv.begin() + past * width, kv.begin() + total * width);
    values.insert(values.end(), kv.begin() + 1000 + past * width,
                  kv.begin() + 1000 + total * width);
    segments.push_back({first, count, past, view});
    first += count;
  }
  ops.kv_append(device, {{on_device(keys), first, width},
                         {on_device(values), first, width},
                         c.kv_heads,
                         c.dim,
                         segments});
  AttentionArgs args;
  args.q = q;
  args.out = {on_device(std::vector<float>(static_cast<size_t>(q.rows * q.cols), -9)), q.rows,
              q.cols};
  args.heads = c.heads, args.kv_heads = c.kv_heads, args.head_dim = c.dim;
  args.scale = 1 / std::sqrt(static_cast<float>(c.dim));
  args.softcap = c.softcap, args.window = c.window, args.causal = c.causal;
  args.alibi_slopes = slopes;
  args.segments = segments;
  ops.attention(device, args);
  ops.scale(device, q, 0);
  ops.add(device, args.out, q);
  device.synchronize();
}

TEST_F(CudaOp, Attention) {
  for (const AttentionCase& c : kAttention) {
    int64_t rows = 0, total = 0;
    for (const auto& [past, count] : c.segments) {
      rows += count, total = std::max(total, past + count);
    }
    const std::vector<float> kv = data.normal(total * c.kv_heads * c.dim + 1000);
    std::vector<float> slopes;
    for (int64_t h = 0; c.alibi && h < c.heads; ++h) {
      slopes.push_back(0.1f / static_cast<float>(h + 1));
    }
    for (const DType dtype : {DType::f32, DType::f16, DType::i8}) {
      // Codes that many rows read are decoded to halves.
      compare(data.normal(rows * c.heads * c.dim, 2), rows, dtype == DType::i8 ? 3e-3 : 2e-5,
              cat(c.heads, "/", c.kv_heads, " heads of ", c.dim, " ", dtype_name(dtype), ", past ",
                  c.segments[0].first),
              [&](const Ops& ops, Matrix q, bool) { attend(ops, c, dtype, kv, q, slopes); });
      buffers.clear();
    }
  }
}

TEST_F(CudaOp, ScoresAndArgmax) {
  const int64_t cols = 5000;
  std::vector<float> p = data.normal(3 * cols), q = data.normal(3 * cols);
  p[77] = NAN;  // in row 0
  p[static_cast<size_t>(cols) + 9] = p[static_cast<size_t>(cols) + 4000] = 50;
  const std::vector<int32_t> targets = {1, 4999, 0};
  float *dp = up(p), *dq = up(q);
  int32_t got_top[3], want_top[3];
  cuda.argmax(*device, {dp, 3, cols}, got_top);
  scalar.argmax(*host, {p.data(), 3, cols}, want_top);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(got_top[i], want_top[i]) << i;
  RowScore got[6], want[6];
  double got_kl[3], want_kl[3];
  cuda.score(*device, {dp, 3, cols}, targets, got);
  cuda.score(*device, {dq, 3, cols}, targets, got + 3);
  cuda.divergence(*device, {dp, 3, cols}, {dq, 3, cols}, got, got + 3, got_kl);
  scalar.score(*host, {p.data(), 3, cols}, targets, want);
  scalar.score(*host, {q.data(), 3, cols}, targets, want + 3);
  scalar.divergence(*host, {p.data(), 3, cols}, {q.data(), 3, cols}, want, want + 3, want_kl);
  EXPECT_FALSE(std::isfinite(got[0].nll));
  for (int i = 1; i < 6; ++i) {
    EXPECT_NEAR(got[i].nll, want[i].nll, 1e-5) << i;
    EXPECT_EQ(got[i].top, want[i].top) << i;
  }
  for (int i = 1; i < 3; ++i) EXPECT_NEAR(got_kl[i], want_kl[i], 1e-5) << i;
}

TEST_F(CudaOp, Calibration) {
  const int64_t dim = 300, rows = 70;
  std::vector<float> x = data.normal(rows * dim), h(static_cast<size_t>(dim * dim), 0.5f);
  float *dx = up(x), *dh = up(h);
  cuda.gram(*device, {dx, rows, dim}, dh);
  scalar.gram(*host, {x.data(), rows, dim}, h.data());
  expect_close(down(dh, h.size()), h, dim, 1e-5, "gram");
  std::vector<double> sums(static_cast<size_t>(dim), 2.0), losses(static_cast<size_t>(rows));
  double *dsums = up(sums), *dlosses = up(losses);
  cuda.abs_sum(*device, {dx, rows, dim}, dsums);
  scalar.abs_sum(*host, {x.data(), rows, dim}, sums.data());
  cuda.quadratic_form(*device, {dx, rows, dim}, up(h), dlosses);
  scalar.quadratic_form(*host, {x.data(), rows, dim}, h.data(), losses.data());
  const std::vector<double> got_sums = down(dsums, sums.size());
  const std::vector<double> got_losses = down(dlosses, losses.size());
  for (size_t i = 0; i < sums.size(); ++i) EXPECT_NEAR(got_sums[i], sums[i], 1e-4 * sums[i]);
  for (size_t i = 0; i < losses.size(); ++i) {
    EXPECT_NEAR(got_losses[i], losses[i], 1e-4 * losses[i]);
  }
}

TEST_F(CudaOp, MemoryThatIsNotThereIsSaid) {
  auto small = make_cuda_device(0, 1 << 20);
  ASSERT_TRUE(small.ok());
  try {
    (*small)->allocate(2 << 20);
    FAIL() << "2 MiB within a limit of 1 MiB";
  } catch (const DeviceMemoryError& error) {
    EXPECT_NE(std::string(error.what()).find("2.0 MiB asked"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace awq
