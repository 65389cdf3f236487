#include "quant/quantized_writer.h"

#include <cmath>

#include "base/float16.h"

namespace awq {
namespace {

constexpr uint64_t kShardBytes = uint64_t{5} << 30;

std::string tensor_name(const Family& family, Slot slot, int64_t layer, std::string_view part) {
  return cat(module_name(family, Container::hugging_face, slot, layer), part);
}

// Embeddings and heads keep a 16-bit type; everything else becomes half precision.
DType table_dtype(const TensorReader& reader, Slot slot) {
  const TensorInfo* raw = reader.raw_weight(slot, 0);
  return raw != nullptr && raw->dtype == DType::bf16 ? DType::bf16 : DType::f16;
}

class Declarations {
 public:
  Declarations(const TensorReader& reader, const FormatPlan& formats)
      : reader_(reader), formats_(formats), arch_(reader.arch()) {}

  std::vector<TensorDeclaration> all() {
    std::vector<TensorDeclaration> tensors = frame();
    for (int64_t layer = 0; layer < arch_.sizes.layers; ++layer) {
      for (TensorDeclaration& tensor : block(layer)) tensors.push_back(std::move(tensor));
    }
    return tensors;
  }

  std::vector<TensorDeclaration> frame() {
    tensors_.clear();
    table(arch_.embed);
    if (const auto head = formats_.head()) {
      packed(arch_.lm_head, 0, *head);
    } else if (!arch_.tied_head) {
      table(arch_.lm_head);
    }
    norm(arch_.final_norm, 0);
    return std::move(tensors_);
  }

  std::vector<TensorDeclaration> block(int64_t layer) {
    tensors_.clear();
    for (const Norm& n : block_norms(arch_.block)) norm(n, layer);
    for (const Linear& linear : block_linears(arch_.block)) {
      if (const auto format = formats_.of(layer, linear.slot)) {
        packed(linear, layer, *format);
      } else {
        matrix(linear, layer, DType::f16);
      }
    }
    return std::move(tensors_);
  }

 private:
  void vector(Slot slot, int64_t layer, std::string_view part, int64_t size) {
    tensors_.push_back({tensor_name(reader_.family(), slot, layer, part), DType::f32, {size}});
  }
  void norm(const Norm& n, int64_t layer) {
    vector(n.slot, layer, ".weight", arch_.sizes.hidden);
    if (n.bias) vector(n.slot, layer, ".bias", arch_.sizes.hidden);
  }
  void bias(const Linear& linear, int64_t layer) {
    if (linear.bias) vector(linear.slot, layer, ".bias", linear_shape(arch_, linear)[0]);
  }
  void matrix(const Linear& linear, int64_t layer, DType dtype) {
    tensors_.push_back({tensor_name(reader_.family(), linear.slot, layer, ".weight"), dtype,
                        linear_shape(arch_, linear)});
    bias(linear, layer);
  }
  void table(const Linear& linear) { matrix(linear, 0, table_dtype(reader_, linear.slot)); }
  void packed(const Linear& linear, int64_t layer, const QuantFormat& format) {
    const Shape shape = linear_shape(arch_, linear);
    const std::string module =
        module_name(reader_.family(), Container::hugging_face, linear.slot, layer);
    for (TensorDeclaration& tensor :
         packed_tensors(formats_.packed(), format, shape[0], shape[1], module)) {
      tensors_.push_back(std::move(tensor));
    }
    bias(linear, layer);
  }

