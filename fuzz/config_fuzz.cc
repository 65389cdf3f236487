// fuzz: model
// A config.json: JSON, the architecture it describes, what is derived from it, its quantization.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "checkpoint/quantization.h"
#include "model/diagram.h"
#include "model/fold.h"
#include "model/placement.h"

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
  const Sizes& sizes = arch->sizes;
  AWQ_CHECK(sizes.layers > 0 && sizes.heads % sizes.kv_heads == 0);
  for (const Linear& linear : block_linears(arch->block)) {
    const Shape shape = linear_shape(*arch, linear);
    AWQ_CHECK(shape.elements() > 0, slot_name(linear.slot));
    const Placement at = placement(**family, Container::hugging_face, *arch, linear.slot, shape[0],
                                   sizes.layers - 1);
    AWQ_CHECK(at.stored_rows >= shape[0] && !at.module.empty(), slot_name(linear.slot));
  }
  for (const Norm& norm : block_norms(arch->block)) AWQ_CHECK(norm_size(*arch, norm) > 0);
  for (const LayerAttention& kind : arch->block.attention.kinds) {
    if (const auto* rope = std::get_if<Rope>(&kind.positions)) {
      for (const int64_t length : {int64_t{0}, sizes.context + 1}) {
        AWQ_CHECK(inverse_frequencies(*rope, length).size() ==
                  static_cast<size_t>(rope->rotary_dim / 2));
      }
    } else if (const auto* alibi = std::get_if<Alibi>(&kind.positions)) {
      AWQ_CHECK(static_cast<int64_t>(alibi_slopes(*alibi, sizes.heads).size()) == sizes.heads);
    }
  }
  for (int64_t layer = 0; layer < sizes.layers; ++layer) {
    AWQ_CHECK(arch->block.attention.kind(layer) < arch->block.attention.kinds.size(), layer);
  }
  AWQ_CHECK(!fold_groups(*arch).empty() && !block_diagram(*arch).empty());
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
