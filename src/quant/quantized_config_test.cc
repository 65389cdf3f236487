// config.json of a quantized GGUF: rotary frequencies survive it.
#include "quant/quantized_config.h"

#include <algorithm>

#include "model/tensor_reader_test_model.h"

namespace awq {
namespace {

constexpr int64_t kHead = 64;

std::vector<float> frequencies(const Arch& arch) {
  return inverse_frequencies(std::get<Rope>(arch.block.attention.kinds.front().positions));
}

Rope llama_rope(double theta) {
  Rope rope;
  rope.theta = theta;
  rope.rotary_dim = kHead;
  return rope;
}

// What a converter writes for a scaling: plain over scaled frequency, in 32 bits.
std::vector<float> divisors_of(Rope rope) {
  const std::vector<float> scaled = inverse_frequencies(rope);
  rope.scaling = {};
  std::vector<float> divisors = inverse_frequencies(rope);
  for (size_t i = 0; i < divisors.size(); ++i) divisors[i] /= scaled[i];
  return divisors;
}

struct Written {
  Json config;
  std::vector<float> source, ours;  // inverse frequencies
};

// A Llama with these divisors (and heads as wide as they ask for), opened, and its config.json read
// back.
Result<Written> write_config(const std::vector<float>& divisors, double theta,
                             bool linear_metadata = false) {
  const int64_t head = divisors.empty() ? kHead : 2 * static_cast<int64_t>(divisors.size());
  TinyLlama llama;
  const std::string attention = "model.layers.0.self_attn.";
  llama.add(attention + "q_proj.weight", {2 * head, 8});
  llama.add(attention + "k_proj.weight", {head, 8});
  llama.add(attention + "v_proj.weight", {head, 8});
  llama.add(attention + "o_proj.weight", {8, 2 * head});
  GgufBuilder builder = tiny_gguf(llama);
  builder.u32("llama.attention.key_length", static_cast<uint32_t>(head));
  builder.f32("llama.rope.freq_base", static_cast<float>(theta));
  if (linear_metadata) builder.f32("llama.rope.scale_linear", 2);
  std::string data;
  for (const float divisor : divisors) data += le(divisor);
  if (!divisors.empty()) builder.tensor("rope_freqs.weight", {divisors.size()}, 0, data);
  const std::string file = builder.build();
  AWQ_ASSIGN(const Checkpoint checkpoint, Checkpoint::from_gguf(as_bytes(file), "tiny.gguf"));
  AWQ_ASSIGN(const TensorReader reader, TensorReader::open(checkpoint));
  Written written;
  AWQ_ASSIGN(written.config, quantized_config(reader, FormatPlan(reader.arch(), {4, 8, false})));
  written.source = frequencies(reader.arch());
  const Config config(written.config, "config.json");
  AWQ_ASSIGN(const Family* family, find_family(config));
  AWQ_ASSIGN(const Arch arch, family->describe(config));
  written.ours = frequencies(arch);
  return written;
}

void expect_same_frequencies(const Written& written) {
  ASSERT_EQ(written.ours.size(), written.source.size());
  for (size_t i = 0; i < written.ours.size(); ++i) {
    EXPECT_NEAR(written.ours[i] / written.source[i], 1, 1e-5) << i;
  }
}

TEST(QuantizedConfig, Llama3DivisorsBecomeRopeScaling) {
  for (const double factor : {8.0, 32.0, 2.5}) {
    for (const double context : {8192.0, 4096.0, 131072.0, 6000.0}) {
      Rope rope = llama_rope(500000);
      rope.scaling = {RopeScaling::Kind::llama3, factor, 1, 4, context};
      const std::vector<float> divisors = divisors_of(rope);
      const auto written = write_config(divisors, rope.theta);
      ASSERT_TRUE(written.ok()) << written.error().message;
      const Json& scaling = written->config["rope_scaling"];
      EXPECT_EQ(scaling["rope_type"], "llama3");
      EXPECT_NEAR(scaling["factor"].get<double>(), factor, 1e-5);
      EXPECT_EQ(scaling["original_max_position_embeddings"], static_cast<int64_t>(context));
      EXPECT_NE(written->ours, inverse_frequencies(llama_rope(rope.theta)));
      expect_same_frequencies(*written);
    }
  }
}

TEST(QuantizedConfig, BetweenKeptAndStretchedPairsNoneNeedsToBeBlended) {
  // Heads of 4: wavelengths of 6.3 and 28.3, so any context from 26 to 28 keeps one and stretches
  // the other.
  const auto written = write_config({1, 8}, 20.25);
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_EQ(written->config["rope_scaling"]["original_max_position_embeddings"], 26);
  expect_same_frequencies(*written);
}

TEST(QuantizedConfig, EqualDivisorsAreLinear) {
  const std::vector<float> equal(kHead / 2, 16.0f);
  const auto written = write_config(equal, 10000);
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_EQ(written->config["rope_scaling"], Json({{"rope_type", "linear"}, {"factor", 16.0}}));
  expect_same_frequencies(*written);
}

TEST(QuantizedConfig, DivisorsOfOneAreNoScaling) {
  const std::vector<float> ones(kHead / 2, 1.0f);
  for (const bool linear_metadata : {false, true}) {
    const auto written = write_config(ones, 10000, linear_metadata);
    ASSERT_TRUE(written.ok()) << written.error().message;
    EXPECT_FALSE(written->config.contains("rope_scaling"));
    expect_same_frequencies(*written);
  }
  const auto without = write_config({}, 10000, true);
  ASSERT_TRUE(without.ok()) << without.error().message;
  EXPECT_EQ(without->config["rope_scaling"]["rope_type"], "linear");
}

TEST(QuantizedConfig, DivisorsThatNoScalingGives) {
  Rope rope = llama_rope(500000);
  rope.scaling = {RopeScaling::Kind::llama3, 8, 1, 4, 8192};
  std::vector<float> divisors = divisors_of(rope);
  divisors[3] = 1.001f;
  expect_error(write_config(divisors, rope.theta),
               {"tiny.gguf: the divisors of tensor rope_freqs.weight cannot be expressed"});
  std::vector<float> step(kHead / 2, 1.0f);  // neighbours too close for none to be blended
  std::fill(step.begin() + 16, step.end(), 8.0f);
  expect_error(write_config(step, rope.theta), {"cannot be expressed in config.json"});
  const std::vector<float> small(kHead / 2, 0.5f);
  expect_error(write_config(small, rope.theta), {"cannot be expressed in config.json"});
}

}  // namespace
}  // namespace awq
