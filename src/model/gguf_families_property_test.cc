// The golden checkpoints as GGUF files, laid out as llama.cpp's converter does: fused tensors stacked,
// q and k in pairs where it turns them so, norms with their 1, experts in one tensor. The same logits.
#include <set>

#include "checkpoint/test_files.h"
#include "model/golden.h"

namespace awq {
namespace {

struct GgufCase {
  std::string golden, architecture;
  bool paired = false;                     // q and k rows in interleaved pairs
  std::vector<std::vector<Slot>> stacked;  // slots that share a tensor
  /// What GGUF cannot say of this golden is changed in the model to compare with.
  void (*adapt)(Arch& arch) = nullptr;
};

void PrintTo(const GgufCase& c, std::ostream* out) { *out << c.golden; }

const std::vector<Slot> kQkv = {Slot::q, Slot::k, Slot::v};
const std::vector<Slot> kGateUp = {Slot::gate, Slot::up};

const std::vector<GgufCase> kCases = {
    {"llama-linear", "llama", true, {}},
    {"llama-yarn", "llama", true, {}},
    {"qwen2", "qwen2", false, {}},
    {"qwen3", "qwen3", false, {}},
    {"gemma", "gemma", false, {}},
    {"gemma2", "gemma2", false, {}, [](Arch& arch) { arch.block.attention.scale = 0; }},
    {"gemma3", "gemma3", false, {}, [](Arch& arch) {  // four layers of a pattern of six: all local
       arch.block.attention.scale = 0;
       arch.block.attention.kind_of_layer.assign(4, 1);
     }},
    {"phi3", "phi3", false, {kQkv, kGateUp}},
    {"phi3-longrope", "phi3", false, {kQkv, kGateUp}},
    {"phi4-mini", "phi3", false, {kQkv, kGateUp}},
    {"mpt", "mpt", false, {kQkv}},
    {"falcon-7b", "falcon", false, {kQkv}},
    {"falcon-40b", "falcon", false, {kQkv}},
    {"falcon-11b", "falcon", false, {kQkv}},
    {"gpt-neox", "gptneox", false, {kQkv}},
    {"gpt-neox-sequential", "gptneox", false, {kQkv}},
    {"bloom", "bloom", false, {kQkv}},
    {"gpt2", "gpt2", false, {kQkv}},
    {"gpt-bigcode", "starcoder", false, {kQkv}},
    {"starcoder2", "starcoder2", false, {}},
    {"stablelm", "stablelm", false, {}},
    {"stablelm-12b", "stablelm", false, {}},
    {"olmo2", "olmo2", false, {}},
    {"granite", "granite", true, {}},
    {"cohere", "command-r", false, {}},
    {"cohere-plus", "command-r", false, {}},
    {"smollm3", "smollm3", true, {}, [](Arch& arch) {  // every fourth layer
       arch.block.attention.kind_of_layer = {0, 0, 0, 1};
     }},
    {"mixtral", "llama", true, {}},
    {"qwen3-moe", "qwen3moe", false, {}},
};

class Converter {
 public:
  Converter(const GgufCase& c, const TensorReader& reader, ThreadPool& pool)
      : case_(c), reader_(reader), arch_(reader.arch()), pool_(pool),
        experts_(arch_.sizes.experts > 0) {}

  std::string file() {
    write_metadata();
    table(arch_.embed);
    if (!arch_.tied_head) table(arch_.lm_head);
    for (const Linear& linear : frame_linears(arch_)) table(linear);
    for (const Norm& norm : frame_norms(arch_)) write_norm(norm, 0, *reader_.read_norm(norm, 0));
    for (int64_t layer = 0; layer < arch_.sizes.layers; ++layer) write_block(layer);
    return builder_.build();
  }

