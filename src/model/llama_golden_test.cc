// Logits of the tiny checkpoints in data/golden against transformers' (tools/make_goldens.py).
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "kernels/cpu.h"
#include "model/forward.h"
#include "model/tensor_reader.h"

namespace awq {
namespace {

struct Golden {
  std::vector<int32_t> prompt;
  std::vector<float> logits;  // [tokens, vocab]
};

template <class T>
std::vector<T> tensor_values(const std::vector<TensorInfo>& tensors, std::string_view name) {
  for (const TensorInfo& tensor : tensors) {
    if (tensor.name != name) continue;
    std::vector<T> values(tensor.data.size() / sizeof(T));
    std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
    return values;
  }
  ADD_FAILURE() << name << " is missing";
  return {};
}

std::string golden_path(const std::string& name) {
  return path_join(path_join(AWQ_SOURCE_DIR, "data/golden"), name);
}

Golden read_golden(const std::string& directory) {
  const auto file = MappedFile::open(path_join(directory, "logits.safetensors"));
  EXPECT_TRUE(file.ok());
  const auto tensors = parse_safetensors(file->bytes(), "logits");
  EXPECT_TRUE(tensors.ok());
  return {tensor_values<int32_t>(*tensors, "prompt_ids"), tensor_values<float>(*tensors, "logits")};
}

// The whole prompt in one pass.
std::vector<float> all_logits(const Model& model, const std::vector<int32_t>& prompt) {
  const Sizes& sizes = model.arch.sizes;
  const auto tokens = static_cast<int64_t>(prompt.size());
  std::vector<float> x(static_cast<size_t>(tokens * sizes.hidden)), normed(x.size());
  std::vector<float> logits(static_cast<size_t>(tokens * sizes.vocab));
  std::vector<int32_t> positions(prompt.size());
  for (size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<int32_t>(i);
  const Matrix rows(x.data(), tokens, sizes.hidden);
  embed_tokens(model, prompt, rows);
  Workspace workspace(*model.ops.device);
  const int64_t stride = tokens * sizes.head_dim;
  std::vector<float> kv(static_cast<size_t>(2 * sizes.kv_heads * stride));
  const Segment segment{0, tokens, 0,
                        {kv.data(), kv.data() + sizes.kv_heads * stride, DType::f32, stride}};
  for (int64_t layer = 0; layer < sizes.layers; ++layer) {
    forward_block(model, model.blocks[static_cast<size_t>(layer)], layer, rows,
                  {positions, {&segment, 1}}, workspace);
  }
  forward_head(model, rows, {normed.data(), tokens, sizes.hidden},
               {logits.data(), tokens, sizes.vocab});
  return logits;
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
    const std::vector<float> logits = all_logits(*model, golden.prompt);
    ASSERT_EQ(logits.size(), golden.logits.size());
    float error = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      error = std::max(error, std::fabs(logits[i] - golden.logits[i]));
    }
    EXPECT_LT(error, 1e-4f) << backend;
  }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, LlamaGolden, testing::Values(
                             "llama-mha", "llama-gqa", "llama-odd", "llama-headdim", "llama3-rope",
                             "llama-bias", "llama-t5config", "llama-bf16", "llama-f16",
                             "llama-sharded", "mistral-nowindow"),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace awq
