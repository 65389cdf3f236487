// Heads and positions: every table against the scalar oracle.
#include <gtest/gtest.h>

#include <cstring>

#include "kernels/op_test_data.h"

namespace awq {
namespace {

const AttentionCase kCases[] = {
    {9, 3, 64, {{0, 40}}},
    {9, 3, 64, {{700, 1}}},
    {9, 3, 64, {{3, 1}, {300, 2}, {0, 7}, {64, 70}}},
    {4, 4, 80, {{10, 1}, {20, 33}}},
    {4, 1, 20, {{30, 1}, {5, 90}}},
    {2, 1, 8, {{0, 1}, {0, 5}}},
    {8, 1, 128, {{257, 1}, {130, 12}}},
    {6, 2, 32, {{0, 100}, {90, 1}}, false},
    {6, 2, 32, {{500, 1}, {0, 150}, {100, 30}}, true, 17},
    {6, 2, 48, {{100, 1}, {60, 20}}, true, 0, 30.0f},
    {6, 2, 16, {{100, 1}, {60, 20}}, true, 0, 0, true},
    {6, 3, 96, {{300, 3}, {10, 66}}, true, 64, 50.0f, true},
    {40, 1, 64, {{33, 1}, {9, 40}}},
    {2, 1, 600, {{20, 1}, {3, 9}}},
};

class AttentionOp : public testing::Test {
 protected:
  std::unique_ptr<Device> device = make_cpu_device(2);
  Ops scalar = make_cpu_ops(*device, "scalar").value();
  TestData data{5};