 private:
  void write_metadata() {
    const Sizes& sizes = arch_.sizes;
    builder_.string("general.architecture", case_.architecture);
    u32("block_count", sizes.layers), u32("embedding_length", sizes.hidden);
    u32("feed_forward_length", experts_ ? sizes.expert_ffn : sizes.ffn);
    u32("attention.head_count", sizes.heads), u32("attention.head_count_kv", sizes.kv_heads);
    u32("context_length", sizes.context), u32("attention.key_length", sizes.head_dim);
    const bool rms = arch_.final_norm->kind == NormKind::rms;
    f32(rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon",
        arch_.norm_epsilon);
    const Attention& attention = arch_.block.attention;
    for (const LayerAttention& kind : attention.kinds) {
      if (kind.window > 0) u32("attention.sliding_window", kind.window);
    }
    if (const auto* rope = std::get_if<Rope>(&attention.kinds.front().positions)) write_rope(*rope);
    if (const auto* alibi = std::get_if<Alibi>(&attention.kinds.front().positions)) {
      f32("attention.max_alibi_bias", static_cast<float>(alibi->max_bias));
    }
    if (attention.clip > 0) f32("attention.clamp_kqv", attention.clip);
    if (attention.softcap > 0) f32("attn_logit_softcapping", attention.softcap);
    if (arch_.logit_softcap > 0) f32("final_logit_softcapping", arch_.logit_softcap);
    write_multipliers();
    u8("use_parallel_residual", arch_.block.residual != Residual::sequential);
    if (const auto* moe = std::get_if<MoeFfn>(&arch_.block.ffn)) {
      u32("expert_count", moe->experts), u32("expert_used_count", moe->per_token);
      u32("expert_feed_forward_length", sizes.expert_ffn);
    }
  }

  // Only Granite and Command R have keys for these.
  void write_multipliers() {
    if (case_.architecture == "granite") {
      f32("embedding_scale", arch_.embed_multiplier);
      f32("residual_scale", arch_.block.branch_multiplier);
      f32("attention.scale", arch_.block.attention.scale);
      f32("logit_scale", 1 / arch_.logit_multiplier);
    } else if (arch_.logit_multiplier != 1) {
      f32("logit_scale", arch_.logit_multiplier);
    }
  }

  void write_rope(const Rope& rope) {
    f32("rope.freq_base", static_cast<float>(rope.theta));
    u32("rope.dimension_count", rope.rotary_dim);
    const RopeScaling& scaling = rope.scaling;
    if (scaling.kind == RopeScaling::Kind::longrope) {
      for (const bool is_long : {false, true}) {
        const auto& factors = is_long ? scaling.long_factors : scaling.short_factors;
        tensor(is_long ? "rope_factors_long.weight" : "rope_factors_short.weight",
               {static_cast<int64_t>(factors.size())}, factors);
      }
      f32("rope.scaling.attn_factor", rope.magnitude);
    } else if (scaling.kind != RopeScaling::Kind::none) {
      const bool yarn = scaling.kind == RopeScaling::Kind::yarn;
      builder_.string(key("rope.scaling.type"), yarn ? "yarn" : "linear");
      f32("rope.scaling.factor", static_cast<float>(scaling.factor));
    }
    if (scaling.original_context > 0) {
      u32("rope.scaling.original_context_length", static_cast<int64_t>(scaling.original_context));
    }
  }

  void write_block(int64_t layer) {
    const auto block = reader_.read_block(layer, pool_);
    ASSERT_TRUE(block.ok());
    for (const Norm& norm : block_norms(arch_.block)) write_norm(norm, layer, (*block)[norm.slot]);
    std::set<Slot> written;
    for (const Linear& linear : block_linears(arch_.block)) {
      if (linear.slot > Slot::expert_down || written.contains(linear.slot)) continue;
      std::vector<Slot> slots = {linear.slot};
      for (const auto& stack : case_.stacked) {
        if (std::find(stack.begin(), stack.end(), linear.slot) != stack.end()) slots = stack;
      }
      const bool of_expert = linear.slot >= Slot::expert_gate;
      if (of_expert) {
        for (int64_t e = 1; e < arch_.sizes.experts; ++e) slots.push_back(expert_slot(linear.slot, e));
      }
      write_stack(slots, layer, *block, of_expert);
      written.insert(slots.begin(), slots.end());
    }
  }

  // Rows of all slots, one below the other.
  void write_stack(const std::vector<Slot>& slots, int64_t layer, const FloatBlock& block,
                   bool of_expert) {
    std::vector<float> weight, bias;
    int64_t rows = 0, columns = 0;
    for (const Slot slot : slots) {
      const FloatWeights& part = block[slot];
      columns = part.weight.shape[1];
      rows += part.weight.shape[0];
      append(slot, part.weight.values, columns, weight);
      append(slot, part.bias.values, 1, bias);
    }
    const std::string module = name(slots.front(), layer);
    const auto experts = static_cast<int64_t>(slots.size());
    tensor(module + ".weight", of_expert ? std::vector<int64_t>{experts, rows / experts, columns}
                                         : std::vector<int64_t>{rows, columns}, weight);
    if (!bias.empty()) tensor(module + ".bias", {rows}, bias);
  }

