// What a backend must know to plan a whole decode step, derived from the records of the model.
#pragma once

#include <optional>

#include "kernels/decode_step.h"
#include "model/weights.h"

namespace awq {

/// Nothing for a decoder that is not a plain one: sequential, RMS norms without offset or bias, RoPE
/// over whole heads, gated feed-forward, linears without biases. `caches` are the layers' caches.
std::optional<DecodeSpec> decode_spec(const Model& model, std::span<const KvView> caches,
                                      int64_t capacity);

}  // namespace awq
