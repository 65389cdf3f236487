#include "model/weights.h"

#include "base/float16.h"

namespace awq {

uint64_t Model::bytes_per_token() const {
  uint64_t bytes = head().bytes, experts = 0;
  for (const BlockWeights& block : blocks) {
    for (const Linear& linear : block_linears(arch.block)) {
      const bool of_expert = linear.slot >= Slot::expert_gate;
      (of_expert ? experts : bytes) += block.linear(linear.slot).weight->bytes;
    }
  }
  const auto* moe = std::get_if<MoeFfn>(&arch.block.ffn);
  return moe == nullptr ? bytes
                        : bytes + experts * static_cast<uint64_t>(moe->per_token) /
                                      static_cast<uint64_t>(moe->experts);
}

void prepare_tables(Model& model) {
  const Attention& attention = model.arch.block.attention;
  model.positions.clear();
  for (const LayerAttention& kind : attention.kinds) {
    PositionTables tables;
    if (const auto* rope = std::get_if<Rope>(&kind.positions)) {
      tables.inverse_frequency = inverse_frequencies(*rope);
    } else if (const auto* alibi = std::get_if<Alibi>(&kind.positions)) {
      tables.alibi_slopes = alibi_slopes(*alibi, model.arch.sizes.heads);
    }
    model.positions.push_back(std::move(tables));
  }
  if (attention.q_norm && attention.q_norm->own_head_weights) {
    model.ones = upload_floats(
        *model.ops.device, std::vector<float>(static_cast<size_t>(model.arch.sizes.head_dim), 1));
  }
}

DeviceBuffer upload_floats(Device& device, const std::vector<float>& values) {
  if (values.empty()) return {};
  DeviceBuffer buffer(device, values.size() * sizeof(float));
  device.upload(buffer.data(), values.data(), buffer.size());
  return buffer;
}

DeviceBuffer upload_inverse(Device& device, const FloatTensor& scale) {
  std::vector<float> factors;
  for (const float value : scale.values) factors.push_back(1 / value);
  return upload_floats(device, factors);
}

namespace {

// Where the tensor lies, or a copy in `storage`: kernels read whole numbers, files may hold them at
// any byte.
const std::byte* aligned(const TensorInfo& tensor, std::vector<std::byte>& storage) {
  const auto address = reinterpret_cast<uintptr_t>(tensor.data.data());
  if (address % dtype_info(tensor.dtype).block_bytes == 0) return tensor.data.data();
  storage.assign(tensor.data.begin(), tensor.data.end());
  return storage.data();
}

class Loader {
 public:
  Loader(const TensorReader& reader, const Ops& ops)
      : reader_(reader), ops_(ops), device_(*ops.device) {}

  Result<LinearWeights> linear(const Linear& linear, int64_t layer) const {
    const Shape shape = linear_shape(reader_.arch(), linear);
    LinearWeights result;
    if (reader_.is_quantized(linear.slot, layer)) {
      AWQ_ASSIGN(result.weight, quantized(linear, layer));
    } else if (const TensorInfo* raw = reader_.raw_weight(linear.slot, layer)) {
      std::vector<std::byte> storage;
      result.weight =
          ops_.pack_float(device_, {aligned(*raw, storage), raw->dtype, shape[0], shape[1]});
      AWQ_TRY(reader_.checkpoint().check_unchanged());
      reader_.checkpoint().release(*raw);
    } else {
      AWQ_ASSIGN(result.weight, packed(linear, layer, shape));
    }
    AWQ_ASSIGN(const FloatTensor bias,
               reader_.read_bias(linear.slot, layer, {shape[0]}, linear.bias));
    result.bias = upload_floats(device_, bias.values);
    return result;
  }

  Result<NormWeights> norm(const Norm& norm, int64_t layer) const {
    AWQ_ASSIGN(const FloatWeights values, reader_.read_norm(norm, layer));
    NormWeights result;
    result.weight = upload_floats(device_, values.weight.values);
    result.bias = upload_floats(device_, values.bias.values);
    return result;
  }

  Result<BlockWeights> block(int64_t layer) const {
    BlockWeights result;
    for (const Norm& n : block_norms(reader_.arch().block)) {
      AWQ_ASSIGN(result.norm(n.slot), norm(n, layer));
    }
    for (const Linear& l : block_linears(reader_.arch().block)) {
      AWQ_ASSIGN(result.linear(l.slot), linear(l, layer));
    }
    AWQ_ASSIGN(const FloatTensor scale, reader_.read_activation_scale(layer));
    result.activation_factor = upload_inverse(device_, scale);
    return result;
  }

