// The values of tensors: decoded, put in canonical order, judged.
#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <mutex>
#include <span>

#include "base/float16.h"
#include "model/tensor_reader.h"

namespace awq {

// False when one is too large for half precision.
static bool to_half(std::span<const float> values, uint16_t* half) {
  bool inside = true;
  for (size_t i = 0; i < values.size(); ++i) {
    half[i] = float_to_half(values[i]);
    inside &= (half[i] & 0x7C00) != 0x7C00;
  }
  return inside;
}

// The outputs `rows` of a packed weight.
static QuantWeight pick_rows(const QuantWeight& stored, const std::vector<int64_t>& rows) {
  QuantWeight picked;
  picked.format = stored.format;
  picked.out = static_cast<int64_t>(rows.size());
  picked.in = stored.in;
  const int64_t groups = stored.groups();
  const auto append = [](auto& to, const auto& from, int64_t row, int64_t columns) {
    if (from.empty()) return;
    to.insert(to.end(), from.begin() + row * columns, from.begin() + (row + 1) * columns);
  };
  for (const int64_t row : rows) {
    append(picked.codes, stored.codes, row, stored.in);
    append(picked.scales, stored.scales, row, groups);
    append(picked.zeros, stored.zeros, row, groups);
  }
  return picked;
}

Result<QuantWeight> TensorReader::read_quantized_linear(const Linear& linear,
                                                        int64_t layer) const {
  const Shape shape = linear_shape(arch_, linear);
  const Placement at = place(linear.slot, layer, shape[0]);
  AWQ_ASSIGN(QuantWeight stored,
             read_quantized(*checkpoint_, at.module, *quantization_, at.stored_rows, shape[1]));
  if (!at.fused()) return stored;
  return pick_rows(stored, stored_rows(at));
}

Result<std::optional<PackedQuant>> TensorReader::read_packed_linear(const Linear& linear,
                                                                    int64_t layer) const {
  const Shape shape = linear_shape(arch_, linear);
  const Placement at = place(linear.slot, layer, shape[0]);
  if (at.fused()) return std::optional<PackedQuant>();
  AWQ_ASSIGN(PackedQuant packed,
             read_packed(*checkpoint_, at.module, *quantization_, shape[0], shape[1]));
  return std::optional<PackedQuant>(std::move(packed));
}

const TensorInfo* TensorReader::raw_weight(Slot slot, int64_t layer) const {
  const TensorInfo* tensor = find(slot, layer, ".weight");
  const SlotName& entry = slot_entry(*family_, checkpoint_->container(), slot);
  const bool paired = checkpoint_->container() == Container::gguf &&
                      family_->gguf_interleaves_qk && (slot == Slot::q || slot == Slot::k);
  const bool usable = tensor != nullptr && entry.fusion == Fusion::none && !entry.transposed &&
                      !paired &&
                      (tensor->dtype == DType::f32 || tensor->dtype == DType::f16 ||
                       tensor->dtype == DType::bf16);
  return usable ? tensor : nullptr;
}

Result<std::vector<std::byte>> TensorReader::read_plain(const Linear& linear, int64_t layer,
                                                        DType& dtype) const {
  const Shape shape = linear_shape(arch_, linear);
  const Placement at = place(linear.slot, layer, shape[0]);
  AWQ_ASSIGN(const TensorInfo* tensor,
             need(linear.slot, layer, ".weight", at.stored_shape(shape[1])));
  dtype = tensor->dtype;
  std::vector<std::byte> values;
  if (dtype != DType::f32 && dtype != DType::f16 && dtype != DType::bf16) return values;
  const size_t width = dtype_info(dtype).block_bytes;
  const auto columns = static_cast<size_t>(shape[1]);
  const size_t between = at.transposed ? static_cast<size_t>(at.stored_rows) : 1;
  values.resize(static_cast<size_t>(shape.elements()) * width);
  std::byte* to = values.data();
  for (const int64_t row : stored_rows(at)) {
    const std::byte* from = tensor->data.data() + static_cast<size_t>(row) * width *
                                                      (at.transposed ? 1 : columns);
    if (!at.transposed) {
      std::memcpy(to, from, columns * width);
      to += columns * width;
      continue;
    }
    for (size_t i = 0; i < columns; ++i, to += width) std::memcpy(to, from + i * between * width, width);
  }
  AWQ_TRY(checkpoint_->check_unchanged());
  return values;
}

Result<FloatTensor> TensorReader::read_activation_scale(int64_t layer) const {
  FloatTensor scale;
  // GGUF knows no such scale.
  if (!keeps_activation_scale(arch_.block) || checkpoint_->container() == Container::gguf ||
      find(Slot::act, layer, ".scales") == nullptr) {
    return scale;
  }
  const Shape shape{arch_.sizes.ffn};
  AWQ_ASSIGN(const TensorInfo* tensor,
             need(Slot::act, layer, ".scales", shape, axis_key(Axis::ffn)));
  scale = {shape, std::vector<float>(static_cast<size_t>(arch_.sizes.ffn))};
  AWQ_TRY(checkpoint_->read_rows(*tensor, 0, 1, scale.values.data()));
  for (const float value : scale.values) {
    if (value > 0 && std::isfinite(value)) continue;
    return bad_input(cat(printable(checkpoint_->path()), ": tensor ", printable(tensor->name),
                         " holds ", value, ", expected a positive scale"));
  }
  return scale;
}

// Rows [0, sources.size()) of `out` are the rows `sources` of the tensor.
static Status read_rows_of(const Checkpoint& checkpoint, const TensorInfo& tensor,
                           const std::vector<int64_t>& sources, int64_t columns, float* out,
                           ThreadPool& pool) {
  Status status;
  std::mutex mutex;
  pool.parallel_for(static_cast<int64_t>(sources.size()), 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end;) {  // as many at once as lie together
      const int64_t first = sources[static_cast<size_t>(row)];
      int64_t count = 1;
      while (row + count < end && sources[static_cast<size_t>(row + count)] == first + count) ++count;
      const Status part = checkpoint.read_rows(tensor, first, count, out + row * columns);
      row += count;
      if (part.ok()) continue;
      std::lock_guard lock(mutex);
      status = part;
    }
  });
  return status;
}

