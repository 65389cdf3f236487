#include "checkpoint/blocks.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/float16.h"

namespace awq {
namespace {

const uint8_t* bytes_at(const std::byte* data, size_t offset) {
  return reinterpret_cast<const uint8_t*>(data) + offset;
}

float half_at(const std::byte* data, size_t offset) {
  return half_to_float(load_le<uint16_t>(data + offset));
}

void decode_q4_0(const std::byte* b, float* y) {
  const float d = half_at(b, 0);
  const uint8_t* q = bytes_at(b, 2);
  for (int j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>((q[j] & 15) - 8);
    y[j + 16] = d * static_cast<float>((q[j] >> 4) - 8);
  }
}

void decode_q4_1(const std::byte* b, float* y) {
  const float d = half_at(b, 0), m = half_at(b, 2);
  const uint8_t* q = bytes_at(b, 4);
  for (int j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>(q[j] & 15) + m;
    y[j + 16] = d * static_cast<float>(q[j] >> 4) + m;
  }
}

// The fifth bit of element j is bit j of `high`.
int five_bits(const uint8_t* q, uint32_t high, int j) {
  const int low = j < 16 ? q[j] & 15 : q[j - 16] >> 4;
  return low | static_cast<int>((high >> j) & 1) << 4;
}

void decode_q5_0(const std::byte* b, float* y) {
  const float d = half_at(b, 0);
  const auto high = load_le<uint32_t>(b + 2);
  for (int j = 0; j < 32; ++j) {
    y[j] = d * static_cast<float>(five_bits(bytes_at(b, 6), high, j) - 16);
  }
}

void decode_q5_1(const std::byte* b, float* y) {
  const float d = half_at(b, 0), m = half_at(b, 2);
  const auto high = load_le<uint32_t>(b + 4);
  for (int j = 0; j < 32; ++j) {
    y[j] = d * static_cast<float>(five_bits(bytes_at(b, 8), high, j)) + m;
  }
}

void decode_q8_0(const std::byte* b, float* y) {
  const float d = half_at(b, 0);
  const auto* q = reinterpret_cast<const int8_t*>(b + 2);
  for (int j = 0; j < 32; ++j) y[j] = d * static_cast<float>(q[j]);
}

void decode_q2_k(const std::byte* b, float* y) {
  const uint8_t *scales = bytes_at(b, 0), *q = bytes_at(b, 16);
  const float d = half_at(b, 80), dmin = half_at(b, 82);
  for (int half = 0; half < 2; ++half, q += 32) {
    for (int shift = 0; shift < 8; shift += 2) {
      for (int l = 0; l < 32; ++l) {
        const uint8_t s = scales[half * 8 + shift + l / 16];
        *y++ = d * static_cast<float>(s & 15) * static_cast<float>((q[l] >> shift) & 3) -
               dmin * static_cast<float>(s >> 4);
      }
    }
  }
}

void decode_q3_k(const std::byte* b, float* y) {
  const uint8_t *mask = bytes_at(b, 0), *q = bytes_at(b, 32), *packed = bytes_at(b, 96);
  const float d = half_at(b, 108);
  const auto scale = [&](int j) {
    const int low = j < 8 ? packed[j] & 15 : packed[j - 8] >> 4;
    return (low | ((packed[8 + j % 4] >> (2 * (j / 4))) & 3) << 4) - 32;
  };
  for (int half = 0; half < 2; ++half, q += 32) {
    for (int run = 0; run < 4; ++run) {
      for (int l = 0; l < 32; ++l) {
        const bool high = (mask[l] >> (half * 4 + run)) & 1;
        const int value = ((q[l] >> (2 * run)) & 3) - (high ? 0 : 4);
        *y++ =
            d * static_cast<float>(scale(half * 8 + run * 2 + l / 16)) * static_cast<float>(value);
      }
    }
  }
}

struct ScaleMin {
  float scale, min;
};

// The 6-bit scales and minimums of Q4_K and Q5_K, j in [0, 8).
ScaleMin scale_min(const uint8_t* s, int j) {
  if (j < 4) return {static_cast<float>(s[j] & 63), static_cast<float>(s[j + 4] & 63)};
  return {static_cast<float>((s[j + 4] & 15) | (s[j - 4] >> 6) << 4),
          static_cast<float>((s[j + 4] >> 4) | (s[j] >> 6) << 4)};
}

void decode_q4_k(const std::byte* b, float* y) {
  const float d = half_at(b, 0), dmin = half_at(b, 2);
  const uint8_t *scales = bytes_at(b, 4), *q = bytes_at(b, 16);
  for (int chunk = 0; chunk < 4; ++chunk, q += 32) {
    for (int high = 0; high < 2; ++high) {
      const ScaleMin sm = scale_min(scales, 2 * chunk + high);
      for (int l = 0; l < 32; ++l) {
        *y++ = d * sm.scale * static_cast<float>((q[l] >> (4 * high)) & 15) - dmin * sm.min;
      }
    }
  }
}

void decode_q5_k(const std::byte* b, float* y) {
  const float d = half_at(b, 0), dmin = half_at(b, 2);
  const uint8_t *scales = bytes_at(b, 4), *qh = bytes_at(b, 16), *q = bytes_at(b, 48);
  for (int chunk = 0; chunk < 4; ++chunk, q += 32) {
    for (int high = 0; high < 2; ++high) {
      const ScaleMin sm = scale_min(scales, 2 * chunk + high);
      for (int l = 0; l < 32; ++l) {
        const int fifth = (qh[l] >> (2 * chunk + high)) & 1;
        const int value = ((q[l] >> (4 * high)) & 15) | fifth << 4;
        *y++ = d * sm.scale * static_cast<float>(value) - dmin * sm.min;
      }
    }
  }
}

void decode_q6_k(const std::byte* b, float* y) {
  const uint8_t *low = bytes_at(b, 0), *high = bytes_at(b, 128);
  const auto* scales = reinterpret_cast<const int8_t*>(b + 192);
  const float d = half_at(b, 208);
  for (int half = 0; half < 2; ++half, low += 64, high += 32, scales += 8) {
    for (int part = 0; part < 4; ++part) {
      for (int l = 0; l < 32; ++l) {
        const uint8_t byte = low[l + 32 * (part & 1)];
        const int nibble = part < 2 ? byte & 15 : byte >> 4;
        const int value = (nibble | ((high[l] >> (2 * part)) & 3) << 4) - 32;
        *y++ = d * static_cast<float>(scales[l / 16 + 2 * part]) * static_cast<float>(value);
      }
    }
  }
}

template <class F>
void decode_blocks(DType dtype, const std::byte* data, int64_t elements, float* out, F&& decode) {
  const DTypeInfo& info = dtype_info(dtype);
  AWQ_CHECK(elements % info.block_elements == 0, elements);
  for (int64_t i = 0; i < elements; i += info.block_elements) {
    decode(data, out + i);
    data += info.block_bytes;
  }
}

// Plain numbers, at any alignment.
template <class T, class F>
void convert(const std::byte* data, int64_t elements, float* out, F&& to_float) {
  for (int64_t i = 0; i < elements; ++i) {
    out[i] = to_float(load_le<T>(data + static_cast<size_t>(i) * sizeof(T)));
  }
}

}  // namespace

bool can_decode(DType dtype) { return is_plain_float(dtype) || is_block(dtype); }

void decode_elements(DType dtype, const std::byte* data, int64_t elements, float* out) {
  if (elements == 0) return;  // a tensor without elements may have no address
  const auto blocks = [&](auto&& decode) { decode_blocks(dtype, data, elements, out, decode); };
  switch (dtype) {
    case DType::f64:
      return convert<double>(data, elements, out, [](double v) { return static_cast<float>(v); });
    case DType::f32: std::memcpy(out, data, static_cast<size_t>(elements) * 4); return;
    case DType::f16: return convert<uint16_t>(data, elements, out, half_to_float);
    case DType::bf16: return convert<uint16_t>(data, elements, out, bfloat_to_float);
    case DType::q4_0: return blocks(decode_q4_0);
    case DType::q4_1: return blocks(decode_q4_1);
    case DType::q5_0: return blocks(decode_q5_0);
    case DType::q5_1: return blocks(decode_q5_1);
    case DType::q8_0: return blocks(decode_q8_0);
    case DType::q2_k: return blocks(decode_q2_k);
    case DType::q3_k: return blocks(decode_q3_k);
    case DType::q4_k: return blocks(decode_q4_k);
    case DType::q5_k: return blocks(decode_q5_k);
    case DType::q6_k: return blocks(decode_q6_k);
    default: AWQ_CHECK(false, dtype_name(dtype));
  }
}

}  // namespace awq
