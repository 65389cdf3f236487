// What a family does not run is refused by name: a switch that is ignored looks fine and is wrong.
#include "checkpoint/test_files.h"
#include "model/golden.h"

namespace awq {
namespace {

struct Refusal {
  const char *golden, *key, *value;
  std::vector<std::string> says;
};

Status describe_with(const Refusal& refusal) {
  const auto text = read_file(path_join(families_path(), cat(refusal.golden, "/config.json")));
  EXPECT_TRUE(text.ok());
  Json json = Json::parse(*text);
  json[refusal.key] = Json::parse(refusal.value);
  const Config config(std::move(json), "config.json");
  AWQ_ASSIGN(const Family* family, find_family(config));
  AWQ_TRY(family->describe(config));
  return {};
}

const Refusal kRefusals[] = {
    {"mpt", "attn_config", R"({"attn_type": "grouped_query_attention"})",
     {"attn_config", "\"grouped_query_attention\" is not supported"}},
    {"mpt", "attn_config", R"({"alibi": false})", {"\"alibi\": false is not supported"}},
    {"mpt", "no_bias", "false", {"\"no_bias\": false"}},
    {"bloom", "apply_residual_connection_post_layernorm", "true", {"post_layernorm\": true"}},
    {"gpt2", "scale_attn_by_inverse_layer_idx", "true", {"scale_attn_by_inverse_layer_idx"}},
    {"gpt2", "add_cross_attention", "true", {"add_cross_attention"}},
    {"opt", "layer_norm_elementwise_affine", "false", {"layer_norm_elementwise_affine"}},
    {"smollm3", "use_sliding_window", "true", {"use_sliding_window"}},
    {"smollm3", "no_rope_layers", "[1]", {"\"no_rope_layers\" has 1 entries, the config tells 4"}},
    {"gemma2", "layer_types", R"(["full_attention"])", {"\"layer_types\" has 1 entries"}},
    {"gemma2", "layer_types", R"(["full_attention", "linear_attention"])",
     {"layer type \"linear_attention\" is not supported"}},
    {"qwen3-moe", "mlp_only_layers", "[0]", {"layers without experts", "mlp_only_layers"}},
    {"qwen3-moe", "decoder_sparse_step", "2", {"decoder_sparse_step"}},
    {"mixtral", "num_experts_per_tok", "9", {"num_experts_per_tok 9 is more than the 4 experts"}},
    {"falcon-7b", "activation", "\"relu2\"", {"activation \"relu2\" is not supported"}},
    {"phi3-longrope", "rope_parameters",
     R"({"rope_type": "longrope", "short_factor": [1], "long_factor": [1]})",
     {"\"short_factor\" has 1 entries, expected 4"}},
    {"granite", "logits_scaling", "0", {"\"logits_scaling\" is 0"}},
};

TEST(FamilyRefusals, NameTheKeyAndTheValue) {
  for (const Refusal& refusal : kRefusals) {
    const Status status = describe_with(refusal);
    ASSERT_FALSE(status.ok()) << refusal.golden << ": " << refusal.key;
    for (const std::string& part : refusal.says) {
      EXPECT_NE(status.error().message.find(part), std::string::npos)
          << refusal.golden << ": " << status.error().message;
    }
  }
}

}  // namespace
}  // namespace awq
