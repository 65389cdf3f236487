// Logits of a tiny checkpoint of every family against transformers' (tools/make_family_goldens.py).
#include "model/golden.h"

namespace awq {
namespace {

class FamilyGolden : public testing::TestWithParam<std::string> {
 protected:
  void expect_logits(const Checkpoint& checkpoint, const std::string& form) {
    const auto reader = TensorReader::open(checkpoint);
    ASSERT_TRUE(reader.ok()) << form << ": " << reader.error().message;
    const Golden golden = read_family_golden(GetParam());
    const auto device = make_cpu_device(2);
    for (const std::string_view backend : cpu_backends()) {
      const auto model = load_model(*reader, *make_cpu_ops(*device, backend));
      ASSERT_TRUE(model.ok()) << model.error().message;
      const auto tokens = static_cast<int64_t>(golden.prompt.size());
      GoldenRun run(*model, tokens + 8);
      EXPECT_LT(largest_difference(run.feed(golden.prompt), golden.logits), 1e-4f)
          << form << ", " << backend;
    }
  }
};

TEST_P(FamilyGolden, LogitsEqualTransformers) {
  const auto checkpoint = Checkpoint::open(path_join(families_path(), GetParam()));
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  expect_logits(*checkpoint, "transformers 5");
}

// The same weights under the config.json that transformers 4 wrote.
TEST_P(FamilyGolden, ConfigOfTransformers4) {
  const std::string folder = path_join(families_path(), GetParam());
  const auto config = read_file(path_join(folder, "config.transformers4.json"));
  if (!config.ok()) GTEST_SKIP() << "no config.transformers4.json";
  const auto weights = MappedFile::open(path_join(folder, "model.safetensors"));
  ASSERT_TRUE(weights.ok());
  const auto checkpoint = Checkpoint::from_safetensors(*config, weights->bytes(), GetParam());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  expect_logits(*checkpoint, "transformers 4");
}

std::string test_name(const testing::TestParamInfo<std::string>& test) {
  return golden_test_name(test.param);
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, FamilyGolden, testing::ValuesIn(family_goldens()), test_name);

}  // namespace
}  // namespace awq