Result<FloatWeights> TensorReader::read_norm(const Norm& norm, int64_t layer) const {
  const Container container = checkpoint_->container();
  const Shape shape = norm_module_shape(*family_, container, arch_, norm);
  const int64_t size = norm_size(arch_, norm);
  FloatWeights result;
  const auto append = [&](const std::string& module, std::string_view part,
                          FloatTensor& to) -> Status {
    AWQ_ASSIGN(const TensorInfo* tensor, need(module, part, shape, axis_key(norm.axis)));
    const size_t old = to.values.size();
    to.shape = {size};
    to.values.resize(old + static_cast<size_t>(shape.elements()));
    AWQ_TRY(checkpoint_->read_rows(*tensor, 0, shape.rows(), to.values.data() + old));
    // GGUF holds what a norm multiplies with, the 1 of zero-centred weights added.
    if (container == Container::gguf && part == ".weight" && norm.weight_offset != 0) {
      for (size_t i = old; i < to.values.size(); ++i) to.values[i] -= norm.weight_offset;
    }
    return {};
  };
  for (const std::string& module : norm_modules(*family_, container, arch_, norm, layer)) {
    AWQ_TRY(append(module, ".weight", result.weight));
    if (norm.bias) AWQ_TRY(append(module, ".bias", result.bias));
  }
  return result;
}

