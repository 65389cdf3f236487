// Weights and matrix products of the CUDA table; the entries of Ops with the same names.
#pragma once

#include <memory>
#include <span>

#include "kernels/ops.h"

namespace awq::cuda {

std::unique_ptr<PackedWeight> pack_float(Device& device, const FloatWeight& weight);
std::unique_ptr<PackedWeight> pack_quant(Device& device, const QuantWeight& weight);
std::unique_ptr<PackedWeight> pack_words(Device& device, const QuantWeight& facts,
                                         const QuantWords& words);
/// pack_quant where tileable(): the codes are put in order on the device.
std::unique_ptr<PackedWeight> pack_quant_tiles(Device& device, const QuantWeight& weight);

/// x and y are device memory, as is `bias`.
void matmul(Device& device, Matrix x, const PackedWeight& w, const float* bias, Matrix y);

/// Products of f32 weights in TF32.
void matmul_tf32(Device& device, Matrix x, const PackedWeight& w, const float* bias, Matrix y);

/// Float tables only; `ids` are host memory.
void embed(Device& device, std::span<const int32_t> ids, const PackedWeight& table, Matrix y);

}  // namespace awq::cuda
