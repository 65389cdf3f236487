#include "model/tensor_reader.h"

#include <cmath>
#include <mutex>

namespace awq {

Result<TensorReader> TensorReader::open(const Checkpoint& checkpoint) {
  AWQ_ASSIGN(Config config, read_config(checkpoint));
  TensorReader reader(checkpoint, std::move(config));
  AWQ_ASSIGN(reader.family_, find_family(reader.config_));
  AWQ_ASSIGN(reader.arch_, reader.family_->describe(reader.config_));
  if (checkpoint.container() == Container::hugging_face) {
    AWQ_ASSIGN(reader.quantization_,
               QuantizationConfig::from_json(reader.config_.json(), reader.config_.origin()));
  }
  // A head that is not in the file is the embedding, whatever the config says.
  if (reader.find(Slot::lm_head, 0, ".weight") == nullptr) reader.arch_.tied_head = true;
  AWQ_TRY(reader.read_divisors());
  AWQ_TRY(reader.check_tensors());
  return reader;
}

// GGUF stores the llama3 scaling evaluated, as one divisor per frequency.
Status TensorReader::read_divisors() {
  auto* rope = std::get_if<Rope>(&arch_.block.attention.positions);
  if (rope == nullptr || checkpoint_->container() != Container::gguf) return {};
  const TensorInfo* tensor = checkpoint_->find("rope_freqs.weight");
  if (tensor == nullptr) return {};
  if (tensor->shape.elements() != rope->rotary_dim / 2) {
    return bad_input(cat(printable(checkpoint_->path()), ": tensor rope_freqs.weight is ",
                         tensor->shape.text(), ", expected [", rope->rotary_dim / 2, "]"));
  }
  rope->divisors.resize(static_cast<size_t>(rope->rotary_dim / 2));
  AWQ_TRY(checkpoint_->read_rows(*tensor, 0, tensor->shape.rows(), rope->divisors.data()));
  for (const float divisor : rope->divisors) {
    if (!(divisor > 0 && std::isfinite(divisor))) {
      return bad_input(cat(printable(checkpoint_->path()),
                           ": tensor rope_freqs.weight holds a divisor that is not positive"));
    }
  }
  return {};
}

const TensorInfo* TensorReader::find(Slot slot, int64_t layer, std::string_view part) const {
  const std::string name =
      cat(module_name(*family_, checkpoint_->container(), slot, layer), part);
  if (const TensorInfo* tensor = checkpoint_->find(name)) return tensor;
  // Old files lack the outer module's prefix.
  constexpr std::string_view kPrefix = "model.";
  if (name.rfind(kPrefix, 0) != 0) return nullptr;
  return checkpoint_->find(std::string_view(name).substr(kPrefix.size()));
}

Result<const TensorInfo*> TensorReader::need(Slot slot, int64_t layer, std::string_view part,
                                             const Shape& shape) const {
  const std::string name =
      cat(module_name(*family_, checkpoint_->container(), slot, layer), part);
  const TensorInfo* tensor = find(slot, layer, part);
  const std::string origin = printable(checkpoint_->path());
  if (tensor == nullptr) return bad_input(cat(origin, ": tensor ", name, " is missing"));
  if (!(tensor->shape == shape)) {
    return bad_input(cat(origin, ": tensor ", printable(tensor->name), " is ",
                         tensor->shape.text(), ", the config calls for ", shape.text()));
  }
  if (!is_plain_float(tensor->dtype) && !is_block(tensor->dtype)) {
    return bad_input(cat(origin, ": tensor ", printable(tensor->name), " holds ",
                         dtype_name(tensor->dtype), ", expected floats"));
  }
  return tensor;
}

bool TensorReader::is_quantized(Slot slot, int64_t layer) const {
  return quantization_.has_value() &&
         has_quantized(*checkpoint_, module_name(*family_, Container::hugging_face, slot, layer));
}

Status TensorReader::check_linear(const Linear& linear, int64_t layer) const {
  const Shape shape = linear_shape(arch_, linear);
  if (!is_quantized(linear.slot, layer)) {
    AWQ_TRY(need(linear.slot, layer, ".weight", shape));
  }
  return linear.bias ? check_vector(linear.slot, layer, ".bias", shape[0]) : Status();
}

Status TensorReader::check_vector(Slot slot, int64_t layer, std::string_view part,
                                  int64_t size) const {
  AWQ_TRY(need(slot, layer, part, {size}));
  return {};
}

Status TensorReader::check_tensors() const {
  const int64_t hidden = arch_.sizes.hidden;
  const auto norm = [&](const Norm& n, int64_t layer) -> Status {
    AWQ_TRY(check_vector(n.slot, layer, ".weight", hidden));
    return n.bias ? check_vector(n.slot, layer, ".bias", hidden) : Status();
  };
  AWQ_TRY(check_linear(arch_.embed, 0));
  if (!arch_.tied_head) AWQ_TRY(check_linear(arch_.lm_head, 0));
  AWQ_TRY(norm(arch_.final_norm, 0));
  for (int64_t layer = 0; layer < arch_.sizes.layers; ++layer) {
    for (const Norm& n : block_norms(arch_.block)) AWQ_TRY(norm(n, layer));
    for (const Linear& l : block_linears(arch_.block)) AWQ_TRY(check_linear(l, layer));
  }
  return {};
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

static Status check_finite(const FloatTensor& tensor, std::string_view name) {
  for (size_t i = 0; i < tensor.values.size(); ++i) {
    if (std::isfinite(tensor.values[i])) continue;
    return bad_input(cat("tensor ", name, " holds ", tensor.values[i], " at element ", i,
                         "; a checkpoint with NaN or infinity cannot be quantized"));
  }
  return {};
}

Result<FloatBlock> TensorReader::read_block(int64_t layer, ThreadPool& pool) const {
  FloatBlock block;
  const auto read = [&](Slot slot, const Shape& weight, bool bias) -> Status {
    AWQ_ASSIGN(block[slot].weight, read_weight(slot, layer, weight, pool));
    AWQ_ASSIGN(block[slot].bias, read_bias(slot, layer, {weight[0]}, bias));
    const std::string name = module_name(*family_, checkpoint_->container(), slot, layer);
    AWQ_TRY(check_finite(block[slot].weight, name + ".weight"));
    return check_finite(block[slot].bias, name + ".bias");
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
