#include "quant/quantized_config.h"

#include "base/file.h"
#include "checkpoint/quantization.h"
#include "model/families/rope_config.h"

namespace awq {

Result<Json> quantized_config(const TensorReader& reader, const QuantFormat& format) {
  Json config = reader.config().json();
  config["architectures"] = Json::array({std::string(reader.family().architectures.front())});
  config["tie_word_embeddings"] = reader.arch().tied_head;
  config[config.contains("dtype") ? "dtype" : "torch_dtype"] = "float16";
  const auto* rope = std::get_if<Rope>(&reader.arch().block.attention.kinds.front().positions);
  if (rope != nullptr && !rope->divisors.empty()) {
    AWQ_ASSIGN(Json scaling,
               rope_scaling_of_divisors(*rope, printable(reader.checkpoint().path())));
    config.erase("rope_scaling");  // the divisors count in its place
    if (!scaling.is_null()) config["rope_scaling"] = std::move(scaling);
  }
  QuantizationConfig quantization;
  quantization.format = format;
  quantization.packed = packed_format_for(format);
  config["quantization_config"] = quantization.to_json();
  return config;
}

}  // namespace awq
