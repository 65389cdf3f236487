// The known shapes: every one is described, and is as large as its publisher says.
#include "model/synthetic.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace awq {
namespace {

// Billions of parameters, from the model cards and the files' own indices.
const std::map<std::string, double> kBillions = {
    {"tinyllama-1.1b", 1.10}, {"llama-2-7b", 6.74},  {"llama-2-13b", 13.02},
    {"llama-2-70b", 68.98},   {"llama-3-8b", 8.03},  {"mistral-7b", 7.24},
    {"qwen2.5-7b", 7.62},     {"qwen3-8b", 8.19},    {"gemma-2-9b", 9.24},
    {"phi-3-mini", 3.82},     {"opt-6.7b", 6.66},    {"mpt-7b", 6.65},
    {"falcon-7b", 6.92},      {"pythia-6.9b", 6.86}, {"bloom-7b1", 7.07},
    {"starcoder2-7b", 7.17},  {"mixtral-8x7b", 46.70}, {"qwen3-30b-a3b", 30.53},
};

TEST(Synthetic, ShapesHaveTheirSize) {
  for (const std::string_view name : synthetic_shapes()) {
    const auto arch = synthetic_arch(name, 0);
    ASSERT_TRUE(arch.ok()) << arch.error().message;
    const auto known = kBillions.find(std::string(name));
    ASSERT_NE(known, kBillions.end()) << name;
    EXPECT_NEAR(static_cast<double>(parameter_count(*arch)) / 1e9 / known->second, 1, 0.005) << name;
  }
}

}  // namespace
}  // namespace awq