  // Appends keys and values through the table's own kv_append, then attends.
  std::vector<float> run(const Ops& ops, const AttentionCase& c, DType dtype, const std::vector<float>& kv,
                         std::vector<float> q, int64_t rows) {
    std::vector<std::vector<std::byte>> memory;
    std::vector<Segment> segments;
    int64_t first = 0;
    for (const auto& [past, count] : c.segments) {
      const int64_t total = past + count, width = c.kv_heads * c.dim;
      const auto bytes = static_cast<size_t>((total + 3) * width * 4);
      memory.emplace_back(bytes);
      memory.emplace_back(bytes);
      KvView view{memory[memory.size() - 2].data(), memory.back().data(), dtype,
                  (total + 3) * c.dim};
      if (dtype == DType::i8) {
        for (float** scales : {&view.k_scales, &view.v_scales}) {
          memory.emplace_back(static_cast<size_t>((total + 3) * c.kv_heads * 4));
          *scales = reinterpret_cast<float*>(memory.back().data());
        }
      }
      Matrix k(const_cast<float*>(kv.data()), total, width);
      Matrix v(const_cast<float*>(kv.data()) + 1000, total, width);
      const Segment all[] = {{0, total, 0, view}};
      ops.kv_append(*ops.device, {k, v, c.kv_heads, c.dim, all});
      segments.push_back({first, count, past, view});
      first += count;
    }
    std::vector<float> slopes;
    for (int64_t h = 0; h < c.heads; ++h) slopes.push_back(0.1f / static_cast<float>(h + 1));
    std::vector<float> out(q.size(), -9);
    AttentionArgs args;
    args.q = {q.data(), rows, c.heads * c.dim};
    args.out = {out.data(), rows, c.heads * c.dim};
    args.heads = c.heads, args.kv_heads = c.kv_heads, args.head_dim = c.dim;
    args.scale = 1 / std::sqrt(static_cast<float>(c.dim));
    args.softcap = c.softcap, args.window = c.window, args.causal = c.causal;
    if (c.alibi) args.alibi_slopes = slopes;
    args.segments = segments;
    ops.attention(*ops.device, args);
    return out;
  }
};

TEST_F(AttentionOp, EqualsScalar) {
  for (const AttentionCase& c : kCases) {
    int64_t rows = 0, total = 0;
    for (const auto& [past, count] : c.segments) rows += count, total = std::max(total, past + count);
    const std::vector<float> kv = data.normal(total * c.kv_heads * c.dim + 1000);
    const std::vector<float> q = data.normal(rows * c.heads * c.dim, 2);
    for (const DType dtype : {DType::f32, DType::f16, DType::i8}) {
      const std::vector<float> want = run(scalar, c, dtype, kv, q, rows);
      for (const Ops& ops : fast_tables(*device)) {
        const std::vector<float> got = run(ops, c, dtype, kv, q, rows);
        for (int64_t t = 0; t < rows; ++t) {
          const auto at = static_cast<size_t>(t * c.heads * c.dim);
          // Queries meet codes as 16-bit integers.
          const double bound = dtype == DType::i8 ? 1e-4 : 2e-5;
          ASSERT_LE(row_error(&got[at], &want[at], c.heads * c.dim), bound)
              << ops.name << " " << dtype_name(dtype) << " heads " << c.heads << " dim " << c.dim
              << " row " << t;
        }
      }
    }
  }
}

TEST_F(AttentionOp, SameBitsForAnyThreads) {
  const AttentionCase c = {9, 3, 64, {{2000, 1}, {0, 130}, {77, 3}}};
  const std::vector<float> kv = data.normal(2001 * 192 + 1000), q = data.normal(134 * 576);
  const auto one = make_cpu_device(1), three = make_cpu_device(3);
  const auto first = fast_tables(*one), second = fast_tables(*device), third = fast_tables(*three);
  for (size_t i = 0; i < first.size(); ++i) {
    const std::vector<float> want = run(first[i], c, DType::f16, kv, q, 134);
    EXPECT_EQ(want, run(second[i], c, DType::f16, kv, q, 134)) << first[i].name;
    EXPECT_EQ(want, run(third[i], c, DType::f16, kv, q, 134)) << first[i].name;
  }
}

TEST_F(AttentionOp, HalvesRoundToNearestEven) {
  std::vector<float> x = {0, -0.0f, 1, 65504, 65519, 65520, 1e-8f, 6e-8f, 1.0009765f, -2.0004883f,
                          INFINITY, 3.14159f, 5.9604645e-8f, 0.333333f, 1e-5f, -77.77f, 12};
  const auto dim = static_cast<int64_t>(x.size());
  for (const Ops& ops : fast_tables(*device)) {
    std::vector<uint16_t> k(x.size()), v(x.size());
    const Segment segment[] = {{0, 1, 0, {k.data(), v.data(), DType::f16, dim}}};
    ops.kv_append(*device, {{x.data(), 1, dim}, {x.data(), 1, dim}, 1, dim, segment});
    for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(k[i], float_to_half(x[i])) << ops.name << x[i];
    EXPECT_EQ(k, v);
  }
}

// The cache of every table holds the same bits as the scalar one's, whatever the values.
TEST_F(AttentionOp, CodesOfACacheAreThoseOfTheScalarTable) {
  const float inf = INFINITY, nan = NAN;
  for (const int64_t dim : {1, 7, 16, 64, 80}) {
    for (const float size : {1.0f, 1e-3f, 3e4f, 1e-29f, 1e-31f, 0.0f, 1e38f, inf, -inf, nan}) {
      std::vector<float> x = data.normal(2 * dim);
      const float most = std::isfinite(size) ? size : 1;
      for (float& value : x) value *= most / 4;
      if (!std::isfinite(size)) x[static_cast<size_t>(dim) - 1] = size;
      const auto cache = [&](const Ops& ops) {
        std::vector<int8_t> codes(static_cast<size_t>(4 * dim), 77);
        std::vector<float> scales(4, -1);
        const Segment segment[] = {
            {0, 1, 1, {codes.data(), codes.data() + 2 * dim, DType::i8, 2 * dim, scales.data(),
                       scales.data() + 2}}};
        ops.kv_append(*ops.device, {{x.data(), 1, dim}, {x.data() + dim, 1, dim}, 1, dim, segment});
        std::vector<uint32_t> bits(4);
        for (size_t i = 0; i < 4; ++i) {
          std::memcpy(&bits[i], &scales[i], 4);
          if (std::isnan(scales[i])) bits[i] = 0x7FC00000;
        }
        return std::pair(codes, bits);
      };
      const auto want = cache(scalar);
      EXPECT_EQ(want.first[0], 77);  // the position before is left alone
      for (const Ops& ops : fast_tables(*device)) EXPECT_EQ(cache(ops), want) << ops.name << size;
    }
  }
}

TEST_F(AttentionOp, Rope) {
  for (const RopePairing pairing : {RopePairing::half, RopePairing::interleaved}) {
    for (const auto& [dim, rotary] : {std::pair<int64_t, int64_t>{64, 64}, {80, 32}, {20, 10}, {8, 0}}) {
      const int64_t heads = 3, rows = 5;
      std::vector<float> frequency;
      for (int64_t i = 0; i < rotary / 2; ++i) {
        frequency.push_back(std::pow(10000.0f, -2.0f * static_cast<float>(i) / static_cast<float>(rotary)));
      }
      const std::vector<int32_t> positions = {0, 1, 77, 2047, 8191};
      const std::vector<float> x = data.normal(rows * heads * dim);
      const auto apply = [&](const Ops& ops) {
        std::vector<float> y = x;
        RopeArgs args;
        args.x = {y.data(), rows, heads * dim};
        args.heads = heads, args.head_dim = dim, args.rotary_dim = rotary;
        args.positions = positions, args.inverse_frequency = frequency;
        args.magnitude = 1.25f, args.pairing = pairing;
        ops.rope(*device, args);
        return y;
      };
      const std::vector<float> want = apply(scalar);
      for (const Ops& ops : fast_tables(*device)) {
        const std::vector<float> got = apply(ops);
        EXPECT_LE(row_error(got.data(), want.data(), rows * heads * dim), 1e-6) << ops.name;
      }
    }
  }
}

}  // namespace
}  // namespace awq
