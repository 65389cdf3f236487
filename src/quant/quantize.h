// Quantizes a model block by block: read one block in float, calibrate, search scales, fold,
// search clips, round, pack, write. At no time are more than two float blocks held.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "checkpoint/writer.h"
#include "model/tensor_reader.h"
#include "quant/method.h"

namespace awq {

struct QuantizeProgress {
  int64_t layer = 0, layers = 0;
  double loss_rounding = 0, loss_choice = 0;  ///< mean over the layer's fold groups
};

/// Writes the weights and config.json into `output` (not committed). `tokens`: calibration ids, cut
/// into sequences of options.calibration_length; unused for RTN. Returns the report's "groups",
/// "linears" and "seconds".
Result<Json> quantize_model(const TensorReader& reader, const Ops& ops,
                            std::span<const int32_t> tokens, const QuantizeOptions& options,
                            const OutputDirectory& output,
                            const std::function<void(const QuantizeProgress&)>& on_layer = {});

}  // namespace awq
