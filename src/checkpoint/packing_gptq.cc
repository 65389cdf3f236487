#include <algorithm>

#include "checkpoint/packing.h"

namespace awq {
namespace {

// Values of `bits` bits as a little-endian stream of 32-bit words: value i lies at bit i * bits.
// For 3 bits a value may straddle two words, exactly as GPTQ's three-word groups of 32 do.
void put_bits(int32_t* words, int64_t stride, int bits, int64_t index, uint32_t value) {
  const int64_t bit = index * bits;
  const int shift = static_cast<int>(bit % 32);
  auto* word = reinterpret_cast<uint32_t*>(words + bit / 32 * stride);
  *word |= value << shift;
  if (shift + bits > 32) {
    auto* next = reinterpret_cast<uint32_t*>(words + (bit / 32 + 1) * stride);
    *next |= value >> (32 - shift);
  }
}

uint32_t get_bits(const int32_t* words, int64_t stride, int bits, int64_t index) {
  const int64_t bit = index * bits;
  const int shift = static_cast<int>(bit % 32);
  uint32_t value = static_cast<uint32_t>(words[bit / 32 * stride]) >> shift;
  if (shift + bits > 32) {
    value |= static_cast<uint32_t>(words[(bit / 32 + 1) * stride]) << (32 - shift);
  }
  return value & ((1u << bits) - 1);
}

int64_t words_for(int64_t values, int bits) { return (values * bits + 31) / 32; }

constexpr int64_t kTile = 64;  // columns done together, so that writes stay in the cache

}  // namespace

void unpack_gptq_codes(const int32_t* qweight, QuantWeight& weight) {
  const int64_t out = weight.out, in = weight.in;
  weight.codes.resize(static_cast<size_t>(out * in));
  for (int64_t first = 0; first < out; first += kTile) {
    const int64_t last = std::min(out, first + kTile);
    for (int64_t k = 0; k < in; ++k) {
      for (int64_t n = first; n < last; ++n) {
        weight.codes[static_cast<size_t>(n * in + k)] =
            static_cast<uint8_t>(get_bits(qweight + n, out, weight.format.bits, k));
      }
    }
  }
}

PackedWords pack_gptq(const QuantWeight& weight, bool v2) {
  const int bits = weight.format.bits;
  const int64_t out = weight.out, in = weight.in, groups = weight.groups();
  const uint32_t mask = static_cast<uint32_t>(weight.format.max_code());
  PackedWords words;
  words.qweight.assign(static_cast<size_t>(words_for(in, bits) * out), 0);
  words.qzeros.assign(static_cast<size_t>(groups * words_for(out, bits)), 0);
  words.scales.resize(static_cast<size_t>(groups * out));
  for (int64_t first = 0; first < out; first += kTile) {
    const int64_t last = std::min(out, first + kTile);
    for (int64_t k = 0; k < in; ++k) {
      for (int64_t n = first; n < last; ++n) {
        put_bits(words.qweight.data() + n, out, bits, k,
                 weight.codes[static_cast<size_t>(n * in + k)]);
      }
    }
  }
  for (int64_t g = 0; g < groups; ++g) {
    int32_t* row = words.qzeros.data() + g * words_for(out, bits);
    for (int64_t n = 0; n < out; ++n) {
      const auto i = static_cast<size_t>(n * groups + g);
      // Version 1 stores zero - 1; zero 0 wraps inside its field and reads back as 0.
      put_bits(row, 1, bits, n, v2 ? weight.zeros[i] : (weight.zeros[i] - 1u) & mask);
      words.scales[static_cast<size_t>(g * out + n)] = weight.scales[i];
    }
  }
  return words;
}

QuantWeight unpack_gptq(const int32_t* qweight, const int32_t* qzeros, const uint16_t* scales,
                        const QuantFormat& format, int64_t out, int64_t in, bool v2) {
  QuantWeight weight{format, out, in, {}, {}, {}};
  const int bits = format.bits;
  const int64_t groups = weight.groups();
  const uint32_t mask = static_cast<uint32_t>(format.max_code());
  if (qweight != nullptr) unpack_gptq_codes(qweight, weight);
  weight.zeros.resize(static_cast<size_t>(out * groups));
  weight.scales.resize(static_cast<size_t>(out * groups));
  for (int64_t g = 0; g < groups; ++g) {
    const int32_t* row = qzeros + g * words_for(out, bits);
    for (int64_t n = 0; n < out; ++n) {
      const auto i = static_cast<size_t>(n * groups + g);
      const uint32_t stored = get_bits(row, 1, bits, n);
      weight.zeros[i] = static_cast<uint8_t>(v2 ? stored : (stored + 1) & mask);
      weight.scales[i] = scales[g * out + n];
    }
  }
  return weight;
}

}  // namespace awq
