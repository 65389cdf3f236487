#include "model/synthetic.h"

#include <cmath>
#include <random>

#include "base/float16.h"
#include "base/json.h"
#include "model/family.h"

namespace awq {
namespace {

struct KnownShape {
  std::string_view name, architecture;
  int64_t layers, hidden, heads, kv_heads, ffn, vocab, context;
  std::string_view more = "{}";  // what else config.json says, as JSON
};

constexpr KnownShape kShapes[] = {
    {"tinyllama-1.1b", "LlamaForCausalLM", 22, 2048, 32, 4, 5632, 32000, 2048},
    {"llama-2-7b", "LlamaForCausalLM", 32, 4096, 32, 32, 11008, 32000, 4096},
    {"llama-2-13b", "LlamaForCausalLM", 40, 5120, 40, 40, 13824, 32000, 4096},
    {"llama-2-70b", "LlamaForCausalLM", 80, 8192, 64, 8, 28672, 32000, 4096},
    {"llama-3-8b", "LlamaForCausalLM", 32, 4096, 32, 8, 14336, 128256, 8192},
    {"mistral-7b", "MistralForCausalLM", 32, 4096, 32, 8, 14336, 32000, 32768,
     R"({"sliding_window": 4096})"},
    {"qwen2.5-7b", "Qwen2ForCausalLM", 28, 3584, 28, 4, 18944, 152064, 32768},
    {"qwen3-8b", "Qwen3ForCausalLM", 36, 4096, 32, 8, 12288, 151936, 40960},
    {"gemma-2-9b", "Gemma2ForCausalLM", 42, 3584, 16, 8, 14336, 256000, 8192,
     R"({"head_dim": 256, "query_pre_attn_scalar": 256, "sliding_window": 4096,
         "attn_logit_softcapping": 50, "final_logit_softcapping": 30})"},
    {"phi-3-mini", "Phi3ForCausalLM", 32, 3072, 32, 32, 8192, 32064, 4096,
     R"({"sliding_window": 2047})"},
    {"opt-6.7b", "OPTForCausalLM", 32, 4096, 32, 32, 16384, 50272, 2048},
    {"mpt-7b", "MptForCausalLM", 32, 4096, 32, 32, 16384, 50432, 2048},
    {"falcon-7b", "FalconForCausalLM", 32, 4544, 71, 1, 18176, 65024, 2048},
    {"pythia-6.9b", "GPTNeoXForCausalLM", 32, 4096, 32, 32, 16384, 50432, 2048},
    {"bloom-7b1", "BloomForCausalLM", 30, 4096, 32, 32, 16384, 250880, 2048},
    {"starcoder2-7b", "Starcoder2ForCausalLM", 32, 4608, 36, 4, 18432, 49152, 16384,
     R"({"sliding_window": 4096})"},
    {"mixtral-8x7b", "MixtralForCausalLM", 32, 4096, 32, 8, 14336, 32000, 32768},
    {"qwen3-30b-a3b", "Qwen3MoeForCausalLM", 48, 2048, 32, 4, 6144, 151936, 40960,
     R"({"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768,
         "norm_topk_prob": true})"},
};

}  // namespace

Result<Json> synthetic_config(std::string_view name, int64_t layers) {
  std::string offered;
  for (const KnownShape& shape : kShapes) {
    if (shape.name != name) {
      append_item(offered, shape.name);
      continue;
    }
    Json config = {{"architectures", {shape.architecture}},
                   {"num_hidden_layers", layers > 0 ? layers : shape.layers},
                   {"hidden_size", shape.hidden},
                   {"num_attention_heads", shape.heads},
                   {"num_key_value_heads", shape.kv_heads},
                   {"intermediate_size", shape.ffn},
                   {"vocab_size", shape.vocab},
                   {"max_position_embeddings", shape.context}};
    AWQ_ASSIGN(const Json more, parse_json(shape.more, shape.name));
    config.update(more);
    AWQ_ASSIGN(const Family* family, find_family(Config(config, std::string(name))));
    config["model_type"] = family->name;
    return config;
  }
  return usage_error(
      cat("no synthetic shape \"", printable(name, 40), "\"; choose one of: ", offered));
}

Result<Arch> synthetic_arch(std::string_view name, int64_t layers) {
  AWQ_ASSIGN(Json json, synthetic_config(name, layers));
  const Config config(std::move(json), std::string(name));
  AWQ_ASSIGN(const Family* family, find_family(config));
  return family->describe(config);
}

namespace {

// Halves in [-a, a] with a^2 / 3 = 1 / in: a product keeps the size of its input.
std::vector<uint16_t> random_halves(int64_t out, int64_t in, uint64_t seed) {
  std::vector<uint16_t> values(static_cast<size_t>(out * in));
  const auto scale = static_cast<float>(std::sqrt(3.0 / static_cast<double>(in)) / 32768);
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (uint16_t& value : values) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto random = static_cast<int32_t>(state >> 48) - 32768;
    value = float_to_half(scale * static_cast<float>(random));
  }
  return values;
}

