// The 1% of the input channels that the paper keeps, scales or counts.
#pragma once

#include <span>
#include <vector>

#include "model/float_block.h"
#include "quant/calibrate.h"
#include "tensor/quant_format.h"

namespace awq {

enum class SalientBy { activation, weight, random };

/// The `share` of a linear's input channels (at least one) that is largest by mean |x|, by the norm
/// of the weight's column, or drawn by `seed`: indices in rising order.
std::vector<int64_t> salient_channels(SalientBy by, double share, const InputStatistics& input,
                                      const FloatTensor& weight, uint64_t seed);

/// The same by H_jj |Q(W)_j - W_j|^2, what rounding the column costs at the outputs (as OWQ chooses).
std::vector<int64_t> sensitive_channels(double share, const InputStatistics& input,
                                        const FloatTensor& weight, const QuantFormat& format,
                                        const Ops& ops);

/// Rounds `weight` [out, in] to nearest and back, but for `channels`, which keep their values.
void round_but(FloatTensor& weight, std::span<const int64_t> channels, const QuantFormat& format,
               ThreadPool& pool);

/// The same with `channels` stored apart (as OWQ): they do not widen the steps of their groups.
void round_without(FloatTensor& weight, std::span<const int64_t> channels, const QuantFormat& format,
                   ThreadPool& pool);

/// Rounds with the columns `channels` scaled by `s` before and after: Q(W s) / s.
void round_scaled(FloatTensor& weight, std::span<const int64_t> channels, float s,
                  const QuantFormat& format, ThreadPool& pool);

}  // namespace awq