Result<FloatTensor> TensorReader::read_weight(Slot slot, int64_t layer, const Shape& shape,
                                              ThreadPool& pool) const {
  FloatTensor result{shape, std::vector<float>(static_cast<size_t>(shape.elements()))};
  const Placement at = place(slot, layer, shape[0]);
  AWQ_ASSIGN(const TensorInfo* tensor,
             need(slot, layer, ".weight", at.stored_shape(shape[1])));
  const std::vector<int64_t> sources = stored_rows(at);
  if (!at.transposed) {
    AWQ_TRY(read_rows_of(*checkpoint_, *tensor, sources, shape[1], result.values.data(), pool));
    return result;
  }
  std::vector<float> row(static_cast<size_t>(at.stored_rows));
  for (int64_t column = 0; column < shape[1]; ++column) {
    AWQ_TRY(checkpoint_->read_rows(*tensor, column, 1, row.data()));
    for (size_t i = 0; i < sources.size(); ++i) {
      result.values[i * static_cast<size_t>(shape[1]) + static_cast<size_t>(column)] =
          row[static_cast<size_t>(sources[i])];
    }
  }
  return result;
}

Result<std::vector<uint16_t>> TensorReader::read_half(const Linear& linear, int64_t layer,
                                                      ThreadPool& pool) const {
  const Shape shape = linear_shape(arch_, linear);
  const Placement at = place(linear.slot, layer, shape[0]);
  AWQ_ASSIGN(const TensorInfo* tensor,
             need(linear.slot, layer, ".weight", at.stored_shape(shape[1])));
  const int64_t columns = shape.columns();
  std::vector<uint16_t> half(static_cast<size_t>(shape.elements()));
  std::atomic<bool> fits = true;
  Status status;
  std::mutex mutex;
  if (!at.contiguous()) {
    AWQ_ASSIGN(const FloatTensor weight, read_weight(linear.slot, layer, shape, pool));
    fits = to_half(weight.values, half.data());
  } else {
    const int64_t first = at.rows.front().begin;
    pool.parallel_for(shape.rows(), 64, [&](int64_t begin, int64_t end) {
      std::vector<float> row(static_cast<size_t>(columns));
      for (int64_t r = begin; r < end; ++r) {
        if (const Status read = checkpoint_->read_rows(*tensor, first + r, 1, row.data());
            !read.ok()) {
          std::lock_guard lock(mutex);
          status = read;
          return;
        }
        if (!to_half(row, half.data() + r * columns)) fits = false;
      }
    });
  }
  AWQ_TRY(status);
  if (!at.fused()) checkpoint_->release(*tensor);
  if (!fits) half.clear();
  return half;
}

Result<FloatTensor> TensorReader::read_bias(Slot slot, int64_t layer, const Shape& shape,
                                            bool present) const {
  FloatTensor result;
  if (!present) return result;
  const Placement at = place(slot, layer, shape[0]);
  AWQ_ASSIGN(const TensorInfo* tensor, need(slot, layer, ".bias", {at.stored_rows}));
  std::vector<float> stored(static_cast<size_t>(at.stored_rows));
  AWQ_TRY(checkpoint_->read_rows(*tensor, 0, 1, stored.data()));
  result.shape = shape;
  for (const int64_t row : stored_rows(at)) {
    result.values.push_back(stored[static_cast<size_t>(row)]);
  }
  return result;
}

// Whether all are finite; without a branch per value, so that compilers vectorize it.
static bool all_finite(std::span<const float> values) {
  uint32_t bad = 0;
  for (const float value : values) {
    bad |= (std::bit_cast<uint32_t>(value) & 0x7F800000u) == 0x7F800000u;
  }
  return bad == 0;
}

Status TensorReader::check_finite(const FloatTensor& tensor, Slot slot, int64_t layer,
                                  std::string_view part, ThreadPool& pool) const {
  const std::span<const float> values = tensor.values;
  std::atomic<bool> finite = true;
  pool.parallel_for(static_cast<int64_t>(values.size()), 1 << 16, [&](int64_t begin, int64_t end) {
    const auto size = static_cast<size_t>(end - begin);
    if (!all_finite(values.subspan(static_cast<size_t>(begin), size))) finite = false;
  });
  if (finite) return {};
  return not_finite(values, tensor.shape.columns(), 0, slot, layer, part);
}

