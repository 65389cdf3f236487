// config.json of a quantized checkpoint.
#pragma once

#include "base/json.h"
#include "model/tensor_reader.h"
#include "quant/format_plan.h"

namespace awq {

/// The source's config (or the one its GGUF metadata amounts to) with quantization_config, half
/// precision as the dtype, and the head tied as it was read unless it is quantized. The divisors of a GGUF's rotary
/// frequencies become the rope_scaling that gives them; an error where there is none.
Result<Json> quantized_config(const TensorReader& reader, const FormatPlan& formats);

}  // namespace awq
