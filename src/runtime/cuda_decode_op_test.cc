// The planned decode step of the CUDA backend against the walk over the ops; skipped without a
// device.
#include <gtest/gtest.h>

#include <cmath>
#include <deque>

#include "kernels/cpu.h"
#include "kernels/sampling.h"
#include "runtime/cuda_plan_test.h"

namespace awq {
namespace {

class CudaDecode : public CudaPlanTest {
 protected:
  // Logits after each of `count` tokens, by decode() or by the walk.
  static std::vector<std::vector<float>> run(Engine& engine, int64_t count, bool planned) {
    KvCache cache(engine.device(), engine.model().arch, 2 * count, DType::f16);
    EXPECT_EQ(engine.plan_name(cache).empty(), engine.model().ops.plan_decode == nullptr);
    std::vector<std::vector<float>> all;
    for (int64_t i = 0; i < count; ++i) {
      const auto id = static_cast<int32_t>(i * 29 % 64);
      const Feed feed{&cache, {&id, 1}};
      all.push_back(copy(
          engine, planned ? engine.decode(cache, id) : engine.logits(engine.forward({&feed, 1}))));
    }
    EXPECT_EQ(cache.length(), count);
    return all;
  }
};

class CudaDecodeShapes : public CudaDecode, public testing::WithParamInterface<DecoderShape> {
 protected:
  void compare(DType kv, double tolerance);
};

void CudaDecodeShapes::compare(DType kv, double tolerance) {
  const Model model = shaped_model(GetParam(), cuda);
  Engine engine(model), walker(model);
  KvCache planned(*device, model.arch, 2999, kv), walked(*device, model.arch, 2999, kv);
  const auto devices = cuda_devices();
  ASSERT_TRUE(devices.ok());
  EXPECT_EQ(engine.plan_name(planned), devices->front().major >= 9 ? "persistent kernel"
                                       : kv == DType::i8           ? "batch graph"
                                                                   : "CUDA graph");
  const auto id = [&](int64_t i) { return static_cast<int32_t>(i * 31 % model.arch.sizes.vocab); };
  // Positions about the borders of a kernel's runs of keys, of its splits, and deep ones.
  for (const int64_t from : {0, 62, 126, 254, 510, 1000, 2900}) {
    std::vector<int32_t> prompt;
    while (planned.length() + static_cast<int64_t>(prompt.size()) < from) {
      prompt.push_back(id(planned.length() + static_cast<int64_t>(prompt.size())));
    }
    if (!prompt.empty()) {
      engine.prefill(planned, prompt);
      walker.prefill(walked, prompt);
    }
    for (int i = 0; i < 5; ++i) {
      const int32_t token = id(planned.length() + 3);
      const Feed feed{&walked, {&token, 1}};
      const auto want = copy(walker, walker.logits(walker.forward({&feed, 1})));
      const auto got = copy(engine, engine.decode(planned, token));
      ASSERT_LT(error(got, want), tolerance) << "position " << walked.length() - 1;
    }
  }
  // Greedy across launches, against step by step.
  planned.truncate(200);
  std::vector<int32_t> ids(75);
  engine.greedy(planned, 3, ids);
  planned.truncate(200);
  int32_t token = 3;
  for (const int32_t want : ids) {
    cuda.argmax(*device, engine.decode(planned, token), &token);
    ASSERT_EQ(token, want) << planned.length();
  }
}

TEST_P(CudaDecodeShapes, PersistentKernelEqualsTheWalk) {
  // Weights of 16 bits meet activations rounded to halves (11 bits, at each of a layer's matrices),
  // the walk's stay f32; codes meet fixed point of 16 bits.
  compare(DType::f16, GetParam().bits == 16 ? 4e-3 : 2e-3);
}

// A code is off by half a step at most where values differ in their last bits: looser than halves.
TEST_P(CudaDecodeShapes, CodesOfKeysAndValuesEqualTheWalk) { compare(DType::i8, 2e-2); }

INSTANTIATE_TEST_SUITE_P(
    , CudaDecodeShapes,
    testing::Values(
        DecoderShape{"smol_g128", {3, 576, 9, 3, 64, 1536, 1024, 4096}, 128},
        DecoderShape{"smol_g64_bf16_head", {3, 576, 9, 3, 64, 1536, 1000, 4096}, 64, DType::bf16},
        DecoderShape{"smol_g32_int4_head",
               {2, 576, 9, 3, 64, 1536, 1024, 4096},
               32,
               DType::u8,
               RopePairing::interleaved},
        DecoderShape{"mha_128", {3, 1024, 8, 8, 128, 2816, 1024, 4096}, 128},
        DecoderShape{"mha_per_channel", {2, 1024, 8, 8, 128, 2816, 1024, 4096}, 0},
        DecoderShape{"gqa_8_int4_head", {3, 2048, 16, 2, 128, 5632, 4100, 4096}, 128, DType::u8},
        DecoderShape{"gqa_4_g64",
               {3, 1024, 8, 2, 128, 2752, 1024, 4096},
               64,
               DType::f16,
               RopePairing::interleaved},
        DecoderShape{"f16",
                     {3, 1024, 8, 2, 128, 2816, 1024, 4096},
                     128,
                     DType::f16,
                     RopePairing::half,
                     16},
        DecoderShape{"bf16_heads_of_64",
                     {3, 576, 9, 3, 64, 1536, 1000, 4096},
                     128,
                     DType::bf16,
                     RopePairing::interleaved,
                     16},
        DecoderShape{"int2_g128",
                     {2, 1024, 8, 2, 128, 2816, 1024, 4096},
                     128,
                     DType::u8,
                     RopePairing::half,
                     2},
        DecoderShape{"int2_g64",
                     {2, 1536, 12, 4, 128, 2752, 1024, 4096},
                     64,
                     DType::f16,
                     RopePairing::half,
                     2},
        DecoderShape{"int3_g64",
                     {2, 1536, 12, 12, 128, 2752, 1024, 4096},
                     64,
                     DType::u8,
                     RopePairing::half,
                     3},
        DecoderShape{"int3_g128",
                     {2, 4096, 32, 32, 128, 11008, 32000, 4096},
                     128,
                     DType::f16,
                     RopePairing::half,
                     3},
        DecoderShape{"int8_g64",
                     {2, 1536, 12, 2, 128, 2752, 1024, 4096},
                     64,
                     DType::u8,
                     RopePairing::half,
                     8},
        DecoderShape{"int8_g128",
                     {2, 4096, 32, 32, 128, 11008, 32000, 4096},
                     128,
                     DType::bf16,
                     RopePairing::half,
                     8},
        DecoderShape{"int4_g128_int8_head",
                     {2, 1536, 12, 2, 128, 2752, 1000, 4096},
                     128,
                     DType::u8,
                     RopePairing::half,
                     4,
                     8},
        DecoderShape{"int4_g64_int8_head",
                     {2, 4096, 32, 8, 128, 2816, 32000, 4096},
                     64,
                     DType::u8,
                     RopePairing::half,
                     4,
                     8},
        DecoderShape{"int4_g32_heads_of_64_int8_head",
                     {2, 576, 9, 3, 64, 1536, 1024, 4096},
                     32,
                     DType::u8,
                     RopePairing::interleaved,
                     4,
                     8},
        DecoderShape{"llama_3_8b", {2, 4096, 32, 8, 128, 14336, 128256, 4096}, 128},
        DecoderShape{"llama_2_13b", {2, 5120, 40, 40, 128, 13824, 32000, 4096}, 128},
        DecoderShape{"llama_2_70b", {1, 8192, 64, 8, 128, 28672, 32000, 4096}, 128}),
    [](const auto& param) { return std::string(param.param.name); });

TEST_F(CudaDecode, EqualsTheWalkOnTheCpu) {
  const Arch arch = test_arch({.kv_heads = 2});
  const std::unique_ptr<Device> host = make_cpu_device(2);
  const Model here = test_model(arch, *make_cpu_ops(*host)), there = test_model(arch, cuda);
  Engine cpu(here), gpu(there);
  const auto want = run(cpu, 40, false), got = run(gpu, 40, true);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_LT(error(got[i], want[i]), 2e-3) << i;
}

TEST_F(CudaDecode, QuantizedEqualsTheWalkAndItself) {
  for (const int bits : {2, 3, 4, 8, 16}) {
    const auto model = make_synthetic_model({.shape = "llama-2-7b", .bits = bits, .layers = 2}, cuda);
    ASSERT_TRUE(model.ok());
    Engine engine(*model);
    const auto walk = run(engine, 300, false);  // beyond the first bucket of positions
    const auto once = run(engine, 300, true), again = run(engine, 300, true);
    for (size_t i = 0; i < walk.size(); ++i) {
      ASSERT_LT(error(once[i], walk[i]), 2e-3) << bits << " bits, token " << i;
      ASSERT_EQ(once[i], again[i]) << "not the same bits, token " << i;
    }
  }
}

// Tokens drawn on the device, each the input of the next step there, are those that the host draws from
// the logits of single steps; by every plan, and for several sequences.
TEST_F(CudaDecode, DrawnTokensAreTheHosts) {
  const std::unique_ptr<Device> host = make_cpu_device(1);
  SamplerOptions options{0.9, 0, 0.97, 0.001, 1.1};
  for (const DType kv : {DType::f16, DType::i8, DType::f32}) {
    for (const size_t sequences : {size_t{1}, size_t{5}}) {
      const auto model = make_synthetic_model({.shape = "tinyllama-1.1b", .layers = 2}, cuda);
      ASSERT_TRUE(model.ok());
      const int64_t vocab = model->arch.sizes.vocab;
      Engine engine(*model), other(*model);
      std::deque<KvCache> ahead, behind;
      std::vector<KvCache*> all, rest;
      for (size_t i = 0; i < sequences; ++i) {
        all.push_back(&ahead.emplace_back(*device, model->arch, 40, kv));
        rest.push_back(&behind.emplace_back(*device, model->arch, 40, kv));
      }
      std::vector<int32_t> tokens(sequences, 7);
      const std::vector<std::span<const int32_t>> none(sequences);
      const auto draws = cuda.plan_draws(*device, options, vocab, none);
      const auto wanted = plan_host_draws(*host, options, vocab, none);
      const auto randoms = [&](size_t step) {
        std::vector<uint64_t> numbers;
        for (size_t i = 0; i < sequences; ++i) {
          numbers.push_back((step * sequences + i + 1) * 0x9e3779b97f4a7c15u);
        }
        return numbers;
      };
      const auto step_of = [&](Engine& by, std::vector<KvCache*>& caches) {
        return sequences == 1 ? by.decode(*caches[0], tokens[0]) : by.decode(caches, tokens);
      };
      draws->draw(step_of(engine, all), randoms(0));
      for (size_t step = 0; step < 30; ++step) {
        if (step + 1 < 30) draws->draw(engine.decode(all, *draws), randoms(step + 1));
        auto logits = copy(other, step_of(other, rest));
        wanted->draw({logits.data(), static_cast<int64_t>(sequences), vocab}, randoms(step));
        const auto want = wanted->take();
        const auto got = draws->take();
        for (size_t i = 0; i < sequences; ++i) {
          ASSERT_EQ(got[i].id, want[i].id) << dtype_name(kv) << ", step " << step << ", " << i;
          tokens[i] = want[i].id;
        }
      }
    }
  }
}

// Ten thousand tokens: memory does not grow, and the last ids are those of the first round.
TEST_F(CudaDecode, SoakKeepsItsMemory) {
  const auto model = make_synthetic_model({.shape = "llama-2-7b", .layers = 1}, cuda);
  ASSERT_TRUE(model.ok());
  Engine engine(*model);
  KvCache cache(*device, model->arch, 2048, DType::f16);
  std::vector<int32_t> first(2000), ids(2000);
  engine.greedy(cache, 5, first);
  const auto free_bytes = [] {
    const auto devices = cuda_devices(true);
    return devices.ok() ? devices->front().free : uint64_t{0};
  };
  const uint64_t before = free_bytes();
  for (int round = 0; round < 5; ++round) {
    cache.truncate(0);
    engine.greedy(cache, 5, ids);
    ASSERT_EQ(ids, first) << round;
  }
  constexpr uint64_t kOthers = 16 << 20;  // what other programs may take meanwhile
  EXPECT_GE(free_bytes() + kOthers, before);
}

TEST_F(CudaDecode, GreedyEqualsStepByStep) {
  const auto model = make_synthetic_model({.shape = "llama-2-7b", .layers = 2}, cuda);
  ASSERT_TRUE(model.ok());
  Engine engine(*model);
  KvCache one(*device, model->arch, 600, DType::f16), other(*device, model->arch, 600, DType::f16);
  std::vector<int32_t> ids(500);
  engine.greedy(one, 5, ids);
  int32_t token = 5;
  for (const int32_t id : ids) {
    int32_t next = 0;
    cuda.argmax(*device, engine.decode(other, token), &next);
    ASSERT_EQ(next, id) << other.length();
    token = next;
  }
  EXPECT_EQ(one.length(), 500);
}

}  // namespace
}  // namespace awq
