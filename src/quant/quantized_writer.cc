#include "quant/quantized_writer.h"

#include <algorithm>
#include <cmath>

#include "base/float16.h"
#include "quant/output_placement.h"

namespace awq {
namespace {

constexpr uint64_t kShardBytes = uint64_t{5} << 30;

// Embeddings and heads keep a 16-bit type; everything else becomes half precision.
DType table_dtype(const TensorReader& reader, Slot slot) {
  const TensorInfo* raw = reader.raw_weight(slot, 0);
  return raw != nullptr && raw->dtype == DType::bf16 ? DType::bf16 : DType::f16;
}

// Everything outside the blocks that is neither a norm nor packed.
std::vector<Linear> tables_of(const Arch& arch, const FormatPlan& formats) {
  std::vector<Linear> tables = {arch.embed};
  if (!arch.tied_head && !formats.head()) tables.push_back(arch.lm_head);
  for (const Linear& linear : frame_linears(arch)) tables.push_back(linear);
  return tables;
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
    for (const Linear& table : tables_of(arch_, formats_)) {
      const std::string module = output_placement(reader_, table, 0).module;
      add(module, ".weight", table_dtype(reader_, table.slot), linear_shape(arch_, table));
      if (table.bias) add(module, ".bias", DType::f32, {linear_shape(arch_, table)[0]});
    }
    if (const auto head = formats_.head()) linear(arch_.lm_head, 0, head);
    for (const Norm& n : frame_norms(arch_)) norm(n, 0);
    return std::move(tensors_);
  }

  std::vector<TensorDeclaration> block(int64_t layer) {
    tensors_.clear();
    for (const Norm& n : block_norms(arch_.block)) norm(n, layer);
    if (keeps_activation_scale(arch_.block)) {
      add(output_activation(reader_, layer), ".scales", DType::f32, {arch_.sizes.ffn});
    }
    for (const Linear& l : block_linears(arch_.block)) linear(l, layer, formats_.of(layer, l.slot));
    return std::move(tensors_);
  }

 private:
  void add(const std::string& module, std::string_view part, DType dtype, const Shape& shape) {
    tensors_.push_back({cat(module, part), dtype, shape});
  }

  void norm(const Norm& n, int64_t layer) {
    const Shape shape = norm_module_shape(reader_.family(), Container::hugging_face, arch_, n);
    for (const std::string& module : output_modules(reader_, n, layer)) {
      add(module, ".weight", DType::f32, shape);
      if (n.bias) add(module, ".bias", DType::f32, shape);
    }
  }

  // A fused tensor is declared with the first slot that lies in it.
  void linear(const Linear& linear, int64_t layer, const std::optional<QuantFormat>& format) {
    const Placement at = output_placement(reader_, linear, layer);
    if (at.sharers.front() != linear.slot) return;
    const int64_t in = linear_shape(arch_, linear)[1];
    if (linear.bias) add(at.module, ".bias", DType::f32, {at.stored_rows});
    if (!format) return add(at.module, ".weight", float_type(linear), at.stored_shape(in));
    for (TensorDeclaration& tensor :
         packed_tensors(formats_.packed(), *format, at.stored_rows, in, at.module)) {
      tensors_.push_back(std::move(tensor));
    }
  }

  const TensorReader& reader_;
  const FormatPlan& formats_;
  const Arch& arch_;
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

// The other way.
std::vector<float> take_rows(const std::vector<float>& from, const Placement& at, int64_t columns) {
  std::vector<float> rows;
  for (const int64_t row : stored_rows(at)) {
    const auto first = from.begin() + row * columns;
    rows.insert(rows.end(), first, first + columns);
  }
  return rows;
}

// [rows, columns] to [columns, rows].
std::vector<float> transposed(std::span<const float> from, int64_t rows, int64_t columns) {
  std::vector<float> to(from.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      to[static_cast<size_t>(c * rows + r)] = from[static_cast<size_t>(r * columns + c)];
    }
  }
  return to;
}

}  // namespace

Result<QuantizedWriter> QuantizedWriter::create(const TensorReader& reader,
                                                const FormatPlan& formats,
                                                const OutputDirectory& output, bool resume) {
  AWQ_ASSIGN(SafetensorsWriter writer,
             SafetensorsWriter::create(output, Declarations(reader, formats).all(),
                                       kShardBytes, resume));
  return QuantizedWriter(reader, formats, std::move(writer));
}

QuantizedWriter QuantizedWriter::discarding(const TensorReader& reader, const FormatPlan& formats) {
  return QuantizedWriter(reader, formats,
                         SafetensorsWriter::discarding(Declarations(reader, formats).all()));
}

Status QuantizedWriter::write_vector(const std::string& name, std::span<const float> values) {
  return writer_.write(name, values.data(), values.size_bytes());
}

