#include "quant/quantized_writer.h"

#include <cmath>

#include "base/float16.h"

namespace awq {
namespace {

Placement place_of(const TensorReader& reader, const Linear& linear, int64_t layer) {
  return placement(reader.family(), Container::hugging_face, reader.arch(), linear.slot,
                   linear_shape(reader.arch(), linear)[0], layer);
}

std::vector<std::string> modules_of(const TensorReader& reader, const Norm& norm, int64_t layer) {
  return norm_modules(reader.family(), Container::hugging_face, reader.arch(), norm, layer);
}

// As AutoAWQ's ScaledActivation, which is there whatever its scales are.
std::string activation_module(const TensorReader& reader, int64_t layer) {
  return module_name(reader.family(), Container::hugging_face, Slot::act, layer);
}

// Embeddings and heads keep a 16-bit type; everything else becomes half precision.
DType table_dtype(const TensorReader& reader, Slot slot) {
  const TensorInfo* raw = reader.raw_weight(slot, 0);
  return raw != nullptr && raw->dtype == DType::bf16 ? DType::bf16 : DType::f16;
}

// Everything outside the blocks that is not a norm.
std::vector<Linear> tables_of(const Arch& arch) {
  std::vector<Linear> tables = {arch.embed};
  if (!arch.tied_head) tables.push_back(arch.lm_head);
  for (const Linear& linear : frame_linears(arch)) tables.push_back(linear);
  return tables;
}

class Declarations {
 public:
  Declarations(const TensorReader& reader, const QuantFormat& format)
      : reader_(reader), arch_(reader.arch()), format_(format) {}

  std::vector<TensorDeclaration> all() {
    for (const Linear& linear : tables_of(arch_)) {
      const std::string module = place_of(reader_, linear, 0).module;
      add(module, ".weight", table_dtype(reader_, linear.slot), linear_shape(arch_, linear));
      if (linear.bias) add(module, ".bias", DType::f32, {linear_shape(arch_, linear)[0]});
    }
    for (const Norm& n : frame_norms(arch_)) norm(n, 0);
    for (int64_t layer = 0; layer < arch_.sizes.layers; ++layer) {
      for (const Norm& n : block_norms(arch_.block)) norm(n, layer);
      if (keeps_activation_scale(arch_.block)) {
        add(activation_module(reader_, layer), ".scales", DType::f32, {arch_.sizes.ffn});
      }
      for (const Linear& l : block_linears(arch_.block)) linear(l, layer);
    }
    return std::move(tensors_);
  }

 private:
  void add(const std::string& module, std::string_view part, DType dtype, const Shape& shape) {
    tensors_.push_back({cat(module, part), dtype, shape});
  }

  void norm(const Norm& n, int64_t layer) {
    const Shape shape =
        norm_module_shape(reader_.family(), Container::hugging_face, arch_, n);
    for (const std::string& module : modules_of(reader_, n, layer)) {
      add(module, ".weight", DType::f32, shape);
      if (n.bias) add(module, ".bias", DType::f32, shape);
    }
  }

  // A fused tensor is declared with the first slot that lies in it.
  void linear(const Linear& linear, int64_t layer) {
    const Placement at = place_of(reader_, linear, layer);
    if (at.sharers.front() != linear.slot) return;
    const int64_t in = linear_shape(arch_, linear)[1];
    if (linear.bias) add(at.module, ".bias", DType::f32, {at.stored_rows});
    if (linear.keep_float) return add(at.module, ".weight", DType::f32, {at.stored_rows, in});
    for (TensorDeclaration& tensor :
         packed_tensors(packed_format_for(format_), format_, at.stored_rows, in, at.module)) {
      tensors_.push_back(std::move(tensor));
    }
  }

