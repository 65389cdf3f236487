#include "runtime/engine.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cpu.h"
#include "model/test_model.h"
#include "runtime/corpus.h"
#include "runtime/generate.h"

namespace awq {
namespace {

std::vector<int32_t> some_ids(size_t count) {
  std::vector<int32_t> ids(count);
  for (size_t i = 0; i < count; ++i) ids[i] = static_cast<int32_t>((i * 29 + 3) % 64);
  return ids;
}

std::vector<float> last_logits(Engine& engine, Matrix hidden) {
  const Matrix logits = engine.logits(hidden.slice_rows(hidden.rows - 1, 1));
  return {logits.data, logits.data + logits.cols};
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, static_cast<double>(std::fabs(a[i] - b[i])));
  }
  return largest;
}

class EngineTest : public testing::TestWithParam<DType> {
 protected:
  std::unique_ptr<Device> device_ = make_cpu_device(2);
  Arch arch_ = test_arch({.kv_heads = 2});
  Model model_ = test_model(arch_, *make_cpu_ops(*device_));
};

TEST_P(EngineTest, TokenByTokenEqualsAllAtOnceEqualsChunks) {
  const std::vector<int32_t> ids = some_ids(37);
  Engine engine(model_);
  KvCache whole(*device_, arch_, 64, GetParam()), single(*device_, arch_, 64, GetParam()),
      chunked(*device_, arch_, 64, GetParam());
  const Feed all{&whole, ids};
  const std::vector<float> at_once = last_logits(engine, engine.forward({&all, 1}));
  std::vector<float> by_token, by_chunk;
  for (const int32_t& id : ids) {
    const Feed feed{&single, {&id, 1}};
    by_token = last_logits(engine, engine.forward({&feed, 1}));
  }
  for (size_t begin = 0; begin < ids.size(); begin += 10) {
    const Feed feed{&chunked, std::span(ids).subspan(begin, std::min<size_t>(10, ids.size() - begin))};
    by_chunk = last_logits(engine, engine.forward({&feed, 1}));
  }
  const double bound = GetParam() == DType::f32 ? 2e-5 : 2e-3;
  EXPECT_LT(largest_difference(at_once, by_token), bound);
  EXPECT_LT(largest_difference(at_once, by_chunk), bound);
  EXPECT_EQ(single.length(), 37);
}

TEST_P(EngineTest, SequencesOfABatchDoNotSeeEachOther) {
  const std::vector<int32_t> ids = some_ids(40), a(ids.begin(), ids.begin() + 20),
                             b(ids.begin() + 25, ids.end());
  Engine engine(model_);
  KvCache alone(*device_, arch_, 64, GetParam()), first(*device_, arch_, 64, GetParam()),
      second(*device_, arch_, 64, GetParam());
  const Feed only{&alone, b};
  const std::vector<float> expected = last_logits(engine, engine.forward({&only, 1}));
  const Feed feeds[] = {{&first, a}, {&second, b}};
  const std::vector<float> together = last_logits(engine, engine.forward(feeds));
  EXPECT_LT(largest_difference(expected, together), 1e-4);
}

