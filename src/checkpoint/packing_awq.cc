#include <algorithm>

#include "checkpoint/packing.h"

namespace awq {
namespace {

// [rows, columns] to [columns, rows].
std::vector<uint16_t> transpose(const uint16_t* from, int64_t rows, int64_t columns) {
  std::vector<uint16_t> to(static_cast<size_t>(rows * columns));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c)
      to[static_cast<size_t>(c * rows + r)] = from[r * columns + c];
  }
  return to;
}

// [out, columns] codes to [columns, out / 8] words.
std::vector<int32_t> pack_columns(const std::vector<uint8_t>& codes, int64_t out, int64_t columns) {
  std::vector<int32_t> words(static_cast<size_t>(columns * out / 8));
  for (int64_t c = 0; c < out / 8; ++c) {
    for (int64_t k = 0; k < columns; ++k) {
      uint32_t word = 0;
      for (int i = 0; i < 8; ++i) {
        const uint32_t code = codes[static_cast<size_t>((8 * c + kAwqOrder[i]) * columns + k)];
        word |= code << (4 * i);
      }
      words[static_cast<size_t>(k * (out / 8) + c)] = static_cast<int32_t>(word);
    }
  }
  return words;
}

// In blocks whose source and target stay in the cache.
std::vector<uint8_t> unpack_columns(const int32_t* words, int64_t out, int64_t columns) {
  constexpr int64_t kColumns = 64, kWords = 16;
  std::vector<uint8_t> codes(static_cast<size_t>(columns * out));
  for (int64_t first = 0; first < out / 8; first += kWords) {
    const int64_t last = std::min(out / 8, first + kWords);
    for (int64_t begin = 0; begin < columns; begin += kColumns) {
      const int64_t end = std::min(columns, begin + kColumns);
      for (int64_t c = first; c < last; ++c) {
        for (int i = 0; i < 8; ++i) {
          uint8_t* to = codes.data() + (8 * c + kAwqOrder[i]) * columns;
          for (int64_t k = begin; k < end; ++k) {
            to[k] = static_cast<uint8_t>(static_cast<uint32_t>(words[k * (out / 8) + c]) >> (4 * i) &
                                         15);
          }
        }
      }
    }
  }
  return codes;
}

}  // namespace

PackedWords pack_awq(const QuantWeight& weight) {
  AWQ_CHECK(weight.format.bits == 4 && weight.out % 8 == 0, weight.format.bits, weight.out);
  PackedWords words;
  words.qweight = pack_columns(weight.codes, weight.out, weight.in);
  words.qzeros = pack_columns(weight.zeros, weight.out, weight.groups());
  words.scales = transpose(weight.scales.data(), weight.out, weight.groups());
  return words;
}

void unpack_awq_codes(const int32_t* qweight, QuantWeight& weight) {
  weight.codes = unpack_columns(qweight, weight.out, weight.in);
}

QuantWeight unpack_awq(const int32_t* qweight, const int32_t* qzeros, const uint16_t* scales,
                       const QuantFormat& format, int64_t out, int64_t in) {
  QuantWeight weight{format, out, in, {}, {}, {}};
  const int64_t groups = weight.groups();
  if (qweight != nullptr) unpack_awq_codes(qweight, weight);
  weight.zeros = unpack_columns(qzeros, out, groups);
  weight.scales = transpose(scales, groups, out);
  return weight;
}

}  // namespace awq