Status QuantizedWriter::write_table(const Linear& linear, ThreadPool& pool) {
  const std::string module = output_placement(*reader_, linear, 0).module;
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

// Rounded to nearest; a tied head is the embedding, packed beside it.
Status QuantizedWriter::write_head(ThreadPool& pool) {
  const Arch& arch = reader_->arch();
  const Shape shape = linear_shape(arch, arch.lm_head);
  const Slot slot = arch.tied_head ? Slot::embed : Slot::lm_head;
  const std::string module = output_placement(*reader_, arch.lm_head, 0).module;
  AWQ_ASSIGN(const FloatTensor weight, reader_->read_weight(slot, 0, shape, pool));
  AWQ_TRY(write_packed(writer_, formats_.packed(), module,
                       round_weight(weight, *formats_.head(), pool)));
  AWQ_ASSIGN(const FloatTensor bias,
             reader_->read_bias(Slot::lm_head, 0, {shape[0]}, arch.lm_head.bias));
  return bias.empty() ? Status() : write_vector(cat(module, ".bias"), bias.values);
}

Status QuantizedWriter::write_norm(const Norm& norm, int64_t layer, const FloatWeights& values) {
  const std::vector<std::string> modules = output_modules(*reader_, norm, layer);
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
  for (const Linear& table : tables_of(arch, formats_)) AWQ_TRY(write_table(table, pool));
  if (formats_.head()) AWQ_TRY(write_head(pool));
  for (const Norm& norm : frame_norms(arch)) {
    AWQ_ASSIGN(const FloatWeights values, reader_->read_norm(norm, 0));
    AWQ_TRY(write_norm(norm, 0, values));
  }
  return {};
}

// `values`: [stored rows, in].
Status QuantizedWriter::write_float(const Linear& linear, int64_t layer, const Placement& place,
                                    std::span<const float> values) {
  const std::string name = cat(place.module, ".weight");
  std::vector<float> turned;
  if (place.transposed) {
    turned = transposed(values, place.stored_rows, linear_shape(reader_->arch(), linear)[1]);
    values = turned;
  }
  if (float_type(linear) == DType::f32) return write_vector(name, values);
  std::vector<uint16_t> half(values.size());
  for (size_t i = 0; i < half.size(); ++i) {
    half[i] = float_to_half(values[i]);
    if (std::isfinite(half_to_float(half[i]))) continue;
    return bad_input(cat(printable(reader_->checkpoint().path()), ": ", slot_name(linear.slot),
                         " of layer ", layer, " holds ", values[i],
                         ", which half precision cannot hold; do not --keep it"));
  }
  return writer_.write(name, half.data(), half.size() * sizeof(uint16_t));
}

// All slots of a stored tensor, rounded each by itself (a row does not see its neighbours) and put
// where they lie in it.
Status QuantizedWriter::write_linear(const Linear& linear, int64_t layer, const FloatBlock& block,
                                     const RoundedBlock& rounded, Arithmetic arithmetic,
                                     ThreadPool& pool) {
  const Arch& arch = reader_->arch();
  const Placement first = output_placement(*reader_, linear, layer);
  if (first.sharers.front() != linear.slot) return {};
  const auto format = formats_.of(layer, linear.slot);
  const auto rounded_part = [&](Slot slot) {
    const auto ready = rounded.find(slot);
    return ready != rounded.end() ? ready->second
                                  : round_weight(block[slot].weight, *format, pool, arithmetic);
  };
  if (!first.fused()) {
    const FloatWeights& weights = block[linear.slot];
    AWQ_TRY(format ? write_packed(writer_, formats_.packed(), first.module,
                                  rounded_part(linear.slot))
                   : write_float(linear, layer, first, weights.weight.values));
    return linear.bias ? write_vector(cat(first.module, ".bias"), weights.bias.values) : Status();
  }
  QuantWeight whole;
  std::vector<float> plain, bias;
  for (const Slot slot : first.sharers) {
    const FloatWeights& weights = block[slot];
    const Placement at = output_placement(*reader_, *find_linear(arch.block, slot), layer);
    if (linear.bias) put_rows(weights.bias.values, at, 1, bias);
    if (!format) {
      put_rows(weights.weight.values, at, weights.weight.shape[1], plain);
      continue;
    }
    const QuantWeight part = rounded_part(slot);
    whole.format = part.format;
    whole.out = at.stored_rows;
    whole.in = part.in;
    put_rows(part.codes, at, part.in, whole.codes);
    put_rows(part.scales, at, part.groups(), whole.scales);
    put_rows(part.zeros, at, part.groups(), whole.zeros);
  }
  AWQ_TRY(format ? write_packed(writer_, formats_.packed(), first.module, whole)
                 : write_float(linear, layer, first, plain));
  return linear.bias ? write_vector(cat(first.module, ".bias"), bias) : Status();
}

Status QuantizedWriter::write_block(int64_t layer, const FloatBlock& block,
                                    const RoundedBlock& rounded, Arithmetic arithmetic,
                                    ThreadPool& pool) {
  const Arch& arch = reader_->arch();
  for (const Norm& norm : block_norms(arch.block)) {
    AWQ_TRY(write_norm(norm, layer, block[norm.slot]));
  }
  if (keeps_activation_scale(arch.block)) {
    std::vector<float> scale = block[Slot::act].weight.values;
    if (scale.empty()) scale.assign(static_cast<size_t>(arch.sizes.ffn), 1.0f);
    AWQ_TRY(write_vector(cat(output_activation(*reader_, layer), ".scales"), scale));
  }
  for (const Linear& linear : block_linears(arch.block)) {
    AWQ_TRY(write_linear(linear, layer, block, rounded, arithmetic, pool));
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

Result<std::string> QuantizedWriter::frame_sum() const {
  return writer_.sum_of(Declarations(*reader_, formats_).frame());
}

Result<std::string> QuantizedWriter::block_sum(int64_t layer) const {
  return writer_.sum_of(Declarations(*reader_, formats_).block(layer));
}

Result<std::vector<float>> QuantizedWriter::read_vector(const std::string& name, int64_t size) {
  std::vector<float> values(static_cast<size_t>(size));
  AWQ_TRY(writer_.read_back(name, values.data(), values.size() * sizeof(float)));
  return values;
}

Result<FloatWeights> QuantizedWriter::read_norm(const Norm& norm, int64_t layer) {
  const std::vector<std::string> modules = output_modules(*reader_, norm, layer);
  const int64_t size = norm_size(reader_->arch(), norm);
  FloatWeights result;
  result.weight.shape = {size};
  if (norm.bias) result.bias.shape = {size};
  const auto append = [&](const std::string& name, FloatTensor& to) -> Status {
    AWQ_ASSIGN(const std::vector<float> part,
               read_vector(name, size / static_cast<int64_t>(modules.size())));
    to.values.insert(to.values.end(), part.begin(), part.end());
    return {};
  };
  for (const std::string& module : modules) {
    AWQ_TRY(append(cat(module, ".weight"), result.weight));
    if (norm.bias) AWQ_TRY(append(cat(module, ".bias"), result.bias));
  }
  return result;
}

// [stored rows, in] of what write_float() wrote.
Result<std::vector<float>> QuantizedWriter::read_float(const Linear& linear, const Placement& place,
                                                       int64_t in) {
  const std::string name = cat(place.module, ".weight");
  std::vector<float> values(static_cast<size_t>(place.stored_rows * in));
  if (float_type(linear) == DType::f32) {
    AWQ_TRY(writer_.read_back(name, values.data(), values.size() * sizeof(float)));
  } else {
    std::vector<uint16_t> half(values.size());
    AWQ_TRY(writer_.read_back(name, half.data(), half.size() * sizeof(uint16_t)));
    for (size_t i = 0; i < half.size(); ++i) values[i] = half_to_float(half[i]);
  }
  return place.transposed ? transposed(values, in, place.stored_rows) : values;
}

Result<FloatWeights> QuantizedWriter::read_linear(const Linear& linear, int64_t layer,
                                                  ThreadPool& pool) {
  const Shape shape = linear_shape(reader_->arch(), linear);
  const Placement at = output_placement(*reader_, linear, layer);
  FloatWeights result{{shape, {}}, {}};
  std::vector<float>& values = result.weight.values;
  if (const auto format = formats_.of(layer, linear.slot)) {
    AWQ_ASSIGN(const QuantWeight codes, read_packed(writer_, formats_.packed(), *format,
                                                    at.stored_rows, shape[1], at.module));
    values = dequantize_weight(codes, pool).values;
  } else {
    AWQ_ASSIGN(values, read_float(linear, at, shape[1]));
  }
  if (at.fused()) values = take_rows(values, at, shape[1]);
  if (linear.bias) {
    AWQ_ASSIGN(const std::vector<float> bias,
               read_vector(cat(at.module, ".bias"), at.stored_rows));
    result.bias = {{shape[0]}, take_rows(bias, at, 1)};
  }
  return result;
}

Result<FloatBlock> QuantizedWriter::read_block(int64_t layer, ThreadPool& pool) {
  const Arch& arch = reader_->arch();
  FloatBlock block;
  for (const Norm& norm : block_norms(arch.block)) {
    AWQ_ASSIGN(block[norm.slot], read_norm(norm, layer));
  }
  if (keeps_activation_scale(arch.block)) {
    FloatTensor& scale = block[Slot::act].weight;
    scale.shape = {arch.sizes.ffn};
    AWQ_ASSIGN(scale.values,
               read_vector(cat(output_activation(*reader_, layer), ".scales"), arch.sizes.ffn));
  }
  for (const Linear& linear : block_linears(arch.block)) {
    AWQ_ASSIGN(block[linear.slot], read_linear(linear, layer, pool));
  }
  return block;
}

}  // namespace awq
