#include "quant/quantized_writer.h"

#include <cmath>

#include "base/float16.h"

namespace awq {
namespace {

std::string tensor_name(const Family& family, Slot slot, int64_t layer, std::string_view part) {
  return cat(module_name(family, Container::hugging_face, slot, layer), part);
}

// Embeddings and heads keep a 16-bit type; everything else becomes half precision.
DType table_dtype(const TensorReader& reader, Slot slot) {
  const TensorInfo* raw = reader.raw_weight(slot, 0);
  return raw != nullptr && raw->dtype == DType::bf16 ? DType::bf16 : DType::f16;
}

std::vector<TensorDeclaration> declare(const TensorReader& reader, const QuantFormat& format) {
  const Arch& arch = reader.arch();
  const Family& family = reader.family();
  std::vector<TensorDeclaration> tensors;
  const auto vector = [&](Slot slot, int64_t layer, std::string_view part, int64_t size) {
    tensors.push_back({tensor_name(family, slot, layer, part), DType::f32, {size}});
  };
  const auto norm = [&](const Norm& n, int64_t layer) {
    vector(n.slot, layer, ".weight", arch.sizes.hidden);
    if (n.bias) vector(n.slot, layer, ".bias", arch.sizes.hidden);
  };
  const auto table = [&](const Linear& linear) {
    tensors.push_back({tensor_name(family, linear.slot, 0, ".weight"),
                       table_dtype(reader, linear.slot), linear_shape(arch, linear)});
    if (linear.bias) vector(linear.slot, 0, ".bias", linear_shape(arch, linear)[0]);
  };
  table(arch.embed);
  if (!arch.tied_head) table(arch.lm_head);
  norm(arch.final_norm, 0);
  for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
    for (const Norm& n : block_norms(arch.block)) norm(n, layer);
    for (const Linear& linear : block_linears(arch.block)) {
      const Shape shape = linear_shape(arch, linear);
      const std::string module =
          module_name(family, Container::hugging_face, linear.slot, layer);
      for (TensorDeclaration& tensor :
           packed_tensors(packed_format_for(format), format, shape[0], shape[1], module)) {
        tensors.push_back(std::move(tensor));
      }
      if (linear.bias) vector(linear.slot, layer, ".bias", shape[0]);
    }
  }
  return tensors;
}

}  // namespace

Result<QuantizedWriter> QuantizedWriter::create(const TensorReader& reader,
                                                const QuantFormat& format,
                                                const OutputDirectory& output) {
  AWQ_ASSIGN(SafetensorsWriter writer,
             SafetensorsWriter::create(output, declare(reader, format)));
  return QuantizedWriter(reader, format, std::move(writer));
}

Status QuantizedWriter::write_vector(Slot slot, int64_t layer, std::string_view part,
                                     const FloatTensor& tensor) {
  return writer_.write(tensor_name(reader_->family(), slot, layer, part), tensor.values.data(),
                       tensor.values.size() * sizeof(float));
}

Status QuantizedWriter::write_table(const Linear& linear, ThreadPool& pool) {
  const std::string name = tensor_name(reader_->family(), linear.slot, 0, ".weight");
  const TensorInfo* raw = reader_->raw_weight(linear.slot, 0);
  if (raw != nullptr && raw->dtype != DType::f32) {
    AWQ_TRY(writer_.write(name, raw->data.data(), raw->data.size()));
    reader_->checkpoint().release(*raw);
  } else {
    AWQ_ASSIGN(const std::vector<uint16_t> half, reader_->read_half(linear, 0, pool));
    if (half.empty()) {
      return bad_input(cat(printable(reader_->checkpoint().path()), ": tensor ", name,
                           " holds a value beyond 65504, which half precision cannot hold"));
    }
    AWQ_TRY(writer_.write(name, half.data(), half.size() * sizeof(uint16_t)));
  }
  AWQ_ASSIGN(const FloatTensor bias,
             reader_->read_bias(linear.slot, 0, {linear_shape(reader_->arch(), linear)[0]},
                                linear.bias));
  return bias.empty() ? Status() : write_vector(linear.slot, 0, ".bias", bias);
}

Status QuantizedWriter::write_frame(ThreadPool& pool) {
  const Arch& arch = reader_->arch();
  AWQ_TRY(write_table(arch.embed, pool));
  if (!arch.tied_head) AWQ_TRY(write_table(arch.lm_head, pool));
  const Shape shape{arch.sizes.hidden};
  AWQ_ASSIGN(const FloatTensor weight, reader_->read_weight(Slot::final_norm, 0, shape, pool));
  AWQ_TRY(write_vector(Slot::final_norm, 0, ".weight", weight));
  AWQ_ASSIGN(const FloatTensor bias,
             reader_->read_bias(Slot::final_norm, 0, shape, arch.final_norm.bias));
  return bias.empty() ? Status() : write_vector(Slot::final_norm, 0, ".bias", bias);
}

Status QuantizedWriter::write_block(int64_t layer, const FloatBlock& block, Arithmetic arithmetic,
                                    ThreadPool& pool) {
  const Arch& arch = reader_->arch();
  for (const Norm& norm : block_norms(arch.block)) {
    AWQ_TRY(write_vector(norm.slot, layer, ".weight", block[norm.slot].weight));
    if (norm.bias) AWQ_TRY(write_vector(norm.slot, layer, ".bias", block[norm.slot].bias));
  }
  for (const Linear& linear : block_linears(arch.block)) {
    const FloatWeights& weights = block[linear.slot];
    AWQ_TRY(write_packed(
        writer_, packed_format_for(format_),
        module_name(reader_->family(), Container::hugging_face, linear.slot, layer),
        round_weight(weights.weight, format_, pool, arithmetic)));
    if (linear.bias) AWQ_TRY(write_vector(linear.slot, layer, ".bias", weights.bias));
  }
  return {};
}

}  // namespace awq