  const TensorReader& reader_;
  const Arch& arch_;
  const QuantFormat& format_;
  std::vector<TensorDeclaration> tensors_;
};

// Rows of `from` to the places of `at`, `columns` apart.
template <class T>
void put_rows(const std::vector<T>& from, const Placement& at, int64_t columns,
              std::vector<T>& to) {
  to.resize(static_cast<size_t>(at.stored_rows * columns));
  auto next = from.begin();
  for (const int64_t row : stored_rows(at)) {
    std::copy_n(next, columns, to.begin() + row * columns);
    next += columns;
  }
}

}  // namespace

Result<QuantizedWriter> QuantizedWriter::create(const TensorReader& reader,
                                                const QuantFormat& format,
                                                const OutputDirectory& output) {
  AWQ_ASSIGN(SafetensorsWriter writer,
             SafetensorsWriter::create(output, Declarations(reader, format).all()));
  return QuantizedWriter(reader, format, std::move(writer));
}

Status QuantizedWriter::write_vector(const std::string& name, std::span<const float> values) {
  return writer_.write(name, values.data(), values.size_bytes());
}

Status QuantizedWriter::write_table(const Linear& linear, ThreadPool& pool) {
  const std::string module = place_of(*reader_, linear, 0).module;
  const std::string name = cat(module, ".weight");
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
  return bias.empty() ? Status() : write_vector(cat(module, ".bias"), bias.values);
}

Status QuantizedWriter::write_norm(const Norm& norm, int64_t layer, const FloatWeights& values) {
  const std::vector<std::string> modules = modules_of(*reader_, norm, layer);
  const size_t size = values.weight.values.size() / modules.size();
  for (size_t i = 0; i < modules.size(); ++i) {
    const auto part = [&](const FloatTensor& tensor) {
      return std::span(tensor.values).subspan(i * size, size);
    };
    AWQ_TRY(write_vector(cat(modules[i], ".weight"), part(values.weight)));
    if (norm.bias) AWQ_TRY(write_vector(cat(modules[i], ".bias"), part(values.bias)));
  }
  return {};
}

Status QuantizedWriter::write_frame(ThreadPool& pool) {
  const Arch& arch = reader_->arch();
  for (const Linear& table : tables_of(arch)) AWQ_TRY(write_table(table, pool));
  for (const Norm& norm : frame_norms(arch)) {
    AWQ_ASSIGN(const FloatWeights values, reader_->read_norm(norm, 0));
    AWQ_TRY(write_norm(norm, 0, values));
  }
  return {};
}

// All slots of a stored tensor, rounded each by itself (a row does not see its neighbours) and put
// where they lie in it.
Status QuantizedWriter::write_linear(const Linear& linear, int64_t layer, const FloatBlock& block,
                                     Arithmetic arithmetic, ThreadPool& pool) {
  const Arch& arch = reader_->arch();
  const Placement first = place_of(*reader_, linear, layer);
  if (first.sharers.front() != linear.slot) return {};
  if (linear.keep_float) {
    AWQ_TRY(write_vector(cat(first.module, ".weight"), block[linear.slot].weight.values));
    return linear.bias ? write_vector(cat(first.module, ".bias"), block[linear.slot].bias.values)
                       : Status();
  }
  QuantWeight whole;
  std::vector<float> bias;
  for (const Slot slot : first.sharers) {
    const FloatWeights& weights = block[slot];
    QuantWeight part = round_weight(weights.weight, format_, pool, arithmetic);
    const Placement at = place_of(*reader_, *find_linear(arch.block, slot), layer);
    if (linear.bias) put_rows(weights.bias.values, at, 1, bias);
    if (!first.fused()) {
      whole = std::move(part);
      break;
    }
    whole.format = part.format;
    whole.out = at.stored_rows;
    whole.in = part.in;
    put_rows(part.codes, at, part.in, whole.codes);
    put_rows(part.scales, at, part.groups(), whole.scales);
    put_rows(part.zeros, at, part.groups(), whole.zeros);
  }
  AWQ_TRY(write_packed(writer_, packed_format_for(format_), first.module, whole));
  return linear.bias ? write_vector(cat(first.module, ".bias"), bias) : Status();
}

Status QuantizedWriter::write_block(int64_t layer, const FloatBlock& block, Arithmetic arithmetic,
                                    ThreadPool& pool) {
  const Arch& arch = reader_->arch();
  for (const Norm& norm : block_norms(arch.block)) {
    AWQ_TRY(write_norm(norm, layer, block[norm.slot]));
  }
  if (keeps_activation_scale(arch.block)) {
    std::vector<float> scale = block[Slot::act].weight.values;
    if (scale.empty()) scale.assign(static_cast<size_t>(arch.sizes.ffn), 1.0f);
    AWQ_TRY(write_vector(cat(activation_module(*reader_, layer), ".scales"), scale));
  }
  for (const Linear& linear : block_linears(arch.block)) {
    AWQ_TRY(write_linear(linear, layer, block, arithmetic, pool));
  }
  return {};
}

}  // namespace awq
