#include <cstring>

#include "base/float16.h"
#include "checkpoint/packing.h"
#include "checkpoint/quantization.h"

namespace awq {
namespace {

std::string where(const Checkpoint& checkpoint, const TensorInfo& tensor) {
  return cat(printable(checkpoint.files()[static_cast<size_t>(tensor.file)]), ": tensor ",
             printable(tensor.name));
}

Result<const TensorInfo*> need(const Checkpoint& checkpoint, const TensorDeclaration& wanted) {
  const TensorInfo* tensor = checkpoint.find(wanted.name);
  if (tensor == nullptr) {
    return bad_input(
        cat(printable(checkpoint.path()), ": tensor ", printable(wanted.name), " is missing"));
  }
  // Scales may be stored as bfloat16 or float by other writers.
  const bool type =
      tensor->dtype == wanted.dtype ||
      (wanted.dtype == DType::f16 && (tensor->dtype == DType::bf16 || tensor->dtype == DType::f32));
  if (!type || !(tensor->shape == wanted.shape)) {
    return bad_input(cat(where(checkpoint, *tensor), " is ", dtype_name(tensor->dtype), " ",
                         tensor->shape.text(), ", expected ", dtype_name(wanted.dtype), " ",
                         wanted.shape.text()));
  }
  return tensor;
}

struct PackedTensors {
  const TensorInfo *qweight, *qzeros, *scales;
};

Result<PackedTensors> find_packed(const Checkpoint& checkpoint, std::string_view module,
                                  const QuantizationConfig& config, int64_t out, int64_t in) {
  const QuantFormat format = module_format(checkpoint, module, config, in);
  if (const Status status = check_packable(config.packed, format, out, in, module);
      !status.ok()) {
    // What a command line could fix is a corrupt file here.
    return bad_input(cat(printable(checkpoint.path()), ": ", status.error().message));
  }
  const auto wanted = packed_tensors(config.packed, format, out, in, module);
  PackedTensors tensors;
  AWQ_ASSIGN(tensors.qweight, need(checkpoint, wanted[0]));
  AWQ_ASSIGN(tensors.qzeros, need(checkpoint, wanted[1]));
  AWQ_ASSIGN(tensors.scales, need(checkpoint, wanted[2]));
  return tensors;
}

Result<std::vector<uint16_t>> read_scales(const Checkpoint& checkpoint, const TensorInfo& tensor) {
  std::vector<uint16_t> halves(static_cast<size_t>(tensor.shape.elements()));
  std::vector<float> values;
  if (tensor.dtype == DType::f16) {
    std::memcpy(halves.data(), tensor.data.data(), halves.size() * sizeof(uint16_t));
  } else {
    values.resize(halves.size());
    AWQ_TRY(checkpoint.read_rows(tensor, 0, tensor.shape.rows(), values.data()));
    for (size_t i = 0; i < values.size(); ++i) halves[i] = float_to_half(values[i]);
  }
  for (size_t i = 0; i < halves.size(); ++i) {
    if ((halves[i] & 0x7C00) != 0x7C00) continue;
    return bad_input(cat(where(checkpoint, tensor), " holds the scale ",
                         values.empty() ? half_to_float(halves[i]) : values[i], " at element ", i,
                         ", expected one that half precision can hold"));
  }
  return halves;
}

// The words of an I32 tensor: where they lie, or copied to `storage` when that is not aligned.
const int32_t* words_of(const TensorInfo& tensor, std::vector<int32_t>& storage) {
  if (reinterpret_cast<uintptr_t>(tensor.data.data()) % alignof(int32_t) == 0) {
    return reinterpret_cast<const int32_t*>(tensor.data.data());
  }
  storage.resize(tensor.data.size() / 4);
  std::memcpy(storage.data(), tensor.data.data(), tensor.data.size());
  return storage.data();
}

// Rows must belong to consecutive groups: act-order needs a permutation that is not read yet.
Status check_group_index(const Checkpoint& checkpoint, std::string_view module,
                         const QuantFormat& format, int64_t in) {
  const std::string name = cat(module, ".g_idx");
  if (checkpoint.find(name) == nullptr) return {};
  AWQ_ASSIGN(const TensorInfo* tensor, need(checkpoint, {name, DType::i32, {in}}));
  std::vector<int32_t> storage;
  const int32_t* groups = words_of(*tensor, storage);
  const int64_t size = format.group_size(in);
  for (int64_t k = 0; k < in; ++k) {
    if (groups[k] == k / size) continue;
    return bad_input(cat(where(checkpoint, *tensor), " holds ", groups[k], " at element ", k,
                         ", expected ", k / size, ": act-order (desc_act) is not read yet"));
  }
  return {};
}

// Every zero of a symmetric checkpoint is 2^(bits-1). Some say version 1 and store it as it is, or
// the reverse; the stored words tell which.
void settle_version(QuantWeight& weight) {
  const auto middle = static_cast<uint8_t>(1 << (weight.format.bits - 1));
  const uint8_t first = weight.zeros.empty() ? middle : weight.zeros.front();
  if (first != middle + 1 && first != middle - 1) return;
  for (const uint8_t zero : weight.zeros) {
    if (zero != first) return;
  }
  weight.zeros.assign(weight.zeros.size(), middle);
}

}  // namespace

bool has_quantized(const Checkpoint& checkpoint, std::string_view module) {
  return checkpoint.find(cat(module, ".qweight")) != nullptr;
}

Status check_quantized(const Checkpoint& checkpoint, std::string_view module,
                       const QuantizationConfig& config, int64_t out, int64_t in) {
  AWQ_TRY(find_packed(checkpoint, module, config, out, in));
  return {};
}

Result<PackedQuant> read_packed(const Checkpoint& checkpoint, std::string_view module,
                                const QuantizationConfig& config, int64_t out, int64_t in) {
  AWQ_ASSIGN(const PackedTensors tensors, find_packed(checkpoint, module, config, out, in));
  AWQ_ASSIGN(const std::vector<uint16_t> scales, read_scales(checkpoint, *tensors.scales));
  std::vector<int32_t> zero_storage;
  const int32_t* zeros = words_of(*tensors.qzeros, zero_storage);
  const QuantFormat format = module_format(checkpoint, module, config, in);
  PackedQuant packed;
  packed.words = {config.packed == PackedFormat::awq_gemm ? QuantWords::Order::awq
                                                          : QuantWords::Order::gptq,
                  words_of(*tensors.qweight, packed.storage),
                  tensors.qweight->shape.elements()};
  if (config.packed == PackedFormat::awq_gemm) {
    packed.facts = unpack_awq(nullptr, zeros, scales.data(), format, out, in);
  } else {
    AWQ_TRY(check_group_index(checkpoint, module, format, in));
    packed.facts = unpack_gptq(nullptr, zeros, scales.data(), format, out, in, config.gptq_v2);
    if (format.symmetric) settle_version(packed.facts);
  }
  AWQ_TRY(checkpoint.check_unchanged());
  return packed;
}

Result<QuantWeight> read_quantized(const Checkpoint& checkpoint, std::string_view module,
                                   const QuantizationConfig& config, int64_t out, int64_t in) {
  AWQ_ASSIGN(PackedQuant packed, read_packed(checkpoint, module, config, out, in));
  const bool awq = packed.words.order == QuantWords::Order::awq;
  (awq ? unpack_awq_codes : unpack_gptq_codes)(packed.words.words, packed.facts);
  AWQ_TRY(checkpoint.check_unchanged());
  return std::move(packed.facts);
}

}  // namespace awq