 private:
  // By the words of the file where the backend takes them: no code is touched on the host.
  Result<std::unique_ptr<PackedWeight>> quantized(const Linear& linear, int64_t layer) const {
    if (ops_.pack_words != nullptr) {
      AWQ_ASSIGN(const std::optional<PackedQuant> packed,
                 reader_.read_packed_linear(linear, layer));
      if (packed) {
        std::unique_ptr<PackedWeight> weight =
            ops_.pack_words(device_, packed->facts, packed->words);
        AWQ_TRY(reader_.checkpoint().check_unchanged());
        if (weight != nullptr) return weight;
      }
    }
    AWQ_ASSIGN(const QuantWeight weight, reader_.read_quantized_linear(linear, layer));
    return ops_.pack_quant(device_, weight);
  }

  // What does not lie as it is used: floats put in order, blocks decoded to halves where they fit.
  Result<std::unique_ptr<PackedWeight>> packed(const Linear& linear, int64_t layer,
                                               const Shape& shape) const {
    DType dtype = DType::f32;
    AWQ_ASSIGN(const std::vector<std::byte> plain, reader_.read_plain(linear, layer, dtype));
    if (!plain.empty()) return ops_.pack_float(device_, {plain.data(), dtype, shape[0], shape[1]});
    AWQ_ASSIGN(const std::vector<uint16_t> half, reader_.read_half(linear, layer, device_.pool()));
    if (!half.empty()) {
      return ops_.pack_float(device_, {half.data(), DType::f16, shape[0], shape[1]});
    }
    AWQ_ASSIGN(const FloatTensor weight,
               reader_.read_weight(linear.slot, layer, shape, device_.pool()));
    return ops_.pack_float(device_, {weight.values.data(), DType::f32, shape[0], shape[1]});
  }

  const TensorReader& reader_;
  const Ops& ops_;
  Device& device_;
};

}  // namespace

Result<Model> load_frame(const TensorReader& reader, const Ops& ops, Tables tables) {
  const Loader loader(reader, ops);
  Model model;
  model.arch = reader.arch();
  model.ops = ops;
  AWQ_ASSIGN(model.embed, loader.linear(model.arch.embed, 0));
  if (!model.arch.tied_head && tables == Tables::both) {
    AWQ_ASSIGN(model.lm_head, loader.linear(model.arch.lm_head, 0));
  }
  const Arch& arch = model.arch;
  for (const Norm& norm : frame_norms(arch)) {
    NormWeights& to = norm.slot == Slot::embed_norm ? model.embed_norm : model.final_norm;
    AWQ_ASSIGN(to, loader.norm(norm, 0));
  }
  for (const Linear& linear : frame_linears(arch)) {
    LinearWeights& to = linear.slot == Slot::position_table ? model.position_table
                        : linear.slot == Slot::project_in   ? model.project_in
                                                            : model.project_out;
    AWQ_ASSIGN(to, loader.linear(linear, 0));
  }
  prepare_tables(model);
  if (reader.quantization()) model.quantization = reader.quantization()->format;
  return model;
}

Result<Model> load_model(const TensorReader& reader, const Ops& ops) {
  AWQ_ASSIGN(Model model, load_frame(reader, ops));
  const Loader loader(reader, ops);
  for (int64_t layer = 0; layer < model.arch.sizes.layers; ++layer) {
    AWQ_ASSIGN(BlockWeights block, loader.block(layer));
    model.blocks.push_back(std::move(block));
    reader.release_block(layer);
  }
  AWQ_TRY(reader.checkpoint().check_unchanged());
  return model;
}

BlockWeights pack_block(const Arch& arch, const FloatBlock& block, const Ops& ops) {
  Device& device = *ops.device;
  BlockWeights result;
  for (const Norm& n : block_norms(arch.block)) {
    result.norm(n.slot).weight = upload_floats(device, block[n.slot].weight.values);
    result.norm(n.slot).bias = upload_floats(device, block[n.slot].bias.values);
  }
  for (const Linear& l : block_linears(arch.block)) {
    const FloatTensor& weight = block[l.slot].weight;
    result.linear(l.slot).weight = ops.pack_float(
        device, {weight.values.data(), DType::f32, weight.shape[0], weight.shape[1]});
    result.linear(l.slot).bias = upload_floats(device, block[l.slot].bias.values);
  }
  result.activation_factor = upload_inverse(device, block[Slot::act].weight);
  return result;
}

}  // namespace awq