// The same spread, rounded: scales and zeros vary from group to group.
QuantWeight random_quant(const QuantFormat& format, int64_t out, int64_t in, uint64_t seed) {
  std::mt19937_64 random(seed);
  QuantWeight weight;
  weight.format = format;
  weight.out = out;
  weight.in = in;
  weight.codes.resize(static_cast<size_t>(out * in));
  for (uint8_t& code : weight.codes) {
    code = static_cast<uint8_t>(random() & static_cast<uint64_t>(format.max_code()));
  }
  weight.scales.resize(static_cast<size_t>(out * weight.groups()));
  weight.zeros.resize(weight.scales.size());
  const double step = std::sqrt(12.0 / static_cast<double>(in)) / (1 << format.bits);
  for (size_t i = 0; i < weight.scales.size(); ++i) {
    const double vary = 0.75 + 0.5 * static_cast<double>(random() >> 11) * 0x1p-53;
    weight.scales[i] = float_to_half(static_cast<float>(step * vary));
    weight.zeros[i] =
        static_cast<uint8_t>((1 << (format.bits - 1)) - static_cast<int>(random() & 1));
  }
  return weight;
}

}  // namespace

std::unique_ptr<PackedWeight> random_packed_weight(const Ops& ops, const QuantFormat& format,
                                                   int64_t out, int64_t in, uint64_t seed) {
  if (ops.pack_random != nullptr) {
    if (auto weight = ops.pack_random(*ops.device, format, out, in, seed)) return weight;
  }
  return ops.pack_quant(*ops.device, random_quant(format, out, in, seed));
}

namespace {

class Maker {
 public:
  Maker(const SyntheticOptions& options, const Ops& ops) : options_(options), ops_(ops) {}

  LinearWeights half(const Shape& shape) {
    const std::vector<uint16_t> values = random_halves(shape[0], shape[1], ++seed_);
    LinearWeights result;
    result.weight = ops_.pack_float(*ops_.device, {values.data(), DType::f16, shape[0], shape[1]});
    return result;
  }

  LinearWeights linear(const Shape& shape) {
    if (options_.bits == 16) return half(shape);
    return linear(shape, {options_.bits, options_.group, false});
  }

  LinearWeights linear(const Shape& shape, const QuantFormat& format) {
    LinearWeights result;
    result.weight = random_packed_weight(ops_, format, shape[0], shape[1], ++seed_);
    return result;
  }

  NormWeights norm(const Arch& arch, const Norm& record) {
    const auto size = static_cast<size_t>(norm_size(arch, record));
    NormWeights result;
    result.weight =
        upload_floats(*ops_.device, std::vector<float>(size, 1 - record.weight_offset));
    if (record.bias) result.bias = zeros(static_cast<int64_t>(size));
    return result;
  }

  DeviceBuffer zeros(int64_t size) {
    return upload_floats(*ops_.device, std::vector<float>(static_cast<size_t>(size), 0.0f));
  }

 private:
  const SyntheticOptions& options_;
  const Ops& ops_;
  uint64_t seed_ = 0;
};

}  // namespace

std::vector<std::string_view> synthetic_shapes() {
  std::vector<std::string_view> names;
  for (const KnownShape& shape : kShapes) names.push_back(shape.name);
  return names;
}

Result<Model> make_synthetic_model(const SyntheticOptions& options, const Ops& ops) {
  const int bits = options.bits;
  if (bits != 2 && bits != 3 && bits != 4 && bits != 8 && bits != 16) {
    return usage_error(cat("--bits ", bits, ": choose 2, 3, 4, 8 or 16"));
  }
  if (options.head_bits != 8 && options.head_bits != 16) {
    return usage_error(cat("--head-bits ", options.head_bits, ": choose 8 or 16"));
  }
  Model model;
  AWQ_ASSIGN(model.arch, synthetic_arch(options.shape, options.layers));
  for (const Linear& linear : block_linears(model.arch.block)) {
    const int64_t in = linear_shape(model.arch, linear)[1];
    if (bits == 16 || options.group == 0 || in % options.group == 0) continue;
    return usage_error(cat("--group ", options.group, " does not divide the ", in, " inputs of ",
                           slot_name(linear.slot), " of ", options.shape, "; use a smaller one"));
  }
  model.ops = ops;
  Maker maker(options, ops);
  const Arch& arch = model.arch;
  model.embed = maker.half(linear_shape(arch, arch.embed));
  if (options.head_bits == 8) {  // beside a tied embedding, as quantize writes it
    const Shape shape = linear_shape(arch, arch.tied_head ? arch.embed : arch.lm_head);
    model.lm_head = maker.linear(shape, {8, options.group, false});
    model.arch.tied_head = false;
  } else if (!arch.tied_head) {
    model.lm_head = maker.half(linear_shape(arch, arch.lm_head));
  }
  for (const Norm& n : frame_norms(arch)) {
    (n.slot == Slot::embed_norm ? model.embed_norm : model.final_norm) = maker.norm(arch, n);
  }
  if (arch.learned_positions) {
    model.position_table = maker.half(linear_shape(arch, arch.learned_positions->table));
  }
  prepare_tables(model);
  for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
    BlockWeights block;
    for (const Norm& n : block_norms(arch.block)) block.norm(n.slot) = maker.norm(arch, n);
    for (const Linear& l : block_linears(arch.block)) {
      LinearWeights& to = block.linear(l.slot);
      const Shape shape = linear_shape(arch, l);
      to = l.keep_float ? maker.half(shape) : maker.linear(shape);
      if (l.bias) to.bias = maker.zeros(shape[0]);
    }
    model.blocks.push_back(std::move(block));
  }
  if (bits != 16) model.quantization = QuantFormat{bits, options.group, false};
  return model;
}

}  // namespace awq
