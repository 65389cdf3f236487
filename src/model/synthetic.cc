#include "model/synthetic.h"

#include <cmath>
#include <random>

#include "base/float16.h"
#include "base/json.h"
#include "model/family.h"

namespace awq {
namespace {

struct KnownShape {
  std::string_view name;
  int64_t layers, hidden, heads, kv_heads, ffn, vocab, context;
};

constexpr KnownShape kShapes[] = {
    {"tinyllama-1.1b", 22, 2048, 32, 4, 5632, 32000, 2048},
    {"llama-2-7b", 32, 4096, 32, 32, 11008, 32000, 4096},
    {"llama-2-13b", 40, 5120, 40, 40, 13824, 32000, 4096},
    {"llama-2-70b", 80, 8192, 64, 8, 28672, 32000, 4096},
    {"llama-3-8b", 32, 4096, 32, 8, 14336, 128256, 8192},
};

}  // namespace

Result<Json> synthetic_config(std::string_view name, int64_t layers) {
  std::string offered;
  for (const KnownShape& shape : kShapes) {
    if (shape.name != name) {
      append_item(offered, shape.name);
      continue;
    }
    return Json{{"architectures", {"LlamaForCausalLM"}},
                {"model_type", "llama"},
                {"num_hidden_layers", layers > 0 ? layers : shape.layers},
                {"hidden_size", shape.hidden},
                {"num_attention_heads", shape.heads},
                {"num_key_value_heads", shape.kv_heads},
                {"intermediate_size", shape.ffn},
                {"vocab_size", shape.vocab},
                {"max_position_embeddings", shape.context}};
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
    const QuantFormat format{options_.bits, options_.group, false};
    LinearWeights result;
    result.weight = random_packed_weight(ops_, format, shape[0], shape[1], ++seed_);
    return result;
  }

  NormWeights norm(int64_t dim) {
    NormWeights result;
    result.weight = upload_floats(*ops_.device, std::vector<float>(static_cast<size_t>(dim), 1.0f));
    return result;
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
  Model model;
  AWQ_ASSIGN(model.arch, synthetic_arch(options.shape, options.layers));
  model.ops = ops;
  Maker maker(options, ops);
  const int64_t hidden = model.arch.sizes.hidden;
  model.embed = maker.half(linear_shape(model.arch, model.arch.embed));
  model.lm_head = maker.half(linear_shape(model.arch, model.arch.lm_head));
  model.final_norm = maker.norm(hidden);
  model.inverse_frequency =
      inverse_frequencies(std::get<Rope>(model.arch.block.attention.positions));
  for (int64_t layer = 0; layer < model.arch.sizes.layers; ++layer) {
    BlockWeights block;
    for (const Norm& n : block_norms(model.arch.block)) block.norm(n.slot) = maker.norm(hidden);
    for (const Linear& l : block_linears(model.arch.block)) {
      block.linear(l.slot) = maker.linear(linear_shape(model.arch, l));
    }
    model.blocks.push_back(std::move(block));
  }
  if (bits != 16) model.quantization = QuantFormat{bits, options.group, false};
  return model;
}

}  // namespace awq
