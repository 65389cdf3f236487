// Logits of the tiny checkpoints in data/golden against transformers' (tools/make_goldens.py).
#include "model/golden.h"

namespace awq {
namespace {

std::string golden_path(const std::string& name) {
  return path_join(path_join(AWQ_SOURCE_DIR, "data/golden"), name);
}

Golden read_golden(const std::string& directory) {
  const auto file = MappedFile::open(path_join(directory, "logits.safetensors"));
  EXPECT_TRUE(file.ok());
  const auto tensors = parse_safetensors(file->bytes(), "logits");
  EXPECT_TRUE(tensors.ok());
  return {golden_values<int32_t>(*tensors, "prompt_ids"), {},
          golden_values<float>(*tensors, "logits"), {}};
}

class LlamaGolden : public testing::TestWithParam<const char*> {};

TEST_P(LlamaGolden, LogitsEqualTransformers) {
  const std::string directory = golden_path(GetParam());
  const auto checkpoint = Checkpoint::open(directory);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  const auto reader = TensorReader::open(*checkpoint);
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  const Golden golden = read_golden(directory);
  ASSERT_FALSE(golden.prompt.empty());
  const auto device = make_cpu_device(2);
  for (const std::string_view backend : cpu_backends()) {
    const Ops ops = *make_cpu_ops(*device, backend);
    const auto model = load_model(*reader, ops);
    ASSERT_TRUE(model.ok()) << model.error().message;
    GoldenRun run(*model, static_cast<int64_t>(golden.prompt.size()));
    EXPECT_LT(largest_difference(run.feed(golden.prompt), golden.logits), 1e-4f) << backend;
  }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, LlamaGolden, testing::Values(
                             "llama-mha", "llama-gqa", "llama-odd", "llama-headdim", "llama3-rope",
                             "llama-bias", "llama-t5config", "llama-bf16", "llama-f16",
                             "llama-sharded", "mistral-nowindow"),
                         [](const auto& test) { return golden_test_name(test.param); });

}  // namespace
}  // namespace awq
