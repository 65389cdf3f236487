// Row SH07 and ST17: tensors against the config, values that are no numbers, and GGUF's row order.
#include "model/tensor_reader.h"

#include <cmath>

#include "kernels/cpu.h"
#include "model/tensor_reader_test_model.h"
#include "model/weights.h"

namespace awq {
namespace {

const std::string kBlock = "model.layers.0.";

TEST(TensorReader, SH07_ShapesThatTheConfigDoesNotCallFor) {
  TinyLlama wide;
  wide.config["intermediate_size"] = 13;
  expect_error(wide.open(), {"tiny: tensor model.layers.0.mlp.gate_proj.weight is [12, 8]",
                             "the config calls for [13, 8] (intermediate_size, hidden_size)"});
  TinyLlama vocabulary;
  vocabulary.config["vocab_size"] = 11;
  expect_error(vocabulary.open(), {"model.embed_tokens.weight is [10, 8]", "calls for [11, 8]"});
  TinyLlama flat;
  flat.add(kBlock + "mlp.up_proj.weight", {96});
  expect_error(flat.open(), {"mlp.up_proj.weight is [96], the config calls for [12, 8]"});
  TinyLlama transposed;
  transposed.add(kBlock + "mlp.down_proj.weight", {12, 8});
  expect_error(transposed.open(), {"mlp.down_proj.weight is [12, 8]"});
}

TEST(TensorReader, SH07_MissingTensors) {
  for (const auto& [name, tensor] : TinyLlama().tensors) {
    TinyLlama llama;
    llama.tensors.erase(name);
    expect_error(llama.open(), {cat("tensor ", name, " is missing")});
  }
  TinyLlama deep;
  deep.config["num_hidden_layers"] = 4096;  // as many as allowed: no memory is taken for them
  expect_error(deep.open(), {"tensor model.layers.1.input_layernorm.weight is missing"});
}

TEST(TensorReader, AHeadThatIsLost) {
  TinyLlama llama;
  llama.config["tie_word_embeddings"] = false;
  expect_error(llama.open(), {"\"tie_word_embeddings\" is false", "lm_head.weight is missing"});
  llama.config.erase("tie_word_embeddings");
  EXPECT_TRUE(llama.open().ok());
  llama.add("lm_head.weight", {10, 9});
  expect_error(llama.open(), {"lm_head.weight is [10, 9]"});
}

TEST(TensorReader, BiasesThatTheConfigDoesNotAnnounce) {
  TinyLlama llama;
  llama.add(kBlock + "self_attn.q_proj.bias", {8});
  expect_error(llama.open(),
               {"tensor model.layers.0.self_attn.q_proj.bias is a bias", "attention_bias"});
  for (float& value : llama.tensors[kBlock + "self_attn.q_proj.bias"].values) value = 0;
  EXPECT_TRUE(llama.open().ok());  // as GPTQ writers leave them
}

TEST(TensorReader, QuantizedWithoutAConfig) {
  TinyLlama llama;
  llama.tensors.erase(kBlock + "mlp.up_proj.weight");
  llama.add(kBlock + "mlp.up_proj.qweight", {8, 2});
  expect_error(llama.open(), {"mlp.up_proj.weight is missing", "no quantization_config"});
  llama.config["quantization_config"] = {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 8}};
  expect_error(llama.open(), {"mlp.up_proj", "12"});  // 12 outputs are not whole words
  llama.config["intermediate_size"] = 16;
  llama.add(kBlock + "mlp.gate_proj.weight", {16, 8});
  llama.add(kBlock + "mlp.down_proj.weight", {8, 16});
  expect_error(llama.open(), {"mlp.up_proj.qweight is F32 [8, 2], expected I32 [1, 16]"});
}

TEST(TensorReader, PackedEmbedding) {
  TinyLlama llama;
  llama.config["quantization_config"] = {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 8}};
  llama.tensors.erase("model.embed_tokens.weight");
  llama.add("model.embed_tokens.qweight", {1, 10});
  expect_error(llama.open(), {"tensor model.embed_tokens.qweight is a packed embedding",
                              "expected floats in model.embed_tokens.weight"});
}

TEST(TensorReader, ST17_NanAndInfinity) {
  const auto device = make_cpu_device(2);
  for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
    TinyLlama llama;
    llama.tensors[kBlock + "mlp.down_proj.weight"].values[12 * 3 + 5] = bad;
    const auto checkpoint = llama.checkpoint();
    const auto reader = TensorReader::open(*checkpoint);
    ASSERT_TRUE(reader.ok()) << reader.error().message;
    expect_error(reader->read_block(0, device->pool()),
                 {"tiny: tensor model.layers.0.mlp.down_proj.weight holds", "row 3, column 5"});
    EXPECT_TRUE(reader->check_frame_finite(device->pool()).ok());
  }
  TinyLlama table;
  table.tensors["model.embed_tokens.weight"].values[8 * 9 + 7] = INFINITY;
  const auto checkpoint = table.checkpoint();
  const auto reader = TensorReader::open(*checkpoint);
  expect_error(reader->check_frame_finite(device->pool()),
               {"tensor model.embed_tokens.weight holds inf at row 9, column 7"});
  TinyLlama norm;
  norm.tensors["model.norm.weight"].values[2] = std::nanf("");
  const auto other = norm.checkpoint();
  const auto norm_reader = TensorReader::open(*other);
  expect_error(norm_reader->check_frame_finite(device->pool()), {"model.norm.weight holds nan"});
}

TEST(TensorReader, GgufGivesTheSameWeights) {
  const TinyLlama llama;
  const auto ours = llama.checkpoint();
  const auto theirs = Checkpoint::from_gguf(as_bytes(tiny_gguf(llama).build()), "tiny.gguf");
  ASSERT_TRUE(theirs.ok()) << theirs.error().message;
  const auto reader = TensorReader::open(*ours), gguf = TensorReader::open(*theirs);
  ASSERT_TRUE(gguf.ok()) << gguf.error().message;
  const auto device = make_cpu_device(2);
  const auto a = reader->read_block(0, device->pool()), b = gguf->read_block(0, device->pool());
  ASSERT_TRUE(b.ok()) << b.error().message;
  for (const Linear& linear : block_linears(reader->arch().block)) {
    EXPECT_EQ((*a)[linear.slot].weight.values, (*b)[linear.slot].weight.values)
        << slot_name(linear.slot);
  }
}

TEST(TensorReader, RopeDivisors) {
  const auto open = [](const std::vector<uint64_t>& dims, const std::string& data) -> Status {
    GgufBuilder builder = tiny_gguf();
    builder.tensor("rope_freqs.weight", dims, 0, data);
    AWQ_ASSIGN(const Checkpoint checkpoint, Checkpoint::from_gguf(as_bytes(builder.build()), "f"));
    AWQ_TRY(TensorReader::open(checkpoint));
    return {};
  };
  EXPECT_TRUE(open({2}, le(1.0f) + le(8.0f)).ok());
  expect_error(open({3}, le(1.0f) + le(1.0f) + le(1.0f)),
               {"rope_freqs.weight is [3], expected [2]"});
  expect_error(open({2}, le(1.0f) + le(0.0f)), {"a divisor that is not positive"});
  expect_error(open({2}, le(1.0f) + le(std::nanf(""))), {"a divisor that is not positive"});
}

}  // namespace
}  // namespace awq
