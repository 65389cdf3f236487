#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cpu.h"
#include "model/test_model.h"

namespace awq {
namespace {

TEST(Protocol, WikitextRowsAreJoinedAsTheDataSetDoes) {
  // Rows: "", "a\n", "", "b\n" joined with "\n\n".
  EXPECT_EQ(join_wikitext_rows(" \na\n\nb\n"), "\n\na\n\n\n\n\nb\n");
  EXPECT_EQ(join_wikitext_rows(""), "");
  EXPECT_EQ(join_wikitext_rows("no newline"), "no newline");
}

TEST(Windows, DropTheRemainderUnlessItIsAll) {
  const std::vector<TokenId> tokens(10, 1);
  EXPECT_EQ(cut_windows(tokens, 4, 0)->count, 2);
  EXPECT_EQ(cut_windows(tokens, 4, 1)->count, 1);
  EXPECT_EQ(cut_windows(tokens, 100, 0)->window, 10);
  EXPECT_FALSE(cut_windows({1}, 4, 0).ok());
  EXPECT_FALSE(cut_windows({}, 4, 0).ok());
}

struct Fixture {
  std::unique_ptr<Device> device = make_cpu_device(2);
  Arch arch = test_arch({});
  Model model = test_model(arch, *make_cpu_ops(*device));
  Engine engine{model};
  Windows windows;

  Fixture() {
    std::vector<TokenId> tokens;
    for (int32_t i = 0; i < 100; ++i) tokens.push_back((i * i * 7 + 3) % 64);
    windows = *cut_windows(tokens, 40, 0);
  }
};

TEST(Perplexity, EqualsTheDirectComputation) {
  Fixture f;
  const auto result = measure_perplexity(f.engine, f.windows);
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->windows, 2);
  double mean = 0;
  for (int64_t w = 0; w < 2; ++w) {
    KvCache cache(*f.device, f.arch, 40, DType::f32);
    double nll = 0;
    for (size_t i = 0; i + 1 < 40; ++i) {
      const Feed feed{&cache, f.windows[w].subspan(i, 1)};
      const Matrix logits = f.engine.logits(f.engine.forward({&feed, 1}));
      double sum = 0;
      for (int64_t v = 0; v < 64; ++v) sum += std::exp(double{logits.data[v]});
      nll += std::log(sum) - logits.data[f.windows[w][i + 1]];
    }
    EXPECT_NEAR(result->nll_per_window[static_cast<size_t>(w)], nll / 39, 1e-5);
    mean += nll / 39 / 2;
  }
  EXPECT_NEAR(result->ppl, std::exp(mean), 1e-4 * std::exp(mean));
  EXPECT_GT(result->ppl_stderr, 0);
}

TEST(Compare, AModelIsNoDistanceFromItself) {
  Fixture f;
  Engine other(f.model);
  const auto result = compare_models(f.engine, other, f.windows);
  ASSERT_TRUE(result.ok());
  EXPECT_LT(result->kl_max, 1e-9);
  EXPECT_EQ(result->top1_agreement, 1);
  EXPECT_EQ(result->model.ppl, result->reference.ppl);
  EXPECT_EQ(result->model.ppl, measure_perplexity(f.engine, f.windows)->ppl);
}

TEST(Compare, DifferentModelsHaveAPositiveKl) {
  Fixture f;
  Model changed = test_model(f.arch, *make_cpu_ops(*f.device));
  changed.blocks[0] = pack_block(f.arch, test_block(f.arch, 77), changed.ops);
  Engine other(changed);
  const auto result = compare_models(f.engine, other, f.windows);
  ASSERT_TRUE(result.ok());
  EXPECT_GT(result->kl_mean, 0.01);
  EXPECT_GE(result->kl_max, result->kl_p99);
  EXPECT_LT(result->top1_agreement, 1);
}

TEST(Perplexity, RefusesIdsTheModelDoesNotHave) {
  Fixture f;
  f.windows.tokens[3] = 64;
  EXPECT_FALSE(measure_perplexity(f.engine, f.windows).ok());
}

}  // namespace
}  // namespace awq
