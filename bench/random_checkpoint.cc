// Writes a checkpoint of random BF16 weights in the shape of a known Llama, to time `awq quantize`
// where the real weights cannot be had:
//
//   random_checkpoint llama-3-8b TOKENIZER_DIR OUT [LAYERS]
//
// TOKENIZER_DIR: a model whose tokenizer files are copied; its ids must be below the vocabulary.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/float16.h"
#include "base/json.h"
#include "base/thread_pool.h"
#include "model/synthetic.h"

namespace {

using awq::Json;

struct Tensor {
  std::string name;
  int64_t rows, cols;  // cols 0: a vector of ones
  int64_t elements() const { return rows * std::max<int64_t>(cols, 1); }
};

std::vector<Tensor> tensors_of(const awq::Sizes& s) {
  const int64_t heads = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
  std::vector<Tensor> list = {{"model.embed_tokens.weight", s.vocab, s.hidden},
                              {"model.norm.weight", s.hidden, 0},
                              {"lm_head.weight", s.vocab, s.hidden}};
  for (int64_t layer = 0; layer < s.layers; ++layer) {
    const std::string at = "model.layers." + std::to_string(layer) + ".";
    list.push_back({at + "input_layernorm.weight", s.hidden, 0});
    list.push_back({at + "post_attention_layernorm.weight", s.hidden, 0});
    list.push_back({at + "self_attn.q_proj.weight", heads, s.hidden});
    list.push_back({at + "self_attn.k_proj.weight", kv, s.hidden});
    list.push_back({at + "self_attn.v_proj.weight", kv, s.hidden});
    list.push_back({at + "self_attn.o_proj.weight", s.hidden, heads});
    list.push_back({at + "mlp.gate_proj.weight", s.ffn, s.hidden});
    list.push_back({at + "mlp.up_proj.weight", s.ffn, s.hidden});
    list.push_back({at + "mlp.down_proj.weight", s.hidden, s.ffn});
  }
  return list;
}

// Uniform, so that a product keeps the size of its input.
void fill(const Tensor& tensor, awq::ThreadPool& pool, std::vector<uint16_t>& values) {
  values.resize(static_cast<size_t>(tensor.elements()));
  if (tensor.cols == 0) {
    std::fill(values.begin(), values.end(), awq::float_to_bfloat(1.0f));
    return;
  }
  const auto scale = static_cast<float>(std::sqrt(3.0 / static_cast<double>(tensor.cols)) / 32768);
  const uint64_t seed = std::hash<std::string>()(tensor.name);
  pool.parallel_for(tensor.rows, 16, [&](int64_t begin, int64_t end) {
    uint64_t state = seed + static_cast<uint64_t>(begin) * 0x9e3779b97f4a7c15u;
    for (int64_t i = begin * tensor.cols; i < end * tensor.cols; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const auto random = static_cast<int32_t>(state >> 48) - 32768;
      values[static_cast<size_t>(i)] = awq::float_to_bfloat(scale * static_cast<float>(random));
    }
  });
}

int write(const std::string& shape, const std::filesystem::path& tokenizer,
          const std::filesystem::path& out, int64_t layers) {
  const auto config = awq::synthetic_config(shape, layers);
  if (!config.ok()) return std::fprintf(stderr, "%s\n", config.error().message.c_str()), 1;
  const auto arch = awq::synthetic_arch(shape, layers);
  if (!arch.ok()) return std::fprintf(stderr, "%s\n", arch.error().message.c_str()), 1;
  std::filesystem::create_directories(out);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
    std::error_code absent;
    std::filesystem::copy_file(tokenizer / name, out / name,
                               std::filesystem::copy_options::overwrite_existing, absent);
  }
  std::ofstream(out / "config.json") << config->dump(2) << "\n";
  const std::vector<Tensor> tensors = tensors_of(arch->sizes);
  Json header = Json::object();
  uint64_t offset = 0;
  for (const Tensor& t : tensors) {
    const auto bytes = static_cast<uint64_t>(t.elements()) * 2;
    const Json dims = t.cols == 0 ? Json{t.rows} : Json{t.rows, t.cols};
    header[t.name] = {
        {"dtype", "BF16"}, {"shape", dims}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::ofstream file(out / "model.safetensors", std::ios::binary);
  const uint64_t length = text.size();
  file.write(reinterpret_cast<const char*>(&length), sizeof(length));
  file << text;
  awq::ThreadPool pool(0);
  std::vector<uint16_t> values;
  for (const Tensor& t : tensors) {
    fill(t, pool, values);
    file.write(reinterpret_cast<const char*>(values.data()),
               static_cast<std::streamsize>(values.size() * 2));
  }
  return file.flush() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: %s SHAPE TOKENIZER_DIR OUT [LAYERS]\n", argv[0]);
    return 2;
  }
  return write(argv[1], argv[2], argv[3], argc > 4 ? std::atol(argv[4]) : 0);
}
