#include "quant/quantized_config.h"

#include "base/file.h"
#include "checkpoint/quantization.h"
#include "model/families/rope_config.h"
#include "quant/output_placement.h"

namespace awq {

static QuantizationConfig quantization_of(const TensorReader& reader, const FormatPlan& formats) {
  const Arch& arch = reader.arch();
  QuantizationConfig quantization;
  quantization.format = formats.base();
  quantization.packed = formats.packed();
  const auto note = [&](const Linear& linear, int64_t layer,
                        const std::optional<QuantFormat>& format) {
    const Placement at = output_placement(reader, linear, layer);
    if (format == formats.base() || at.sharers.front() != linear.slot) return;
    quantization.exceptions.emplace_back(at.module, format ? format->bits : 0);
  };
  for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
    for (const Linear& linear : block_linears(arch.block)) {
      note(linear, layer, formats.of(layer, linear.slot));
    }
  }
  quantization.head = formats.head().has_value();
  if (quantization.head) note(arch.lm_head, 0, formats.head());
  return quantization;
}

Result<Json> quantized_config(const TensorReader& reader, const FormatPlan& formats) {
  Json config = reader.config().json();
  config["architectures"] = Json::array({std::string(reader.family().architectures.front())});
  config["tie_word_embeddings"] = reader.arch().tied_head && !formats.head();
  config[config.contains("dtype") ? "dtype" : "torch_dtype"] = "float16";
  const auto* rope = std::get_if<Rope>(&reader.arch().block.attention.kinds.front().positions);
  if (rope != nullptr && !rope->divisors.empty()) {
    AWQ_ASSIGN(Json scaling,
               rope_scaling_of_divisors(*rope, printable(reader.checkpoint().path())));
    config.erase("rope_scaling");  // the divisors count in its place
    if (!scaling.is_null()) config["rope_scaling"] = std::move(scaling);
  }
  config["quantization_config"] = quantization_of(reader, formats).to_json();
  return config;
}

}  // namespace awq
