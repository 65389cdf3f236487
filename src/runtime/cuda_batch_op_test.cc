// Planned passes over batches and prompts against the walk over the ops; skipped without a device.
#include <gtest/gtest.h>

#include <cmath>
#include <deque>

#include "runtime/cuda_plan_test.h"

namespace awq {
namespace {

class CudaBatch : public CudaPlanTest, public testing::WithParamInterface<DecoderShape> {
 protected:
  // Sequence i has its own prompt of i % 7 * 9 + 1 tokens.
  static std::vector<int32_t> prompt_of(int64_t i, int64_t count, int64_t vocab) {
    std::vector<int32_t> ids;
    for (int64_t t = 0; t < count; ++t) {
      ids.push_back(static_cast<int32_t>((i * 131 + t * 29 + 7) % vocab));
    }
    return ids;
  }
  std::deque<KvCache> caches(const Model& model, int64_t count, int64_t capacity,
                             DType dtype = DType::f16) {
    std::deque<KvCache> made;
    for (int64_t i = 0; i < count; ++i) {
      made.emplace_back(*device, model.arch, capacity, dtype);
    }
    return made;
  }
  static std::vector<KvCache*> pointers(std::deque<KvCache>& caches) {
    std::vector<KvCache*> all;
    for (KvCache& cache : caches) all.push_back(&cache);
    return all;
  }
  static double tolerance() { return GetParam().bits == 16 ? 8e-3 : 4e-3; }
};

TEST_P(CudaBatch, StepsEqualTheWalk) {
  const Model model = shaped_model(GetParam(), cuda);
  Engine engine(model), walker(model);
  const int64_t vocab = model.arch.sizes.vocab;
  for (const int64_t count : {2, 5, 8, 9, 20, 33, 100}) {
    auto planned = caches(model, count, 80), walked = caches(model, count, 80);
    ASSERT_FALSE(engine.batch_plan_name(planned[0]).empty());
    std::vector<Feed> feeds;
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<size_t>(i);
      const auto prompt = prompt_of(i, i % 7 * 9 + 1, vocab);
      engine.prefill(planned[at], prompt);
      const Feed feed{&walked[at], prompt};
      walker.forward({&feed, 1});
      tokens.push_back(static_cast<int32_t>(i * 17 % vocab));
    }
    const auto all = pointers(planned);
    for (int step = 0; step < 3; ++step) {
      feeds.clear();
      for (size_t i = 0; i < tokens.size(); ++i) feeds.push_back({&walked[i], {&tokens[i], 1}});
      const auto want = copy(walker, walker.logits(walker.forward(feeds)));
      const auto got = copy(engine, engine.decode(all, tokens));
      ASSERT_LT(error(got, want), tolerance()) << count << " sequences, step " << step;
      for (int32_t& token : tokens) token = static_cast<int32_t>((token * 5 + 3) % vocab);
    }
  }
}

TEST_P(CudaBatch, PromptsEqualTheWalk) {
  const Model model = shaped_model(GetParam(), cuda);
  Engine engine(model), walker(model);
  for (const int64_t count : {1, 4, 30, 300, 1100}) {
    auto planned = caches(model, 1, 2300), walked = caches(model, 1, 2300);
    for (int round = 0; round < 2; ++round) {  // the second behind the first
      const auto prompt = prompt_of(round, count, model.arch.sizes.vocab);
      const Feed feed{&walked[0], prompt};
      const Matrix last = walker.forward({&feed, 1});
      const auto want = copy(walker, walker.logits(last.slice_rows(last.rows - 1, 1)));
      const auto got = copy(engine, engine.logits(engine.prefill(planned[0], prompt)));
      ASSERT_LT(error(got, want), tolerance()) << count << " tokens, round " << round;
    }
    ASSERT_EQ(planned[0].length(), walked[0].length());
  }
}

// Long contexts: the keys are split, and sequences of very different lengths stand side by side.
TEST_P(CudaBatch, LongContextsEqualTheWalk) {
  const Model model = shaped_model(GetParam(), cuda);
  Engine engine(model), walker(model);
  auto planned = caches(model, 3, 2300), walked = caches(model, 3, 2300);
  for (size_t i = 0; i < 3; ++i) {
    const auto prompt = prompt_of(static_cast<int64_t>(i), i == 0 ? 3 : i == 1 ? 700 : 2200,
                                  model.arch.sizes.vocab);
    engine.prefill(planned[i], prompt);
    walker.prefill(walked[i], prompt);
  }
  std::vector<int32_t> tokens = {1, 2, 3};
  std::vector<Feed> feeds;
  for (size_t i = 0; i < 3; ++i) feeds.push_back({&walked[i], {&tokens[i], 1}});
  for (int step = 0; step < 3; ++step) {
    const auto want = copy(walker, walker.logits(walker.forward(feeds)));
    const auto got = copy(engine, engine.decode(pointers(planned), tokens));
    ASSERT_LT(error(got, want), tolerance()) << step;
  }
}

// A code is off by half a step at most where values differ in their last bits: looser than halves.
TEST_P(CudaBatch, CodesOfKeysAndValuesEqualTheWalk) {
  const Model model = shaped_model(GetParam(), cuda);
  Engine engine(model), walker(model);
  constexpr double kTolerance = 2e-2;
  for (const int64_t count : {1, 3, 20}) {
    auto planned = caches(model, count, 700, DType::i8), walked = caches(model, count, 700, DType::i8);
    std::vector<int32_t> tokens;
    std::vector<Feed> feeds;
    for (int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<size_t>(i);
      const auto prompt = prompt_of(i, i == 0 ? 600 : i + 3, model.arch.sizes.vocab);
      const Feed feed{&walked[at], prompt};
      const Matrix rows = walker.forward({&feed, 1});
      const auto want = copy(walker, walker.logits(rows.slice_rows(rows.rows - 1, 1)));
      const auto got = copy(engine, engine.logits(engine.prefill(planned[at], prompt)));
      ASSERT_LT(error(got, want), kTolerance) << "prompt " << i;
      tokens.push_back(static_cast<int32_t>(i + 5));
    }
    for (size_t i = 0; i < tokens.size(); ++i) feeds.push_back({&walked[i], {&tokens[i], 1}});
    for (int step = 0; step < 3; ++step) {
      const auto want = copy(walker, walker.logits(walker.forward(feeds)));
      const auto got = copy(engine, engine.decode(pointers(planned), tokens));
      ASSERT_LT(error(got, want), kTolerance) << count << " sequences, step " << step;
    }
  }
}

TEST_P(CudaBatch, GreedyEqualsStepByStepAndItself) {
  const Model model = shaped_model(GetParam(), cuda);
  Engine engine(model);
  constexpr int64_t kSequences = 20, kSteps = 300;  // beyond a look of the host and a bucket
  auto one = caches(model, kSequences, kSteps + 1), other = caches(model, kSequences, kSteps + 1);
  std::vector<int32_t> first;
  for (int64_t i = 0; i < kSequences; ++i) first.push_back(static_cast<int32_t>(i + 1));
  std::vector<int32_t> ids(kSequences * kSteps), again(ids.size());
  engine.greedy(pointers(one), first, ids);
  for (KvCache& cache : one) {
    ASSERT_EQ(cache.length(), kSteps);
    cache.truncate(0);
  }
  engine.greedy(pointers(one), first, again);
  ASSERT_EQ(ids, again);
  std::vector<int32_t> token = first, next(first.size());
  for (int64_t step = 0; step < kSteps; ++step) {
    cuda.argmax(*device, engine.decode(pointers(other), token), next.data());
    const auto* want = ids.data() + step * kSequences;
    ASSERT_EQ(next, std::vector<int32_t>(want, want + kSequences)) << step;
    token = next;
  }
}

INSTANTIATE_TEST_SUITE_P(
    , CudaBatch,
    testing::Values(DecoderShape{"smol_g64_bf16_head", {2, 576, 9, 3, 64, 1536, 1000, 4096}, 64,
                                 DType::bf16},
                    DecoderShape{"g32_int4_head", {2, 576, 9, 3, 64, 1536, 1024, 4096}, 32,
                                 DType::u8, RopePairing::interleaved},
                    DecoderShape{"mha_128", {2, 1024, 8, 8, 128, 2816, 1024, 4096}, 128},
                    DecoderShape{"gqa_8", {2, 2048, 16, 2, 128, 5632, 4100, 4096}, 128, DType::u8},
                    DecoderShape{"gqa_2_int3", {2, 1536, 12, 6, 128, 2752, 1024, 4096}, 128,
                                 DType::f16, RopePairing::half, 3},
                    DecoderShape{"f16", {2, 1024, 8, 2, 128, 2816, 1024, 4096}, 128, DType::f16,
                                 RopePairing::half, 16},
                    DecoderShape{"bf16", {2, 576, 9, 3, 64, 1536, 1000, 4096}, 128, DType::bf16,
                                 RopePairing::interleaved, 16},
                    DecoderShape{"llama_2_7b", {2, 4096, 32, 32, 128, 11008, 32000, 4096}, 128}),
    [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace awq