// The error for `values`, rows of `columns` that begin at row `first`, one of which is not finite.
Error TensorReader::not_finite(std::span<const float> values, int64_t columns, int64_t first,
                               Slot slot, int64_t layer, std::string_view part) const {
  const auto bad = std::find_if(values.begin(), values.end(),
                                [](float value) { return !std::isfinite(value); });
  const int64_t at = bad - values.begin();
  return bad_input(cat(printable(checkpoint_->path()), ": tensor ",
                       module_name(*family_, checkpoint_->container(), slot, layer), part, " holds ",
                       *bad, " at row ", first + at / columns, ", column ", at % columns,
                       "; a model with NaN or infinity cannot be quantized"));
}

// Row by row, so that a large vocabulary needs no table in f32.
Status TensorReader::check_table_finite(const Linear& linear, ThreadPool& pool) const {
  if (is_quantized(linear.slot, 0)) return {};
  const Shape shape = linear_shape(arch_, linear);
  AWQ_ASSIGN(const TensorInfo* tensor, need(linear.slot, 0, ".weight", shape));
  Status status;
  std::mutex mutex;
  pool.parallel_for(shape[0], 64, [&](int64_t begin, int64_t end) {
    std::vector<float> row(static_cast<size_t>(shape[1]));
    for (int64_t r = begin; r < end; ++r) {
      Status read = checkpoint_->read_rows(*tensor, r, 1, row.data());
      if (read.ok() && all_finite(row)) continue;
      if (read.ok()) read = not_finite(row, shape[1], r, linear.slot, 0, ".weight");
      std::lock_guard lock(mutex);
      if (status.ok()) status = read;
      return;
    }
  });
  return status;
}

Status TensorReader::check_frame_finite(ThreadPool& pool) const {
  AWQ_TRY(check_table_finite(arch_.embed, pool));
  if (!arch_.tied_head) AWQ_TRY(check_table_finite(arch_.lm_head, pool));
  for (const Linear& linear : frame_linears(arch_)) AWQ_TRY(check_table_finite(linear, pool));
  for (const Norm& norm : frame_norms(arch_)) {
    AWQ_ASSIGN(const FloatWeights values, read_norm(norm, 0));
    AWQ_TRY(check_finite(values.weight, norm.slot, 0, ".weight", pool));
  }
  return {};
}

Result<FloatBlock> TensorReader::read_block(int64_t layer, ThreadPool& pool) const {
  FloatBlock block;
  const auto check = [&](Slot slot) -> Status {
    AWQ_TRY(check_finite(block[slot].weight, slot, layer, ".weight", pool));
    return check_finite(block[slot].bias, slot, layer, ".bias", pool);
  };
  for (const Norm& norm : block_norms(arch_.block)) {
    AWQ_ASSIGN(block[norm.slot], read_norm(norm, layer));
    AWQ_TRY(check(norm.slot));
  }
  AWQ_ASSIGN(block[Slot::act].weight, read_activation_scale(layer));
  for (const Linear& linear : block_linears(arch_.block)) {
    const Shape shape = linear_shape(arch_, linear);
    FloatWeights& to = block[linear.slot];
    AWQ_ASSIGN(to.weight, read_weight(linear.slot, layer, shape, pool));
    AWQ_ASSIGN(to.bias, read_bias(linear.slot, layer, {shape[0]}, linear.bias));
    AWQ_TRY(check(linear.slot));
  }
  return block;
}

void TensorReader::release_block(int64_t layer) const {
  for (const Linear& linear : block_linears(arch_.block)) {
    if (const TensorInfo* tensor = find(linear.slot, layer, ".weight")) {
      checkpoint_->release(*tensor);
    }
  }
}

}  // namespace awq
