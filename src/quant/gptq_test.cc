// The factor is the factor, GPTQ is better than rounding, and what is wrong with a Hessian is named.
#include "quant/gptq.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/float16.h"
#include "model/test_model.h"
#include "quant/round.h"

namespace awq {
namespace {

// X^T X of correlated activations with loud channels; `tokens` below `width` leave it singular.
std::vector<float> gram_of(int64_t width, int64_t tokens) {
  TestRandom random(3);
  std::vector<float> x = random.values(tokens * width, 1);
  for (int64_t t = 0; t < tokens; ++t) {
    float* row = x.data() + t * width;
    for (int64_t i = 1; i < width; ++i) row[i] += 0.7f * row[i - 1];
    for (int64_t i = 0; i < width; i += 29) row[i] *= 15;
  }
  std::vector<float> gram(static_cast<size_t>(width * width));
  for (int64_t i = 0; i < width; ++i) {
    for (int64_t j = 0; j < width; ++j) {
      double sum = 0;
      for (int64_t t = 0; t < tokens; ++t) {
        sum += double{x[static_cast<size_t>(t * width + i)]} * x[static_cast<size_t>(t * width + j)];
      }
      gram[static_cast<size_t>(i * width + j)] = static_cast<float>(sum);
    }
  }
  return gram;
}

double loss_of(const FloatTensor& weight, const QuantWeight& rounded,
               const std::vector<float>& gram) {
  const int64_t in = rounded.in, group = rounded.format.group_size(in);
  double loss = 0;
  std::vector<double> e(static_cast<size_t>(in));
  for (int64_t row = 0; row < rounded.out; ++row) {
    for (int64_t i = 0; i < in; ++i) {
      const auto cell = static_cast<size_t>(row * rounded.groups() + i / group);
      const int code = rounded.codes[static_cast<size_t>(row * in + i)] - rounded.zeros[cell];
      e[static_cast<size_t>(i)] = code * double{half_to_float(rounded.scales[cell])} -
                                  weight.values[static_cast<size_t>(row * in + i)];
    }
    for (size_t i = 0; i < e.size(); ++i) {
      for (size_t j = 0; j < e.size(); ++j) loss += e[i] * gram[i * e.size() + j] * e[j];
    }
  }
  return loss;
}

TEST(InverseFactor, ItsSquareIsTheInverse) {
  for (const int64_t width : {1, 7, 128, 129, 300}) {
    for (const bool act_order : {false, true}) {
      const std::vector<float> gram = gram_of(width, 2 * width);
      ThreadPool pool(2);
      const auto factor = inverse_factor(gram, width, {0.01, act_order}, pool);
      ASSERT_TRUE(factor.ok()) << factor.error().message;
      double mean = 0;
      for (int64_t i = 0; i < width; ++i) {
        mean += gram[static_cast<size_t>(i * width + i)] / static_cast<double>(width);
      }
      // U^T (U (H e_j)) = e_j, H damped and in the factor's order.
      for (int64_t j = 0; j < width; j += 1 + width / 9) {
        std::vector<double> x(static_cast<size_t>(width)), y = x;
        for (int64_t i = 0; i < width; ++i) {
          x[static_cast<size_t>(i)] =
              gram[static_cast<size_t>(factor->order[static_cast<size_t>(i)] * width +
                                       factor->order[static_cast<size_t>(j)])];
        }
        x[static_cast<size_t>(j)] += 0.01 * mean;
        for (int64_t i = 0; i < width; ++i) {
          for (int64_t k = i; k < width; ++k) {
            y[static_cast<size_t>(i)] += factor->row(i)[k] * x[static_cast<size_t>(k)];
          }
        }
        for (int64_t i = 0; i < width; ++i) {
          double value = 0;
          for (int64_t k = 0; k <= i; ++k) value += factor->row(k)[i] * y[static_cast<size_t>(k)];
          ASSERT_NEAR(value, i == j ? 1 : 0, 1e-8) << width << ": " << i << ", " << j;
        }
      }
    }
  }
}

TEST(Gptq, LosesLessThanRoundingAtEveryWidthAndOrder) {
  constexpr int64_t kWidth = 320;
  const std::vector<float> gram = gram_of(kWidth, 900);
  ThreadPool pool(2);
  TestRandom random(8);
  const FloatTensor weight{{40, kWidth}, random.values(40 * kWidth, 0.2f)};
  for (const bool act_order : {false, true}) {
    const auto factor = inverse_factor(gram, kWidth, {0.01, act_order}, pool);
    ASSERT_TRUE(factor.ok());
    for (const int bits : {2, 3, 4, 8}) {
      for (const int64_t group : {16, 64, 128, 0}) {
        for (const bool symmetric : {false, true}) {
          // Three steps, one of which the errors taken back soon leave: the quantizer then rounds.
          if (bits == 2 && symmetric && !act_order) continue;
          const QuantFormat format{bits, group, symmetric};
          const double rounding = loss_of(weight, round_weight(weight, format, pool), gram);
          const double gptq = loss_of(weight, gptq_round(weight, *factor, format, {}, pool), gram);
          EXPECT_LT(gptq, (bits == 2 ? 1.0 : 0.8) * rounding) << format_name(format) << " act-order " << act_order;
        }
      }
    }
  }
}

TEST(Gptq, DoesNotDependOnTheNumberOfThreads) {
  constexpr int64_t kWidth = 300;
  const std::vector<float> gram = gram_of(kWidth, 400);
  TestRandom random(9);
  const FloatTensor weight{{70, kWidth}, random.values(70 * kWidth, 0.2f)};
  std::vector<QuantWeight> results;
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    const auto factor = inverse_factor(gram, kWidth, {}, pool);
    ASSERT_TRUE(factor.ok());
    results.push_back(gptq_round(weight, *factor, {3, 64}, {}, pool));
  }
  EXPECT_EQ(results[0].codes, results[1].codes);
  EXPECT_EQ(results[0].scales, results[1].scales);
}

// With no input at all, and in channels that are dead, a weight is rounded to nearest.
TEST(Gptq, DeadChannelsAreRoundedToNearest) {
  constexpr int64_t kWidth = 64;
  ThreadPool pool(1);
  TestRandom random(4);
  const FloatTensor weight{{8, kWidth}, random.values(8 * kWidth, 0.3f)};
  const std::vector<float> nothing(kWidth * kWidth, 0.0f);
  const auto factor = inverse_factor(nothing, kWidth, {}, pool);
  ASSERT_TRUE(factor.ok()) << factor.error().message;
  EXPECT_EQ(factor->dead, kWidth);
  EXPECT_EQ(gptq_round(weight, *factor, {3, 32}, {}, pool).codes,
            round_weight(weight, {3, 32}, pool).codes);
}

TEST(InverseFactor, RaisesTheDampingOfWhatIsNotPositiveDefinite) {
  constexpr int64_t kWidth = 40;
  std::vector<float> gram(kWidth * kWidth, 0.0f);
  for (size_t i = 0; i < kWidth; ++i) {
    for (size_t j = 0; j < kWidth; ++j) gram[i * kWidth + j] = i == j ? 1.0f : 1.02f;
  }
  ThreadPool pool(1);
  const auto factor = inverse_factor(gram, kWidth, {0.01, false}, pool);
  ASSERT_TRUE(factor.ok());
  EXPECT_GT(factor->damping, 0.01);
  const auto rank_one =
      inverse_factor(std::vector<float>(kWidth * kWidth, 1.0f), kWidth, {0, false}, pool);
  ASSERT_TRUE(rank_one.ok());
  EXPECT_GT(rank_one->damping, 0);
}

TEST(InverseFactor, NamesWhatIsWrongWithTheHessian) {
  ThreadPool pool(1);
  std::vector<float> gram = {1, 0, 0, NAN};
  auto factor = inverse_factor(gram, 2, {}, pool);
  ASSERT_FALSE(factor.ok());
  EXPECT_NE(factor.error().message.find("channel 1"), std::string::npos) << factor.error().message;
  gram[3] = -1;
  EXPECT_FALSE(inverse_factor(gram, 2, {}, pool).ok());
  gram = {1, 1000, 1000, 1};
  factor = inverse_factor(gram, 2, {}, pool);
  ASSERT_FALSE(factor.ok());
  EXPECT_NE(factor.error().message.find("positive definite"), std::string::npos);
}

}  // namespace
}  // namespace awq