TEST_P(EngineTest, TruncatedCacheContinuesAsIfTheRestHadNotBeen) {
  const std::vector<int32_t> ids = some_ids(12);
  Engine engine(model_);
  KvCache cache(*device_, arch_, 64, GetParam());
  const std::vector<float> expected = last_logits(engine, engine.prefill(cache, ids));
  engine.prefill(cache, some_ids(5));
  cache.truncate(8);
  const std::vector<float> again =
      last_logits(engine, engine.prefill(cache, std::span(ids).subspan(8)));
  EXPECT_LT(largest_difference(expected, again), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(KvTypes, EngineTest, testing::Values(DType::f32, DType::f16, DType::i8));

struct GenerateFixture {
  std::unique_ptr<Device> device = make_cpu_device(1);
  Model model = test_model(test_arch({}), *make_cpu_ops(*device));
  Engine engine{model};

  Result<Generation> run(const std::vector<int32_t>& prompt, const GenerateOptions& options,
                         int64_t capacity = 64) {
    KvCache cache(*device, model.arch, capacity, DType::f32);
    return generate(engine, cache, prompt, options);
  }
};

TEST(Generate, GreedyRepeatsAndSeedsDecide) {
  GenerateFixture f;
  GenerateOptions options;
  options.max_tokens = 12;
  const auto ids = [&] {
    std::vector<int32_t> list;
    const auto generation = f.run({1, 2, 3}, options);
    for (const GeneratedToken& token : generation->tokens) list.push_back(token.id);
    return list;
  };
  const auto greedy = ids();
  EXPECT_EQ(greedy.size(), 12u);
  EXPECT_EQ(greedy, ids());
  options.sampler.temperature = 1;
  options.sampler.seed = 1;
  const auto one = ids();
  EXPECT_EQ(one, ids());
  options.sampler.seed = 2;
  EXPECT_NE(one, ids());
}

TEST(Generate, StopsAtStopIdsAndAtTheEndOfTheCache) {
  GenerateFixture f;
  GenerateOptions options;
  options.max_tokens = 30;
  const auto free = f.run({1, 2, 3}, options);
  ASSERT_TRUE(free.ok());
  options.stop_ids = {free->tokens[4].id};
  const auto stopped = f.run({1, 2, 3}, options);
  EXPECT_EQ(stopped->finish_reason, FinishReason::stop);
  EXPECT_LE(stopped->tokens.size(), 4u);
  options.stop_ids = {};
  const auto full = f.run({1, 2, 3}, options, 10);
  EXPECT_EQ(full->finish_reason, FinishReason::length);
  EXPECT_EQ(full->tokens.size(), 8u);  // 7 more positions, and the token after the last
}

TEST(Generate, RefusesBadPrompts) {
  GenerateFixture f;
  EXPECT_EQ(f.run({}, {}).error().kind, ErrorKind::usage);
  EXPECT_EQ(f.run({64}, {}).error().kind, ErrorKind::bad_input);
  EXPECT_EQ(f.run({-1}, {}).error().kind, ErrorKind::bad_input);
  EXPECT_EQ(f.run(std::vector<int32_t>(65, 1), {}).error().kind, ErrorKind::usage);
}

TEST(Generate, LogprobsAreOfTheModel) {
  GenerateFixture f;
  GenerateOptions options;
  options.max_tokens = 3;
  options.logprobs = 64;
  const auto generation = f.run({1, 2}, options);
  for (const GeneratedToken& token : generation->tokens) {
    double sum = 0;
    for (const TokenProbability& other : token.top) sum += std::exp(other.logprob);
    EXPECT_NEAR(sum, 1, 1e-6);
    EXPECT_EQ(token.top.front().id, token.id);  // greedy
    EXPECT_DOUBLE_EQ(token.top.front().logprob, token.logprob);
  }
}

TEST(Corpus, HasExactlyTheTokensAskedForAndDependsOnTheSeed) {
  GenerateFixture f;
  CorpusOptions options;
  options.tokens = 333;
  options.document = 20;
  options.parallel = 4;
  options.seed = 5;
  const auto corpus = sample_corpus(f.engine, 1, {2}, options);
  ASSERT_TRUE(corpus.ok());
  EXPECT_EQ(corpus->size(), 333u);
  EXPECT_EQ(corpus->front(), 1);
  EXPECT_EQ(*corpus, *sample_corpus(f.engine, 1, {2}, options));
  options.seed = 6;
  EXPECT_NE(*corpus, *sample_corpus(f.engine, 1, {2}, options));
  EXPECT_FALSE(sample_corpus(f.engine, 64, {}, options).ok());
}

}  // namespace
}  // namespace awq
