// Random weights go through the same quantization as a model's, and nothing is left of them.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cpu.h"
#include "model/random_checkpoint.h"
#include "quant/quantize.h"

namespace awq {
namespace {

constexpr int64_t kHidden = 64, kLayers = 3, kVocab = 128;

struct Fixture {
  std::unique_ptr<Device> device = make_cpu_device(2);
  Ops ops = *make_cpu_ops(*device);
  Json config = {{"architectures", {"LlamaForCausalLM"}},
                 {"model_type", "llama"},
                 {"num_hidden_layers", kLayers},
                 {"hidden_size", kHidden},
                 {"num_attention_heads", 4},
                 {"num_key_value_heads", 2},
                 {"intermediate_size", 96},
                 {"vocab_size", kVocab},
                 {"max_position_embeddings", 64}};
  Checkpoint checkpoint = std::move(*make_random_checkpoint(config, "random", device->pool()));
  TensorReader reader = std::move(*TensorReader::open(checkpoint));

  std::vector<int32_t> tokens() const {
    std::vector<int32_t> ids;
    for (int32_t i = 0; i < 20 * 32; ++i) ids.push_back((i * 37 + i / 7) % kVocab);
    return ids;
  }
};

TEST(RandomCheckpoint, BlocksShareTheirBytesAndAreOfUnitGain) {
  Fixture f;
  const TensorInfo* first = f.checkpoint.find("model.layers.0.mlp.up_proj.weight");
  const TensorInfo* last = f.checkpoint.find("model.layers.2.mlp.up_proj.weight");
  const TensorInfo* other = f.checkpoint.find("model.layers.0.mlp.gate_proj.weight");
  ASSERT_TRUE(first != nullptr && last != nullptr && other != nullptr);
  EXPECT_EQ(first->data.data(), last->data.data());
  EXPECT_NE(first->data.data(), other->data.data());
  ASSERT_EQ(first->data.size(), other->data.size());
  EXPECT_FALSE(std::equal(first->data.begin(), first->data.end(), other->data.begin()));
  const auto block = f.reader.read_block(2, f.device->pool());
  ASSERT_TRUE(block.ok()) << block.error().message;
  double square = 0;
  for (const float w : (*block)[Slot::up].weight.values) square += double{w} * w;
  EXPECT_NEAR(square / (96 * kHidden) * kHidden, 1, 0.1);  // variance 1 / inputs
  for (const float w : (*block)[Slot::ffn_norm].weight.values) EXPECT_EQ(w, 1);
}

TEST(QuantizeToNothing, IsTheSameQuantization) {
  Fixture f;
  uint64_t bytes = 0;
  for (const Method method : {Method::rtn, Method::awq, Method::gptq, Method::awq_gptq}) {
    QuantizeOptions options;
    options.method = method;
    options.formats = FormatPlan(f.reader.arch(), {4, 32, false});
    options.calibration_length = 32;
    int64_t layers = 0;
    const auto count = [&](const QuantizeProgress&) { ++layers; };
    const auto report = quantize_to_nothing(f.reader, f.ops, f.tokens(), options, count);
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_EQ(layers, kLayers);
    Json kept;
    const auto model = quantize_in_memory(f.reader, f.ops, f.tokens(), options, &kept);
    ASSERT_TRUE(model.ok()) << model.error().message;
    EXPECT_EQ((*report)["linears"], kept["linears"]) << method_name(method);
    EXPECT_EQ((*report)["groups"], kept["groups"]) << method_name(method);
    EXPECT_EQ((*report)["linears"].empty(), method == Method::rtn);
    if (bytes == 0) bytes = (*report)["output_bytes"].get<uint64_t>();
    EXPECT_EQ((*report)["output_bytes"], bytes) << method_name(method);
  }
  // Codes of half a byte, tables of two bytes a value.
  const uint64_t codes = kLayers * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64) / 2;
  EXPECT_GT(bytes, codes + 2 * 2 * kVocab * kHidden);
  EXPECT_LT(bytes, 2 * (codes + 2 * 2 * kVocab * kHidden));
}

}  // namespace
}  // namespace awq
