// Quantization is a property of a weight: the canonical form to which every checkpoint format is
// normalised at the border, and from which each backend makes its own packed layout.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"

namespace awq {

/// How the codes of a weight [out, in] are to be read: value = (code - zero) * scale, with one
/// scale and zero for each `group` consecutive inputs of a row.
struct QuantFormat {
  int bits = 4;            ///< 2, 3, 4 or 8
  int64_t group = 128;     ///< inputs that share a scale; 0 = the whole row (per-channel)
  bool symmetric = false;  ///< every zero is 2^(bits-1)

  int64_t group_size(int64_t in) const { return group == 0 ? in : group; }
  /// Groups of a row; the last may be short (a tail).
  int64_t groups(int64_t in) const { return (in + group_size(in) - 1) / group_size(in); }
  int max_code() const { return (1 << bits) - 1; }
  bool operator==(const QuantFormat&) const = default;
};

/// A quantized matrix in canonical form.
struct QuantWeight {
  QuantFormat format;
  int64_t out = 0, in = 0;
  std::vector<uint8_t> codes;    ///< [out, in], unsigned, <= max_code
  std::vector<uint16_t> scales;  ///< [out, groups], IEEE half
  std::vector<uint8_t> zeros;    ///< [out, groups]

  int64_t groups() const { return format.groups(in); }
};

/// Codes as a checkpoint's 32-bit words hold them, rows being the weight's inputs.
struct QuantWords {
  enum class Order {
    awq,   ///< [in, out / 8], nibbles in kAwqOrder (docs/formats/awq.md); 4 bits
    gptq,  ///< [in * bits / 32, out], little-endian along the inputs (docs/formats/gptq.md)
  };
  Order order = Order::awq;
  const int32_t* words = nullptr;
  int64_t count = 0;
};

/// Nibble i of an AWQ word holds output 8 c + kAwqOrder[i].
inline constexpr int kAwqOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};

/// "INT4-g128", "INT3-channel-sym".
inline std::string format_name(const QuantFormat& format) {
  return cat("INT", format.bits, format.group == 0 ? "-channel" : cat("-g", format.group),
             format.symmetric ? "-sym" : "");
}

}  // namespace awq