  // Pairs (i, i + D/2) of a head become neighbours.
  void append(Slot slot, const std::vector<float>& values, int64_t columns,
              std::vector<float>& to) const {
    const bool paired = case_.paired && (slot == Slot::q || slot == Slot::k);
    const int64_t dim = arch_.sizes.head_dim;
    for (int64_t row = 0; row < static_cast<int64_t>(values.size()) / columns; ++row) {
      const int64_t in_head = row % dim;
      const int64_t from = paired ? row - in_head + in_head % 2 * (dim / 2) + in_head / 2 : row;
      to.insert(to.end(), values.begin() + from * columns, values.begin() + (from + 1) * columns);
    }
  }

  void write_norm(const Norm& norm, int64_t layer, FloatWeights values) {
    for (float& w : values.weight.values) w += norm.weight_offset;
    const auto size = static_cast<int64_t>(values.weight.values.size());
    const int64_t dim = arch_.sizes.head_dim;
    const std::vector<int64_t> shape = norm.own_head_weights ? std::vector<int64_t>{size / dim, dim}
                                                             : std::vector<int64_t>{size};
    tensor(name(norm.slot, layer) + ".weight", shape, values.weight.values);
    if (norm.bias) tensor(name(norm.slot, layer) + ".bias", {size}, values.bias.values);
  }

  void table(const Linear& linear) {
    const Shape shape = linear_shape(arch_, linear);
    tensor(name(linear.slot, 0) + ".weight", {shape[0], shape[1]},
           reader_.read_weight(linear.slot, 0, shape, pool_)->values);
  }

  std::string name(Slot slot, int64_t layer) const {
    return module_name(reader_.family(), Container::gguf, slot, layer);
  }
  void tensor(const std::string& name, std::vector<int64_t> shape,
              const std::vector<float>& values) {
    std::vector<uint64_t> dims(shape.rbegin(), shape.rend());  // innermost first
    builder_.tensor(name, dims, 0,
                    {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  }
  std::string key(std::string_view name) const { return cat(case_.architecture, ".", name); }
  void u32(std::string_view name, int64_t v) { builder_.u32(key(name), static_cast<uint32_t>(v)); }
  void f32(std::string_view name, float v) { builder_.f32(key(name), v); }
  void u8(std::string_view name, bool v) { builder_.value(key(name), 7, std::string(1, v ? 1 : 0)); }

  const GgufCase& case_;
  const TensorReader& reader_;
  const Arch& arch_;
  ThreadPool& pool_;
  bool experts_;
  GgufBuilder builder_;
};

class GgufFamily : public testing::TestWithParam<GgufCase> {};

TEST_P(GgufFamily, SameLogits) {
  const GgufCase& c = GetParam();
  const auto source = Checkpoint::open(path_join(families_path(), c.golden));
  ASSERT_TRUE(source.ok()) << source.error().message;
  const auto reader = TensorReader::open(*source);
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  const auto device = make_cpu_device(2);
  const Ops ops = *make_cpu_ops(*device);
  ASSERT_NE(find_gguf_family(c.architecture, reader->arch().sizes.experts > 0), nullptr);
  const std::string file = Converter(c, *reader, device->pool()).file();

  const auto gguf = Checkpoint::from_gguf(as_bytes(file), c.golden);
  ASSERT_TRUE(gguf.ok()) << gguf.error().message;
  const auto gguf_reader = TensorReader::open(*gguf);
  ASSERT_TRUE(gguf_reader.ok()) << gguf_reader.error().message;
  const auto model = load_model(*gguf_reader, ops);
  ASSERT_TRUE(model.ok()) << model.error().message;
  auto expected = load_model(*reader, ops);
  ASSERT_TRUE(expected.ok());
  if (c.adapt != nullptr) c.adapt(expected->arch);
  const Golden golden = read_family_golden(c.golden);
  const auto tokens = static_cast<int64_t>(golden.prompt.size());
  EXPECT_LT(largest_difference(GoldenRun(*model, tokens).feed(golden.prompt),
                               GoldenRun(*expected, tokens).feed(golden.prompt)),
            1e-4f);
}

INSTANTIATE_TEST_SUITE_P(Families, GgufFamily, testing::ValuesIn(kCases), [](const auto& test) {
  return golden_test_name(test.param.golden);
});

}  // namespace
}  // namespace awq