  const TensorReader& reader_;
  const FormatPlan& formats_;
  const Arch& arch_;
  std::vector<TensorDeclaration> tensors_;
};

}  // namespace

Result<QuantizedWriter> QuantizedWriter::create(const TensorReader& reader,
                                                const FormatPlan& formats,
                                                const OutputDirectory& output, bool resume) {
  AWQ_ASSIGN(SafetensorsWriter writer,
             SafetensorsWriter::create(output, Declarations(reader, formats).all(),
                                       kShardBytes, resume));
  return QuantizedWriter(reader, formats, std::move(writer));
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
  if (formats_.head()) {
    AWQ_TRY(write_head(pool));
  } else if (!arch.tied_head) {
    AWQ_TRY(write_table(arch.lm_head, pool));
  }
  const Shape shape{arch.sizes.hidden};
  AWQ_ASSIGN(const FloatTensor weight, reader_->read_weight(Slot::final_norm, 0, shape, pool));
  AWQ_TRY(write_vector(Slot::final_norm, 0, ".weight", weight));
  AWQ_ASSIGN(const FloatTensor bias,
             reader_->read_bias(Slot::final_norm, 0, shape, arch.final_norm.bias));
  return bias.empty() ? Status() : write_vector(Slot::final_norm, 0, ".bias", bias);
}

// Rounded to nearest; a tied head is the embedding, packed beside it.
Status QuantizedWriter::write_head(ThreadPool& pool) {
  const Arch& arch = reader_->arch();
  const Shape shape = linear_shape(arch, arch.lm_head);
  const Slot slot = arch.tied_head ? Slot::embed : Slot::lm_head;
  AWQ_ASSIGN(const FloatTensor weight, reader_->read_weight(slot, 0, shape, pool));
  AWQ_TRY(write_packed(writer_, formats_.packed(),
                       module_name(reader_->family(), Container::hugging_face, Slot::lm_head),
                       round_weight(weight, *formats_.head(), pool)));
  AWQ_ASSIGN(const FloatTensor bias,
             reader_->read_bias(Slot::lm_head, 0, {shape[0]}, arch.lm_head.bias));
  return bias.empty() ? Status() : write_vector(Slot::lm_head, 0, ".bias", bias);
}

Status QuantizedWriter::write_half(Slot slot, int64_t layer, const FloatTensor& tensor) {
  std::vector<uint16_t> half(tensor.values.size());
  for (size_t i = 0; i < half.size(); ++i) {
    half[i] = float_to_half(tensor.values[i]);
    if (std::isfinite(half_to_float(half[i]))) continue;
    return bad_input(cat(printable(reader_->checkpoint().path()), ": ", slot_name(slot),
                         " of layer ", layer, " holds ", tensor.values[i],
                         ", which half precision cannot hold; do not --keep it"));
  }
  return writer_.write(tensor_name(reader_->family(), slot, layer, ".weight"), half.data(),
                       half.size() * sizeof(uint16_t));
}

Status QuantizedWriter::write_block(int64_t layer, const FloatBlock& block,
                                    const RoundedBlock& rounded, Arithmetic arithmetic,
                                    ThreadPool& pool) {
  const Arch& arch = reader_->arch();
  for (const Norm& norm : block_norms(arch.block)) {
    AWQ_TRY(write_vector(norm.slot, layer, ".weight", block[norm.slot].weight));
    if (norm.bias) AWQ_TRY(write_vector(norm.slot, layer, ".bias", block[norm.slot].bias));
  }
  for (const Linear& linear : block_linears(arch.block)) {
    const FloatWeights& weights = block[linear.slot];
    const auto& ready = rounded[static_cast<size_t>(linear.slot)];
    const auto format = formats_.of(layer, linear.slot);
    if (!format) {
      AWQ_TRY(write_half(linear.slot, layer, weights.weight));
    } else {
      AWQ_TRY(write_packed(
          writer_, formats_.packed(),
          module_name(reader_->family(), Container::hugging_face, linear.slot, layer),
          ready ? *ready : round_weight(weights.weight, *format, pool, arithmetic)));
    }
    if (linear.bias) AWQ_TRY(write_vector(linear.slot, layer, ".bias", weights.bias));
  }
  return {};
}

void QuantizedWriter::keep_frame() {
  for (const TensorDeclaration& tensor : Declarations(*reader_, formats_).frame()) {
    writer_.keep(tensor.name);
  }
}

void QuantizedWriter::keep_block(int64_t layer) {
  for (const TensorDeclaration& tensor : Declarations(*reader_, formats_).block(layer)) {
    writer_.keep(tensor.name);
  }
}

Result<FloatTensor> QuantizedWriter::read_vector(Slot slot, int64_t layer, std::string_view part,
                                                 int64_t size) {
  FloatTensor tensor{{size}, std::vector<float>(static_cast<size_t>(size))};
  AWQ_TRY(writer_.read_back(tensor_name(reader_->family(), slot, layer, part),
                            tensor.values.data(), tensor.values.size() * sizeof(float)));
  return tensor;
}

Result<FloatTensor> QuantizedWriter::read_matrix(const Linear& linear, int64_t layer,
                                                 ThreadPool& pool) {
  const Shape shape = linear_shape(reader_->arch(), linear);
  const std::string module =
      module_name(reader_->family(), Container::hugging_face, linear.slot, layer);
  if (const auto format = formats_.of(layer, linear.slot)) {
    AWQ_ASSIGN(const QuantWeight codes,
               read_packed(writer_, formats_.packed(), *format, shape[0], shape[1], module));
    return dequantize_weight(codes, pool);
  }
  std::vector<uint16_t> half(static_cast<size_t>(shape.elements()));
  AWQ_TRY(writer_.read_back(module + ".weight", half.data(), half.size() * sizeof(uint16_t)));
  FloatTensor tensor{shape, std::vector<float>(half.size())};
  for (size_t i = 0; i < half.size(); ++i) tensor.values[i] = half_to_float(half[i]);
  return tensor;
}

Result<FloatBlock> QuantizedWriter::read_block(int64_t layer, ThreadPool& pool) {
  const Arch& arch = reader_->arch();
  FloatBlock block;
  for (const Norm& norm : block_norms(arch.block)) {
    AWQ_ASSIGN(block[norm.slot].weight, read_vector(norm.slot, layer, ".weight", arch.sizes.hidden));
    if (!norm.bias) continue;
    AWQ_ASSIGN(block[norm.slot].bias, read_vector(norm.slot, layer, ".bias", arch.sizes.hidden));
  }
  for (const Linear& linear : block_linears(arch.block)) {
    AWQ_ASSIGN(block[linear.slot].weight, read_matrix(linear, layer, pool));
    if (!linear.bias) continue;
    AWQ_ASSIGN(block[linear.slot].bias,
               read_vector(linear.slot, layer, ".bias", linear_shape(arch, linear)[0]));
  }
  return block;
}

}  // namespace awq
