// The values of tensors: decoded, put in canonical order, judged.
#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
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

Result<QuantWeight> TensorReader::read_quantized_linear(const Linear& linear,
                                                        int64_t layer) const {
  const Shape shape = linear_shape(arch_, linear);
  return read_quantized(*checkpoint_,
                        module_name(*family_, Container::hugging_face, linear.slot, layer),
                        *quantization_, shape[0], shape[1]);
}

bool TensorReader::permuted(Slot slot) const {
  return checkpoint_->container() == Container::gguf && family_->gguf_interleaves_qk &&
         (slot == Slot::q || slot == Slot::k);
}

// File row h*D + 2i + s belongs at h*D + s*D/2 + i.
void TensorReader::unpermute(FloatTensor& tensor) const {
  const int64_t dim = arch_.sizes.head_dim, half = dim / 2;
  const int64_t columns = tensor.shape.rank() == 2 ? tensor.shape[1] : 1;
  const int64_t heads = tensor.shape[0] / dim;
  std::vector<float> head(static_cast<size_t>(dim * columns));
  for (int64_t h = 0; h < heads; ++h) {
    float* rows = tensor.values.data() + h * dim * columns;
    std::copy_n(rows, dim * columns, head.data());
    for (int64_t i = 0; i < half; ++i) {
      for (int64_t s = 0; s < 2; ++s) {
        std::copy_n(head.data() + (2 * i + s) * columns, columns, rows + (s * half + i) * columns);
      }
    }
  }
}

const TensorInfo* TensorReader::raw_weight(Slot slot, int64_t layer) const {
  const TensorInfo* tensor = find(slot, layer, ".weight");
  const bool usable = tensor != nullptr && !permuted(slot) &&
                      (tensor->dtype == DType::f32 || tensor->dtype == DType::f16 ||
                       tensor->dtype == DType::bf16);
  return usable ? tensor : nullptr;
}

Result<FloatTensor> TensorReader::read_weight(Slot slot, int64_t layer, const Shape& shape,
                                              ThreadPool& pool) const {
  AWQ_ASSIGN(const TensorInfo* tensor, need(slot, layer, ".weight", shape));
  FloatTensor result{shape, std::vector<float>(static_cast<size_t>(shape.elements()))};
  Status status;
  std::mutex mutex;
  pool.parallel_for(shape.rows(), 64, [&](int64_t begin, int64_t end) {
    const Status part = checkpoint_->read_rows(*tensor, begin, end - begin,
                                               result.values.data() + begin * shape.columns());
    if (part.ok()) return;
    std::lock_guard lock(mutex);
    status = part;
  });
  AWQ_TRY(status);
  if (permuted(slot)) unpermute(result);
  return result;
}

Result<std::vector<uint16_t>> TensorReader::read_half(const Linear& linear, int64_t layer,
                                                      ThreadPool& pool) const {
  const Shape shape = linear_shape(arch_, linear);
  AWQ_ASSIGN(const TensorInfo* tensor, need(linear.slot, layer, ".weight", shape));
  const int64_t columns = shape.columns();
  std::vector<uint16_t> half(static_cast<size_t>(shape.elements()));
  std::atomic<bool> fits = true;
  Status status;
  std::mutex mutex;
  if (permuted(linear.slot)) {
    AWQ_ASSIGN(const FloatTensor weight, read_weight(linear.slot, layer, shape, pool));
    fits = to_half(weight.values, half.data());
  } else {
    pool.parallel_for(shape.rows(), 64, [&](int64_t begin, int64_t end) {
      std::vector<float> row(static_cast<size_t>(columns));
      for (int64_t r = begin; r < end; ++r) {
        if (const Status read = checkpoint_->read_rows(*tensor, r, 1, row.data()); !read.ok()) {
          std::lock_guard lock(mutex);
          status = read;
          return;
        }
        if (!to_half(row, half.data() + r * columns)) fits = false;
      }
    });
  }
  AWQ_TRY(status);
  checkpoint_->release(*tensor);
  if (!fits) half.clear();
  return half;
}

Result<FloatTensor> TensorReader::read_bias(Slot slot, int64_t layer, const Shape& shape,
                                            bool present) const {
  FloatTensor result;
  if (!present) return result;
  AWQ_ASSIGN(const TensorInfo* tensor, need(slot, layer, ".bias", shape));
  result = {shape, std::vector<float>(static_cast<size_t>(shape.elements()))};
  AWQ_TRY(checkpoint_->read_rows(*tensor, 0, 1, result.values.data()));
  if (permuted(slot)) unpermute(result);
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
  AWQ_ASSIGN(const FloatTensor norm,
             read_weight(Slot::final_norm, 0, {arch_.sizes.hidden}, pool));
  return check_finite(norm, Slot::final_norm, 0, ".weight", pool);
}

Result<FloatBlock> TensorReader::read_block(int64_t layer, ThreadPool& pool) const {
  FloatBlock block;
  const auto read = [&](Slot slot, const Shape& weight, bool bias) -> Status {
    AWQ_ASSIGN(block[slot].weight, read_weight(slot, layer, weight, pool));
    AWQ_ASSIGN(block[slot].bias, read_bias(slot, layer, {weight[0]}, bias));
    AWQ_TRY(check_finite(block[slot].weight, slot, layer, ".weight", pool));
    return check_finite(block[slot].bias, slot, layer, ".bias", pool);
  };
  for (const Norm& norm : block_norms(arch_.block)) {
    AWQ_TRY(read(norm.slot, {arch_.sizes.hidden}, norm.bias));
  }
  for (const Linear& linear : block_linears(arch_.block)) {
    AWQ_TRY(read(linear.slot, linear_shape(arch_, linear), linear.bias));
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
