// Every stored type against the values of the Python package gguf (tools/make_block_goldens.py),
// and the corners of each layout by hand.
#include "checkpoint/blocks.h"

#include <bit>
#include <cmath>

#include "base/float16.h"
#include "checkpoint/test_files.h"

namespace awq {
namespace {

constexpr int kBlocks = 64;

struct Golden {
  DType dtype;
  uint32_t crc;
  uint32_t first[4];
};
constexpr Golden kGoldens[] = {
#include "checkpoint/block_goldens.inc"
};

uint32_t crc32(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFFu;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320u : 0);
  }
  return ~crc;
}

// Where the half-precision fields of a block lie.
std::vector<size_t> half_fields(DType dtype) {
  switch (dtype) {
    case DType::q4_1:
    case DType::q5_1:
    case DType::q4_k:
    case DType::q5_k: return {0, 2};
    case DType::q2_k: return {80, 82};
    case DType::q3_k: return {108};
    case DType::q6_k: return {208};
    default: return is_block(dtype) ? std::vector<size_t>{0} : std::vector<size_t>{};
  }
}

// The script's bytes: the high ones of xorshift64, with one exponent bit of every float cleared.
std::string golden_bytes(DType dtype, uint64_t seed) {
  const size_t size = dtype_info(dtype).block_bytes;
  std::string bytes;
  uint64_t state = seed * 0x9E3779B97F4A7C15u;
  while (bytes.size() < kBlocks * size) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    bytes.push_back(static_cast<char>(state >> 56));
  }
  for (size_t block = 0; block < kBlocks; ++block) {
    const auto clear = [&](size_t at) {
      bytes[block * size + at] = static_cast<char>(bytes[block * size + at] & 0xBF);
    };
    if (!is_block(dtype)) clear(size - 1);
    for (const size_t field : half_fields(dtype)) clear(field + 1);
  }
  return bytes;
}

std::vector<float> decode(DType dtype, std::string_view bytes) {
  const DTypeInfo& info = dtype_info(dtype);
  std::vector<float> out(bytes.size() / info.block_bytes * info.block_elements);
  decode_elements(dtype, as_bytes(bytes).data(), static_cast<int64_t>(out.size()), out.data());
  return out;
}

TEST(Blocks, DecodeAsThePythonPackage) {
  uint64_t seed = 0;
  for (const Golden& golden : kGoldens) {
    std::vector<float> values = decode(golden.dtype, golden_bytes(golden.dtype, ++seed));
    for (float& value : values) value += 0.0f;  // -0 to 0, as the script does
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(std::bit_cast<uint32_t>(values[i]), golden.first[i])
          << dtype_name(golden.dtype) << " " << i << ": " << values[i];
    }
    const std::string_view bytes(reinterpret_cast<const char*>(values.data()), values.size() * 4);
    EXPECT_EQ(crc32(bytes), golden.crc) << dtype_name(golden.dtype);
  }
  EXPECT_EQ(seed, 13u);
}

TEST(Blocks, Q4_0_LowNibblesComeFirst) {
  std::string block = le(float_to_half(2.0f)) + std::string(16, '\x88');
  block[2] = '\x0f';       // element 0: 15 - 8, element 16: 0 - 8
  block[2 + 15] = '\x91';  // element 15: 1 - 8, element 31: 9 - 8
  const std::vector<float> y = decode(DType::q4_0, block);
  EXPECT_EQ(y[0], 14);
  EXPECT_EQ(y[16], -16);
  EXPECT_EQ(y[15], -14);
  EXPECT_EQ(y[31], 2);
  EXPECT_EQ(y[1], 0);
}

TEST(Blocks, Q5_0_TheFifthBit) {
  std::string block = le(float_to_half(1.0f)) + le<uint32_t>(1u | 1u << 17) + std::string(16, '\0');
  const std::vector<float> y = decode(DType::q5_0, block);
  EXPECT_EQ(y[0], 0);  // 16 - 16
  EXPECT_EQ(y[17], 0);
  EXPECT_EQ(y[1], -16);
  EXPECT_EQ(y[16], -16);
}

// A scale and a minimum for each 32 elements, 6 bits each, in 12 bytes.
TEST(Blocks, Q4_K_ScalesAndMinimums) {
  std::string scales(12, '\0');
  for (int j = 0; j < 8; ++j) {
    const auto scale = static_cast<unsigned>(8 * j + 5), min = static_cast<unsigned>(63 - 7 * j);
    const auto put = [&](int at, unsigned bits) {
      scales[static_cast<size_t>(at)] =
          static_cast<char>(static_cast<unsigned char>(scales[static_cast<size_t>(at)]) | bits);
    };
    if (j < 4) {
      put(j, scale);
      put(j + 4, min);
    } else {
      put(j + 4, (scale & 15) | (min & 15) << 4);
      put(j - 4, scale >> 4 << 6);
      put(j, min >> 4 << 6);
    }
  }
  const std::string block = le(float_to_half(1.0f)) + le(float_to_half(1.0f)) + scales +
                            std::string(128, '\x21');  // low nibble 1, high nibble 2
  const std::vector<float> y = decode(DType::q4_k, block);
  for (int j = 0; j < 8; ++j) {
    EXPECT_EQ(y[static_cast<size_t>(32 * j)],
              static_cast<float>((8 * j + 5) * (1 + j % 2) - (63 - 7 * j)))
        << j;
  }
}

TEST(Blocks, HalfPrecisionCorners) {
  const std::vector<float> y =
      decode(DType::f16, le<uint16_t>(0x0001) + le<uint16_t>(0x7BFF) + le<uint16_t>(0xFC00));
  EXPECT_EQ(y[0], 0x1p-24f);
  EXPECT_EQ(y[1], 65504.0f);
  EXPECT_EQ(y[2], -INFINITY);
  EXPECT_EQ(decode(DType::f64, le(-0.1))[0], -0.1f);
}

TEST(Blocks, WhatCanBeDecoded) {
  for (const DType dtype : {DType::f64, DType::bf16, DType::q2_k, DType::q6_k}) {
    EXPECT_TRUE(can_decode(dtype));
  }
  for (const DType dtype : {DType::f8_e4m3, DType::i32, DType::u8, DType::boolean}) {
    EXPECT_FALSE(can_decode(dtype));
  }
  decode_elements(DType::f32, nullptr, 0, nullptr);  // an empty tensor has no address
}

}  // namespace
}  // namespace awq
