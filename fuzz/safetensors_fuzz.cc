// fuzz: checkpoint
// A safetensors file: its header, every tensor that can be decoded, and packed modules of both
// kinds.
#include <cstdint>

#include "checkpoint/quantization.h"
#include "tensor_checks.h"

namespace awq {
namespace {

// Takes the sizes that the module's own qweight suggests.
void unpack(const Checkpoint& checkpoint, const TensorInfo& tensor) {
  constexpr std::string_view kSuffix = ".qweight";
  const std::string_view name = tensor.name;
  if (!name.ends_with(kSuffix) || tensor.shape.rank() != 2) return;
  const int64_t rows = tensor.shape[0], columns = tensor.shape[1];
  if (rows > 4096 || columns > 4096 || rows * columns > kElements || rows * columns == 0) return;
  const std::string_view module = name.substr(0, name.size() - kSuffix.size());
  for (const int64_t group : {0, 8, 32}) {
    QuantizationConfig config;
    config.format.group = group;
    static_cast<void>(read_quantized(checkpoint, module, config, columns * 8, rows));
    config.packed = PackedFormat::gptq;
    for (const int bits : {2, 3, 4, 8}) {
      config.format.bits = bits;
      config.format.symmetric = bits == 4;
      const auto weight = read_quantized(checkpoint, module, config, columns, rows * 32 / bits);
      if (!weight.ok()) continue;
      AWQ_CHECK(weight->zeros.size() == static_cast<size_t>(weight->out * weight->groups()));
    }
  }
}

}  // namespace
}  // namespace awq

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto checkpoint = awq::Checkpoint::from_safetensors(
      "{}", {reinterpret_cast<const std::byte*>(data), size}, "fuzz");
  if (!checkpoint.ok()) return 0;
  for (const awq::TensorInfo& tensor : checkpoint->tensors()) {
    awq::decode(*checkpoint, tensor);
    awq::unpack(*checkpoint, tensor);
  }
  static_cast<void>(checkpoint->fingerprint());
  return 0;
}
