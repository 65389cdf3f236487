// Rows SH08 to SH12 and GG13: configs that do not describe a model, or one that is not ours.
#include "model/config.h"

#include "model/tensor_reader_test_model.h"

namespace awq {
namespace {

// What describing the tiny Llama says after `key` was set to the JSON `value`.
Status describe(std::string_view key, std::string_view value) {
  Json json = TinyLlama().config;
  if (value.empty()) {
    json.erase(std::string(key));
  } else {
    json[std::string(key)] = Json::parse(value);
  }
  const Config config(std::move(json), "config.json");
  AWQ_ASSIGN(const Family* family, find_family(config));
  AWQ_TRY(family->describe(config));
  return {};
}

TEST(Config, TheTinyModelIsWhole) {
  EXPECT_TRUE(describe("x", "1").ok());
  const Status status = TinyLlama().open();
  EXPECT_TRUE(status.ok()) << status.error().message;
}

TEST(Config, SH08_NumbersThatAreNone) {
  const char* values[] = {"0",
                          "-1",
                          "1000000000",
                          "\"32\"",
                          "",
                          "1.5",
                          "true",
                          "[1]",
                          "{}",
                          "1e3",
                          "18446744073709551615",
                          "-9223372036854775808",
                          "null"};
  for (const char* key : {"num_hidden_layers", "hidden_size", "num_attention_heads",
                          "intermediate_size", "vocab_size"}) {
    for (const char* value : values) {
      expect_error(describe(key, value),
                   {cat("config.json: \"", key, "\" is "), "expected an integer"});
    }
  }
  expect_error(describe("num_hidden_layers", "1000000000"), {"is 1000000000", "from 1 to 4096"});
  expect_error(describe("num_hidden_layers", ""), {"is missing"});
  expect_error(describe("rms_norm_eps", "\"x\""), {"\"rms_norm_eps\" is \"x\", expected a number"});
  expect_error(describe("rms_norm_eps", "-1"), {"\"rms_norm_eps\" is -1"});
  expect_error(describe("tie_word_embeddings", "1"), {"expected true or false"});
  expect_error(describe("hidden_act", "7"), {"expected a string"});
}

TEST(Config, SH09_SizesThatDoNotFit) {
  expect_error(describe("hidden_size", "9"), {"hidden_size 9 is not a multiple of", "no head_dim"});
  expect_error(describe("num_key_value_heads", "3"), {"num_key_value_heads", "from 1 to 2"});
  expect_error(describe("head_dim", "3"), {"head_dim 3", "rotates 3 values; rotary positions need pairs"});
  expect_error(describe("head_dim", "0"), {"\"head_dim\" is 0"});
  Json json = TinyLlama().config;
  json["num_attention_heads"] = 8, json["num_key_value_heads"] = 3, json["head_dim"] = 2;
  const Config config(json, "config.json");
  expect_error((*find_family(config))->describe(config),
               {"num_attention_heads 8 is not a multiple of num_key_value_heads 3"});
}

TEST(Config, SH10_UnknownRopeScaling) {
  expect_error(describe("rope_scaling", R"({"type":"xpos","factor":4})"),
               {"config.json: rope_scaling: rope type \"xpos\" is not supported", "llama3"});
  expect_error(describe("rope_scaling", R"({"rope_type":"longrope"})"),
               {"\"short_factor\" is missing, expected a list of numbers"});
  expect_error(describe("rope_scaling", R"({"rope_type":"longrope","short_factor":[1],
                                           "long_factor":[1]})"),
               {"\"short_factor\" has 1 entries, expected 2"});
  expect_error(describe("rope_scaling", R"({"rope_type":5})"), {"\"rope_type\" is 5"});
  expect_error(describe("rope_scaling", "7"), {"\"rope_scaling\" is 7, expected an object"});
  expect_error(describe("rope_scaling", R"({"rope_type":"linear","factor":0})"),
               {"\"factor\" is 0"});
  EXPECT_TRUE(describe("rope_scaling", "null").ok());
  EXPECT_TRUE(describe("rope_scaling", R"({"rope_type":"linear","factor":2})").ok());
}

TEST(Config, SH11_QuantizationConfigs) {
  const auto read = [](std::string_view text) {
    return QuantizationConfig::from_json({{"quantization_config", Json::parse(text)}},
                                         "config.json");
  };
  const auto awq = read(R"({"quant_method":"awq","bits":4,"group_size":128,"version":"gemm"})");
  ASSERT_TRUE(awq.ok());
  EXPECT_EQ((*awq)->format, (QuantFormat{4, 128, false}));
  const auto old = read(R"({"quant_method":"awq","w_bit":4,"q_group_size":-1})");
  ASSERT_TRUE(old.ok());
  EXPECT_EQ((*old)->format.group, 0);
  EXPECT_FALSE(read("null")->has_value());
  expect_error(read("7"), {"quantization_config: expected an object"});
  for (const char* method : {"bitsandbytes", "compressed-tensors", "fp8", ""}) {
    expect_error(read(cat("{\"quant_method\":\"", method, "\"}")),
                 {"quant_method", method, "is not read"});
  }
  expect_error(read(R"({"quant_method":"awq","bits":4,"group_size":128,"version":"gemv"})"),
               {"\"gemv\" is not read"});
  expect_error(read(R"({"quant_method":"awq","bits":4,"group_size":64,"zero_point":false})"),
               {"without zero points"});
  expect_error(read(R"({"quant_method":"awq","bits":3,"group_size":64})"),
               {"bits is 3, expected 4"});
  expect_error(read(R"({"quant_method":"gptq","bits":5,"group_size":64})"),
               {"bits is 5, expected 2, 3, 4 or 8"});
  for (const char* group : {"0", "-2", "2000000", "18446744073709551615", "\"128\"", "1.5"}) {
    expect_error(read(cat("{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":", group, "}")),
                 {"group_size is"});
  }
  expect_error(
      read(R"({"quant_method":"gptq","bits":4,"group_size":64,"checkpoint_format":"marlin"})"),
      {"\"marlin\" is not read"});
}

TEST(Config, SH12_OtherArchitectures) {
  expect_error(
      describe("architectures", R"(["DeepseekForCausalLM"])"),
      {"architecture \"DeepseekForCausalLM\" is not supported; supported: LlamaForCausalLM"});
  for (const char* value : {"", "[]", "[7]", "\"LlamaForCausalLM\"", "{}"}) {
    expect_error(describe("architectures", value), {"\"architectures\" is missing"});
  }
  expect_error(describe("architectures", "[\"\\u001b[2J\"]"), {"\\x1b[2J"});
}

Result<Config> gguf_config(const GgufBuilder& builder) {
  AWQ_ASSIGN(const Checkpoint checkpoint,
             Checkpoint::from_gguf(as_bytes(builder.build()), "f.gguf"));
  return read_config(checkpoint);
}

TEST(GgufConfig, SaysWhatConfigJsonSays) {
  const auto config = gguf_config(tiny_gguf());
  ASSERT_TRUE(config.ok()) << config.error().message;
  const Json& json = config->json();
  const Json expected = TinyLlama().config;
  for (const char* key : {"architectures", "hidden_size", "num_hidden_layers", "vocab_size",
                          "num_key_value_heads", "rms_norm_eps", "tie_word_embeddings"}) {
    EXPECT_EQ(json[key], expected[key]) << key << ": " << dump_json(json[key]);
  }
}

TEST(GgufConfig, GG13_CountsOfBlocksAndExperts) {
  for (const char* key : {"llama.block_count", "llama.attention.head_count"}) {
    for (const uint64_t count : {uint64_t{0}, uint64_t{1} << 32, UINT64_MAX}) {
      GgufBuilder builder;
      builder.string("general.architecture", "llama").value(key, 10, le(count));
      const auto config = gguf_config(builder);
      ASSERT_TRUE(config.ok()) << config.error().message;
      EXPECT_FALSE(find_gguf_family("llama")->describe(*config).ok());
    }
  }
  GgufBuilder deep = tiny_gguf();
  deep.u32("llama.expert_count", 8);
  const auto mixture = gguf_config(deep);
  ASSERT_TRUE(mixture.ok()) << mixture.error().message;
  EXPECT_EQ(mixture->json()["model_type"], "mixtral");
  GgufBuilder none = tiny_gguf();
  EXPECT_TRUE(gguf_config(none.u32("llama.expert_count", 0)).ok());
  GgufBuilder typed;
  typed.string("general.architecture", "llama").string("llama.block_count", "513");
  const auto config = gguf_config(typed);
  ASSERT_TRUE(config.ok());
  expect_error(find_gguf_family("llama")->describe(*config), {"\"num_hidden_layers\" is \"513\""});
}

TEST(GgufConfig, KeysThatChangeTheMeaning) {
  GgufBuilder partial = tiny_gguf();
  expect_error(gguf_config(partial.u32("llama.rope.dimension_count", 2)),
               {"llama.rope.dimension_count is 2, expected the head size 4"});
  GgufBuilder scaled = tiny_gguf();
  const auto linear = gguf_config(scaled.f32("llama.rope.scaling.factor", 4));
  ASSERT_TRUE(linear.ok());
  EXPECT_EQ(linear->json()["rope_scaling"]["rope_type"], "linear");
  GgufBuilder yarn = tiny_gguf();
  yarn.string("llama.rope.scaling.type", "xpos");
  const auto config = gguf_config(yarn);
  ASSERT_TRUE(config.ok());
  expect_error(find_gguf_family("llama")->describe(*config),
               {"rope type \"xpos\" is not supported"});
  GgufBuilder other;
  expect_error(gguf_config(other), {"metadata \"general.architecture\" is missing"});
  expect_error(gguf_config(other.string("general.architecture", "mamba")),
               {"architecture \"mamba\" is not supported"});
}

}  // namespace
}  // namespace awq
