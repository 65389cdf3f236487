// GPTQ (Frantar et al. 2022): a linear's columns are rounded one after the other, and what each
// rounding adds to the outputs is taken back by the columns that are still to come.
#pragma once

#include <span>

#include "model/float_block.h"
#include "quant/inverse_factor.h"
#include "tensor/quant_format.h"

namespace awq {

/// The canonical form of `weight` [out, in], rounded in the order of `factor` (of the same input).
/// Scales and zero points are find_params() of a group's columns: as they are when the first of them
/// is reached, every earlier error taken back; or, when the order is not that of the columns, of the
/// weight as it was (static groups), so that groups stay consecutive and no g_idx is needed.
/// `keep` [out, groups] or empty: the share of its largest magnitude that a group's grid spans
/// (AWQ's clip; the values beyond it saturate and are compensated). Groups of up to 128 inputs divide
/// 128, larger ones are multiples of it. The result does not depend on the number of threads.
QuantWeight gptq_round(const FloatTensor& weight, const InverseFactor& factor,
                       const QuantFormat& format, std::span<const float> keep, ThreadPool& pool);

/// Memory that gptq_round needs beside its result, for weights of `in` columns.
uint64_t gptq_scratch_bytes(int64_t in, int threads);

}  // namespace awq
