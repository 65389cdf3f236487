// Speculative decoding: whatever the guesses, the same tokens come out.
#include "runtime/draft.h"

#include <gtest/gtest.h>

#include <cstring>

#include "kernels/cpu.h"
#include "runtime/generate.h"
#include "runtime/shaped_model.h"

namespace awq {
namespace {

TEST(NgramDrafter, SaysWhatFollowedTheLongestRepeatedEnd) {
  NgramDrafter drafter;
  const auto guess = [&](std::vector<int32_t> history, int64_t most) {
    const auto guesses = drafter.guess(history, most);
    return std::vector<int32_t>(guesses.begin(), guesses.end());
  };
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(guess({1, 2, 3, 4, 9, 1, 2}, 3), (Ids{3, 4, 9}));
  EXPECT_EQ(guess({1, 2, 3, 1, 2, 4, 1, 2}, 1), (Ids{4})) << "the last place counts";
  EXPECT_EQ(guess({7, 1, 2, 3, 1, 2, 4, 7, 1, 2}, 1), (Ids{3})) << "the longer end counts more";
  EXPECT_EQ(guess({5, 5, 5}, 7), (Ids{5}));
  EXPECT_EQ(guess({1, 2, 3, 4}, 7), Ids{});
  EXPECT_EQ(guess({1}, 7), Ids{});
  EXPECT_EQ(guess({1, 1}, 7), Ids{});
}

// Says what it was told to, right or wrong.
class Told : public Drafter {
 public:
  Told(std::vector<int32_t> truth, int32_t wrong_each, int32_t vocab)
      : truth_(std::move(truth)), wrong_each_(wrong_each), vocab_(vocab) {}
  std::span<const int32_t> guess(std::span<const int32_t> history, int64_t most) override {
    EXPECT_GE(most, 1);
    EXPECT_LE(most, kMostGuesses);
    guesses_.clear();
    for (size_t at = history.size(); at < truth_.size() && most-- > 0; ++at) {
      const bool wrong = wrong_each_ > 0 && ++asked_ % wrong_each_ == 0;
      guesses_.push_back(wrong ? (truth_[at] + 1) % vocab_ : truth_[at]);
    }
    return guesses_;
  }

 private:
  std::vector<int32_t> truth_, guesses_;
  int32_t wrong_each_, vocab_, asked_ = 0;
};

struct Fixture {
  DecoderShape shape{"smol", {2, 160, 4, 2, 40, 200, 90, 256}, 32, DType::u8};
  std::unique_ptr<Device> device = make_cpu_device(2);
  Model model = shaped_model(shape, *make_cpu_ops(*device));
  Engine engine{model};
  std::vector<int32_t> prompt = {3, 14, 15, 9, 26, 5, 3, 14};

  struct Outcome {
    std::vector<int32_t> ids;
    std::vector<double> logprobs;
    FinishReason reason;
    int64_t cached, passes;
    bool operator==(const Outcome& other) const {
      return ids == other.ids && logprobs == other.logprobs && reason == other.reason &&
             cached == other.cached;
    }
  };
  Outcome run(GenerateOptions options, Drafter* drafter, int64_t capacity, DType kv) {
    KvCache cache(*device, model.arch, capacity, kv);
    options.drafter = drafter;
    options.guesses = kMostGuesses;
    options.logprobs = 1;
    const auto done = generate(engine, cache, prompt, options);
    Outcome outcome = {{}, {}, done->finish_reason, cache.length(), done->decode_passes};
    for (const GeneratedToken& token : done->tokens) {
      outcome.ids.push_back(token.id);
      outcome.logprobs.push_back(token.logprob);
    }
    EXPECT_EQ(done->decode_tokens, static_cast<int64_t>(outcome.ids.size()) - 1 +
                                       (done->finish_reason == FinishReason::stop ? 1 : 0));
    EXPECT_LE(done->accepted, done->guessed);
    return outcome;
  }
};

TEST(Speculation, SameTokensWhateverIsGuessed) {
  Fixture f;
  NgramDrafter ngrams;
  const Model other = shaped_model({"draft", {1, 96, 2, 1, 48, 104, 90, 256}, 32, DType::f16},
                                   f.model.ops);
  Engine other_engine(other), same_engine(f.model);
  for (const DType kv : {DType::f16, DType::i8}) {
    ModelDrafter small(other_engine, 200, kv), same(same_engine, 200, kv);
    for (const double temperature : {0.0, 1.0}) {
      GenerateOptions options;
      options.max_tokens = 60;
      options.sampler.temperature = temperature;
      options.sampler.seed = 3;
      const auto plain = f.run(options, nullptr, 128, kv);
      EXPECT_EQ(plain.passes, 59);
      std::vector<int32_t> truth = f.prompt;
      truth.insert(truth.end(), plain.ids.begin(), plain.ids.end());
      Told right(truth, 0, 90), mixed(truth, 3, 90), wrong(truth, 1, 90);
      for (Drafter* drafter : std::initializer_list<Drafter*>{&ngrams, &small, &same, &right, &mixed,
                                                              &wrong}) {
        EXPECT_EQ(f.run(options, drafter, 128, kv), plain);
        EXPECT_EQ(f.run(options, drafter, 33, kv), f.run(options, nullptr, 33, kv));
        GenerateOptions stopped = options;
        stopped.stop_ids = {plain.ids[20]};
        EXPECT_EQ(f.run(stopped, drafter, 128, kv), f.run(stopped, nullptr, 128, kv));
      }
      EXPECT_LE(f.run(options, &right, 128, kv).passes, 60 / kMostGuesses + 4);
      EXPECT_EQ(f.run(options, &wrong, 128, kv).passes, 59);
      if (temperature == 0) {
        EXPECT_LT(f.run(options, &same, 128, kv).passes, 15);
      }
    }
  }
}

// What makes the above exact: rows of a pass have the bits that they have alone.
TEST(Speculation, ARowOfAPassHasTheBitsOfADecodedToken) {
  Fixture f;
  for (const DType kv : {DType::f32, DType::f16, DType::i8}) {
    KvCache single(*f.device, f.model.arch, 64, kv), together(*f.device, f.model.arch, 64, kv);
    f.engine.prefill(single, f.prompt);
    f.engine.prefill(together, f.prompt);
    const std::vector<int32_t> rows = {1, 44, 7, 60, 2, 89, 0, 33};
    ASSERT_EQ(static_cast<int64_t>(rows.size()), kMostGuesses + 1);
    const Feed feed{&together, rows};
    const Matrix all = f.engine.logits(f.engine.forward({&feed, 1}));
    std::vector<float> want(all.data, all.data + all.rows * all.cols);
    for (size_t i = 0; i < rows.size(); ++i) {
      const Matrix one = f.engine.decode(single, rows[i]);
      EXPECT_EQ(std::memcmp(one.data, &want[i * 90], 90 * sizeof(float)), 0) << i;
    }
  }
}

}  // namespace
}  // namespace awq
