// Stored floats and GGUF blocks to float32: docs/formats/gguf.md has the layouts.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace awq {

/// Whether decode_elements reads this type.
bool can_decode(DType dtype);

/// `elements` consecutive elements (whole blocks) to f32.
void decode_elements(DType dtype, const std::byte* data, int64_t elements, float* out);

}  // namespace awq
