#include "tensor/dtype.h"

#include <array>

#include "base/check.h"

namespace awq {

const DTypeInfo& dtype_info(DType dtype) {
  static constexpr std::array<DTypeInfo, 25> kInfo = {{
      {"F64", 1, 8},     {"F32", 1, 4},     {"F16", 1, 2},     {"BF16", 1, 2},
      {"F8_E4M3", 1, 1}, {"F8_E5M2", 1, 1}, {"I64", 1, 8},     {"I32", 1, 4},
      {"I16", 1, 2},     {"I8", 1, 1},      {"U64", 1, 8},     {"U32", 1, 4},
      {"U16", 1, 2},     {"U8", 1, 1},      {"BOOL", 1, 1},    {"Q4_0", 32, 18},
      {"Q4_1", 32, 20},  {"Q5_0", 32, 22},  {"Q5_1", 32, 24},  {"Q8_0", 32, 34},
      {"Q2_K", 256, 84}, {"Q3_K", 256, 110}, {"Q4_K", 256, 144}, {"Q5_K", 256, 176},
      {"Q6_K", 256, 210},
  }};
  return kInfo[static_cast<size_t>(dtype)];
}

uint64_t dtype_bytes(DType dtype, uint64_t elements) {
  const DTypeInfo& info = dtype_info(dtype);
  AWQ_CHECK(elements % info.block_elements == 0, elements, " of ", info.name);
  return elements / info.block_elements * info.block_bytes;
}

}  // namespace awq
