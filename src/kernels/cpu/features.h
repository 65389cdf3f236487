// What the processor at hand can run, asked once.
#pragma once

#include <string_view>

namespace awq {

struct CpuFeatures {
  bool avx2 = false;      ///< AVX2, FMA and F16C
  bool avx_vnni = false;  ///< AVX2 and AVX-VNNI
  bool avx512 = false;    ///< AVX-512 F, BW, VL and DQ
  bool vnni = false;      ///< AVX-512 VNNI
  bool dot_product = false;  ///< NEON with dot products of bytes (64-bit ARM has NEON)
};

const CpuFeatures& cpu_features();

/// "AVX-512 VNNI", "AVX-512", "AVX-VNNI", "AVX2", "NEON dot product", "NEON" or "scalar".
std::string_view cpu_features_text();

}  // namespace awq
