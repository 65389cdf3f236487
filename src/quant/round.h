// Rounding a float weight to grouped integers (the reference's pseudo_quantize_tensor).
//
// Asymmetric, per group of a row: scale = max(max - min, 1e-5) / max_code, zero = clamp(-rne(min /
// scale), 0, max_code), code = clamp(rne(w / scale) + zero, 0, max_code); zero is not forced into
// [min, max]. Symmetric: scale = max(|w|, 1e-5) / (2^(bits-1) - 1), zero = 2^(bits-1). rne rounds
// half to even. Scales are stored as IEEE half, and rounded to it before codes are taken.
#pragma once

#include <span>

#include "model/float_block.h"
#include "tensor/quant_format.h"

namespace awq {

/// f16 rounds every intermediate to half precision as the reference's half tensors do: its integers
/// bit for bit. f32 rounds only the scale.
enum class Arithmetic { f32, f16 };

struct GroupParams {
  float scale = 0;  ///< exactly representable in half precision, > 0
  int zero = 0;
};

GroupParams find_params(const float* w, int64_t n, const QuantFormat& format,
                        Arithmetic arithmetic = Arithmetic::f32);

void round_group(const float* w, int64_t n, const QuantFormat& format, GroupParams params,
                 uint8_t* codes, Arithmetic arithmetic = Arithmetic::f32);

/// out[i] = (code - zero) * scale: what the packed weight will be worth. Row [in] by groups.
void fake_round_row(const float* w, int64_t in, const QuantFormat& format, float* out,
                    Arithmetic arithmetic = Arithmetic::f32);

/// Row `row` of `weight` with its columns scaled, rounded, unscaled.
void rounded_row(const FloatTensor& weight, int64_t row, const std::vector<float>& columns,
                 const QuantFormat& format, Arithmetic arithmetic, float* out);

/// The canonical quantized form of a weight [out, in].
QuantWeight round_weight(const FloatTensor& weight, const QuantFormat& format, ThreadPool& pool,
                         Arithmetic arithmetic = Arithmetic::f32);

/// Every value to the nearest that half precision holds.
void round_to_half(FloatTensor& tensor);

/// What the codes are worth: [out, in].
FloatTensor dequantize_weight(const QuantWeight& weight, ThreadPool& pool);
/// The same into `to`, whose memory serves when it is of that shape.
void dequantize_weight(const QuantWeight& weight, FloatTensor& to, ThreadPool& pool);

}  // namespace awq
