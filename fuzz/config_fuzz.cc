// fuzz: model
// A config.json: JSON, the architecture it describes, what is derived from it, its quantization.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "checkpoint/quantization.h"
#include "model/family.h"

namespace awq {
namespace {

void describe(const Config& config) {
  const auto family = find_family(config);
  if (!family.ok()) return;
  const auto arch = (*family)->describe(config);
  if (!arch.ok()) {
    AWQ_CHECK(!arch.error().message.empty());
    return;
  }
  AWQ_CHECK(arch->sizes.layers > 0 && arch->sizes.heads % arch->sizes.kv_heads == 0);
  for (const Linear& linear : block_linears(arch->block)) {
    AWQ_CHECK(linear_shape(*arch, linear).elements() > 0, slot_name(linear.slot));
  }
  if (const auto* rope = std::get_if<Rope>(&arch->block.attention.positions)) {
    AWQ_CHECK(inverse_frequencies(*rope).size() == static_cast<size_t>(rope->rotary_dim / 2));
  }
}

void quantization(const Json& json) {
  const auto config = QuantizationConfig::from_json(json, "fuzz");
  if (!config.ok() || !config->has_value()) return;
  // What is written is read back the same.
  const auto again =
      QuantizationConfig::from_json({{"quantization_config", (*config)->to_json()}}, "again");
  AWQ_CHECK(again.ok() && again->has_value());
  AWQ_CHECK((*again)->format == (*config)->format && (*again)->packed == (*config)->packed);
  static_cast<void>(packed_tensors((*config)->packed, (*config)->format, 4096, 4096, "m"));
}

}  // namespace
}  // namespace awq

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto json = awq::parse_json(text, "fuzz", {.depth = 64, .bytes = size_t{4} << 20});
  if (!json.ok() || !json->is_object()) return 0;
  awq::quantization(*json);
  awq::describe(awq::Config(std::move(*json), "fuzz"));
  return 0;
}
