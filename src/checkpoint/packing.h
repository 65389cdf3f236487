// Codes to and from the 32-bit words of AutoAWQ's gemm layout and GPTQ's: docs/formats/awq.md,
// docs/formats/gptq.md. Integers only; no float round trip.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/quant_format.h"

namespace awq {

struct PackedWords {
  std::vector<int32_t> qweight, qzeros;
  std::vector<uint16_t> scales;  ///< [groups, out], halves
};

/// qweight [in, out / 8], qzeros [groups, out / 8]; bits 4, out % 8 == 0. Of unpack_*: without
/// `qweight` (null) the codes stay empty.
PackedWords pack_awq(const QuantWeight& weight);
QuantWeight unpack_awq(const int32_t* qweight, const int32_t* qzeros, const uint16_t* scales,
                       const QuantFormat& format, int64_t out, int64_t in);

/// qweight [in * bits / 32, out], qzeros [groups, out * bits / 32]. Version 1 stores zero - 1,
/// version 2 the zero itself.
PackedWords pack_gptq(const QuantWeight& weight, bool v2);
QuantWeight unpack_gptq(const int32_t* qweight, const int32_t* qzeros, const uint16_t* scales,
                        const QuantFormat& format, int64_t out, int64_t in, bool v2);

/// The codes alone, of a weight that unpack_* left without.
void unpack_awq_codes(const int32_t* qweight, QuantWeight& weight);
void unpack_gptq_codes(const int32_t* qweight, QuantWeight& weight);

}  // namespace awq
