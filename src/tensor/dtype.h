// Element types of stored tensors: plain numbers (safetensors) and GGUF blocks. A block type packs
// `block_elements` consecutive elements of a row into `block_bytes` bytes.
#pragma once

#include <cstdint>
#include <string_view>

namespace awq {

enum class DType : uint8_t {
  f64, f32, f16, bf16, f8_e4m3, f8_e5m2,
  i64, i32, i16, i8, u64, u32, u16, u8, boolean,
  // GGUF blocks, docs/formats/gguf.md
  q4_0, q4_1, q5_0, q5_1, q8_0, q2_k, q3_k, q4_k, q5_k, q6_k,
};

struct DTypeInfo {
  std::string_view name;  ///< "F32", "BF16", "Q4_1", as the file formats write it
  uint16_t block_elements;
  uint16_t block_bytes;
};

const DTypeInfo& dtype_info(DType dtype);

inline std::string_view dtype_name(DType dtype) { return dtype_info(dtype).name; }

/// F64, F32, F16 or BF16: what a float checkpoint holds.
inline bool is_plain_float(DType dtype) { return dtype <= DType::bf16; }

/// A GGUF block type: weights already rounded, decoded to float when read.
inline bool is_block(DType dtype) { return dtype >= DType::q4_0; }

/// Bytes of `elements` consecutive elements; they must fill whole blocks.
uint64_t dtype_bytes(DType dtype, uint64_t elements);

}  // namespace awq
