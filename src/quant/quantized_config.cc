#include "quant/quantized_config.h"

#include "checkpoint/quantization.h"

namespace awq {

Json quantized_config(const TensorReader& reader, const QuantFormat& format) {
  Json config = reader.config().json();
  config["architectures"] = Json::array({std::string(reader.family().architectures.front())});
  config["tie_word_embeddings"] = reader.arch().tied_head;
  config[config.contains("dtype") ? "dtype" : "torch_dtype"] = "float16";
  QuantizationConfig quantization;
  quantization.format = format;
  quantization.packed = packed_format_for(format);
  config["quantization_config"] = quantization.to_json();
  return config;
}

}  // namespace awq
