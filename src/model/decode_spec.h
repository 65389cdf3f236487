// What a backend must know to plan a whole decode step, derived from the records of the model.
#pragma once

#include <optional>

#include "kernels/decode_step.h"
#include "model/weights.h"

namespace awq {

/// Nothing for a decoder that DecodeSpec has no words for: mixtures of experts, norms of the residual
/// sums, projections around the blocks, rotary frequencies that depend on the length. `caches` are the
/// layers' caches.
std::optional<DecodeSpec> decode_spec(const Model& model, std::span<const KvView> caches,
                                      int64_t capacity);

}  // namespace awq
