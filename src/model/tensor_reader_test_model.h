// A Llama of a few numbers in memory, as a Hugging Face checkpoint or as GGUF; tests break it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "checkpoint/test_files.h"
#include "model/tensor_reader.h"

namespace awq {

struct TinyTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

/// hidden 8, 2 heads of 4, 1 kv head, ffn 12, vocabulary 10, 1 layer; the head is tied.
struct TinyLlama {
  Json config = {{"architectures", {"LlamaForCausalLM"}},
                 {"model_type", "llama"},
                 {"hidden_size", 8},
                 {"num_hidden_layers", 1},
                 {"num_attention_heads", 2},
                 {"num_key_value_heads", 1},
                 {"intermediate_size", 12},
                 {"vocab_size", 10},
                 {"rms_norm_eps", 1e-5},
                 {"max_position_embeddings", 64},
                 {"tie_word_embeddings", true}};
  std::map<std::string, TinyTensor> tensors;

  TinyLlama() {
    const std::string block = "model.layers.0.";
    add("model.embed_tokens.weight", {10, 8});
    add("model.norm.weight", {8});
    add(block + "input_layernorm.weight", {8});
    add(block + "post_attention_layernorm.weight", {8});
    add(block + "self_attn.q_proj.weight", {8, 8});
    add(block + "self_attn.k_proj.weight", {4, 8});
    add(block + "self_attn.v_proj.weight", {4, 8});
    add(block + "self_attn.o_proj.weight", {8, 8});
    add(block + "mlp.gate_proj.weight", {12, 8});
    add(block + "mlp.up_proj.weight", {12, 8});
    add(block + "mlp.down_proj.weight", {8, 12});
  }

  void add(const std::string& name, const std::vector<int64_t>& shape) {
    TinyTensor& tensor = tensors[name];
    tensor.shape = shape;
    tensor.values.resize(static_cast<size_t>(Shape(shape).elements()));
    float next = static_cast<float>(tensors.size());
    for (float& value : tensor.values) value = next += 0.25f;
  }

  Result<Checkpoint> checkpoint() const {
    Json header = Json::object();
    std::string data;
    for (const auto& [name, tensor] : tensors) {
      const size_t begin = data.size();
      for (const float value : tensor.values) data += le(value);
      header[name] = {
          {"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
    }
    return Checkpoint::from_safetensors(
        dump_json(config), as_bytes(safetensors_file(dump_json(header), data)), "tiny");
  }

  /// What opening it as a model says.
  Status open() const {
    AWQ_ASSIGN(const Checkpoint source, checkpoint());
    AWQ_TRY(TensorReader::open(source));
    return {};
  }
};

/// The metadata of the same model; tensors of `llama` by their GGUF names, q and k interleaved.
inline GgufBuilder tiny_gguf(const TinyLlama& llama = {}) {
  GgufBuilder builder;
  builder.string("general.architecture", "llama").u32("llama.embedding_length", 8);
  builder.u32("llama.block_count", 1).u32("llama.attention.head_count", 2);
  builder.u32("llama.attention.head_count_kv", 1).u32("llama.feed_forward_length", 12);
  builder.u32("llama.context_length", 64).f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  const std::pair<const char*, const char*> names[] = {
      {"model.embed_tokens", "token_embd"},
      {"model.norm", "output_norm"},
      {"model.layers.0.input_layernorm", "blk.0.attn_norm"},
      {"model.layers.0.post_attention_layernorm", "blk.0.ffn_norm"},
      {"model.layers.0.self_attn.q_proj", "blk.0.attn_q"},
      {"model.layers.0.self_attn.k_proj", "blk.0.attn_k"},
      {"model.layers.0.self_attn.v_proj", "blk.0.attn_v"},
      {"model.layers.0.self_attn.o_proj", "blk.0.attn_output"},
      {"model.layers.0.mlp.gate_proj", "blk.0.ffn_gate"},
      {"model.layers.0.mlp.up_proj", "blk.0.ffn_up"},
      {"model.layers.0.mlp.down_proj", "blk.0.ffn_down"}};
  for (const auto& [ours, theirs] : names) {
    const TinyTensor& tensor = llama.tensors.at(cat(ours, ".weight"));
    const std::string name = theirs;
    const bool interleaved = name == "blk.0.attn_q" || name == "blk.0.attn_k";
    const auto columns = static_cast<size_t>(tensor.shape.back());
    std::string data;
    for (size_t row = 0; row < tensor.values.size() / columns; ++row) {
      // Heads of 4: file rows 0 1 2 3 hold rows 0 2 1 3.
      const size_t from = interleaved ? row / 4 * 4 + row % 2 * 2 + row % 4 / 2 : row;
      for (size_t c = 0; c < columns; ++c) data += le(tensor.values[from * columns + c]);
    }
    std::vector<uint64_t> dims;
    for (size_t i = tensor.shape.size(); i > 0; --i) {
      dims.push_back(static_cast<uint64_t>(tensor.shape[i - 1]));
    }
    builder.tensor(name + ".weight", dims, 0, data);
  }
  return builder;
}

}  // namespace awq
