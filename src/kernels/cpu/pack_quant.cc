// Quantized weights to panels: from codes, or from the words of a checkpoint without a copy of the codes
// in between. What every source gives are quads, four inputs of a row in the bytes of a word, which is what
// a lane of a panel holds.
#include <algorithm>
#include <cstring>

#include "kernels/check_shapes.h"
#include "kernels/cpu/weights.h"
#include "kernels/cpu/zip.h"

namespace awq::cpu {
namespace {

constexpr size_t kLine = 64;
constexpr int kQuads = kUnit / 4;
constexpr int64_t kStripPanels = 8;  // a line of AWQ's words holds the rows of as many

size_t round_up(size_t value, size_t to) { return (value + to - 1) / to * to; }

size_t unit_bytes(CodeFormat format) {
  constexpr size_t kBytes[kCodeFormats] = {64, 96, 128, 256};
  return kBytes[format];
}

// Units packed together.
int32_t step_units(CodeFormat format) { return format == kInt3 ? 2 : 1; }

/// [quad][row]: byte i of a word is the code of input 4 quad + i, 0 past the end.
using UnitQuads = uint32_t[kQuads][kPanel];

// The first `count` bytes of a word.
uint32_t first_bytes(uint32_t word, int64_t count) {
  return count >= 4 ? word : count <= 0 ? 0 : word & ((1u << (8 * count)) - 1);
}

struct FromCodes {
  static constexpr bool kPairs = false;
  const QuantWeight& weight;

  void fetch(int64_t, int64_t) const {}
  void get(int64_t row, int64_t rows, int64_t k, int64_t count, UnitQuads& quads) const {
    std::memset(quads, 0, sizeof quads);
    for (int64_t r = 0; r < rows; ++r) {
      uint8_t codes[kUnit] = {};
      std::copy_n(weight.codes.data() + (row + r) * weight.in + k, std::min<int64_t>(count, kUnit), codes);
      for (int q = 0; q < kQuads; ++q) std::memcpy(&quads[q][r], codes + 4 * q, 4);
    }
  }
};

// Columns of words are eight rows of one input, in nibbles.
struct FromAwqWords {
  static constexpr bool kPairs = true;
  const uint32_t* words;
  int64_t columns;

  void fetch(int64_t row, int64_t k) const {
    for (int64_t i = 0; i < kUnit; ++i) __builtin_prefetch(words + (k + i) * columns + row / 8);
  }

  void get(int64_t row, int64_t rows, int64_t k, int64_t count, UnitQuads& quads) const {
    std::memset(quads, 0, sizeof quads);
    for (int q = 0; 4 * q < count; ++q) {
      for (int64_t c = 0; c < rows / 8; ++c) {
        uint32_t inputs[4] = {};
        for (int64_t i = 0; i < std::min<int64_t>(4, count - 4 * q); ++i) {
          inputs[i] = words[(k + 4 * q + i) * columns + row / 8 + c];
        }
        uint32_t* to = quads[q] + 8 * c;
        transpose(inputs, 0, to);
        transpose(inputs, 4, to);
      }
    }
  }

  // A whole unit of the panels of `row` and `row` + 16, as put_step would make it of quads.
  void put_pair(int64_t row, int64_t k, std::byte* panel, std::byte* next) const {
    Words4 bytes[4][kQuads];  // [column][quad]: lane b is byte b of the quad's four words
    for (int q = 0; q < kQuads; ++q) {
      Bytes16 in[4];
      for (int i = 0; i < 4; ++i) in[i] = load_vector<Bytes16>(words + (k + 4 * q + i) * columns + row / 8);
      const auto a = (Shorts8)zip_low(in[0], in[1]), b = (Shorts8)zip_low(in[2], in[3]);
      const auto c = (Shorts8)zip_high(in[0], in[1]), d = (Shorts8)zip_high(in[2], in[3]);
      bytes[0][q] = (Words4)zip_low(a, b), bytes[1][q] = (Words4)zip_high(a, b);
      bytes[2][q] = (Words4)zip_low(c, d), bytes[3][q] = (Words4)zip_high(c, d);
    }
    for (int c = 0; c < 4; ++c) {
      std::byte* to = (c < 2 ? panel : next) + c % 2 * 32;
      transpose_square<kQuads>(bytes[c]);
      for (int b = 0; b < 2; ++b) {  // even rows are the low half of a word, odd ones the high half
        const Words4 even = bytes[c][b], odd = bytes[c][b + 2];
        const Words4 low = (even & 0x0F0F0F0F) | (odd & 0x0F0F0F0F) << 4;
        const Words4 high = (even >> 4 & 0x0F0F0F0F) | (odd & 0xF0F0F0F0);
        std::memcpy(to + 16 * b, &low, 16);
        std::memcpy(to + 16 * b + kLine, &high, 16);
      }
    }
  }

  // Bytes of nibbles from `shift` on: those of the rows kAwqOrder[shift / 4 + 2 j], j = 0 .. 3.
  static void transpose(const uint32_t (&inputs)[4], int shift, uint32_t* rows) {
    constexpr uint32_t kLow = 0x0F0F0F0F, kEven = 0x00FF00FF;
    uint32_t x[4];
    for (int i = 0; i < 4; ++i) x[i] = inputs[i] >> shift & kLow;
    const uint32_t a = (x[0] & kEven) | (x[1] & kEven) << 8, b = (x[0] >> 8 & kEven) | (x[1] & ~kEven);
    const uint32_t c = (x[2] & kEven) | (x[3] & kEven) << 8, d = (x[2] >> 8 & kEven) | (x[3] & ~kEven);
    const int* order = kAwqOrder + shift / 4;
    rows[order[0]] = (a & 0xFFFF) | c << 16, rows[order[2]] = (b & 0xFFFF) | d << 16;
    rows[order[4]] = a >> 16 | (c & 0xFFFF0000), rows[order[6]] = b >> 16 | (d & 0xFFFF0000);
  }
};

// Rows of words are the bits of consecutive inputs, the lowest first.
struct FromGptqWords {
  static constexpr bool kPairs = false;
  const uint32_t* words;
  int64_t out, rows_of_words;
  int bits;

  void fetch(int64_t row, int64_t k) const {
    for (int64_t i = 0; i < kPanel * kStripPanels; i += 16) {
      __builtin_prefetch(words + k * bits / 32 * out + row + i);
    }
  }

  void get(int64_t row, int64_t rows, int64_t k, int64_t count, UnitQuads& quads) const {
    std::memset(quads, 0, sizeof quads);
    for (int q = 0; 4 * q < count; ++q) {
      const int64_t bit = (k + 4 * q) * bits, word = bit / 32;
      const auto shift = static_cast<int>(bit % 32);
      const uint32_t* low = words + word * out + row;
      const bool more = shift + 4 * bits > 32 && word + 1 < rows_of_words;
      const uint32_t* high = more ? low + out : nullptr;
      for (int64_t r = 0; r < rows; ++r) {
        const uint64_t both = low[r] | (more ? uint64_t{high[r]} << 32 : 0);
        quads[q][r] = first_bytes(spread(static_cast<uint32_t>(both >> shift)), count - 4 * q);
      }
    }
  }

  // Four values of `bits` bits to bytes.
  uint32_t spread(uint32_t x) const {
    const uint32_t mask = (1u << bits) - 1;
    uint32_t bytes = 0;
    for (int i = 0; i < 4; ++i) bytes |= (x >> (i * bits) & mask) << (8 * i);
    return bytes;
  }
};

// Units where cpu/isa/quant_product.inc expects them, three bits for two units at a time: lane 4 r + q of a
// vector is quad q of the rows 4 r + s, whose sets s lie in vectors of their own (8 bits) or in parts of bytes.
template <CodeFormat kFormat>
void put_step(const UnitQuads* units, std::byte* step) {
  uint32_t words[kFormat == kInt8 ? 4 : kFormat == kInt4 ? 2 : kFormat == kInt3 ? 3 : 1][kPanel];
  for (int r = 0; r < kPanel; r += 4) {
    for (int q = 0; q < kQuads; ++q) {
      const uint32_t* a = units[0][q] + r;
      const int lane = r + q;
      if constexpr (kFormat == kInt8) {
        for (int s = 0; s < 4; ++s) words[s][lane] = a[s];
      } else if constexpr (kFormat == kInt4) {
        words[0][lane] = a[0] | a[1] << 4, words[1][lane] = a[2] | a[3] << 4;
      } else if constexpr (kFormat == kInt2) {
        words[0][lane] = a[0] | a[1] << 2 | a[2] << 4 | a[3] << 6;
      } else {
        constexpr uint32_t kTwo = 0x03030303, kOne = 0x01010101;
        const uint32_t* b = units[1][q] + r;
        words[0][lane] = a[0] | a[1] << 3 | (a[3] >> 1 & kTwo) << 6;
        words[1][lane] = b[0] | b[1] << 3 | (b[3] & kOne) << 6 | (a[3] & kOne) << 7;
        words[2][lane] = a[2] | b[2] << 3 | (b[3] >> 1 & kTwo) << 6;
      }
    }
  }
  std::memcpy(step, words, sizeof words);
}

void put_step(CodeFormat format, const UnitQuads* units, std::byte* step) {
  switch (format) {
    case kInt2: return put_step<kInt2>(units, step);
    case kInt3: return put_step<kInt3>(units, step);
    case kInt4: return put_step<kInt4>(units, step);
    default: return put_step<kInt8>(units, step);
  }
}

// Cuts each group into blocks of at most kMaxBlock inputs.
void cut_blocks(const QuantWeight& weight, QuantPanels& packed) {
  const int64_t group = weight.format.group_size(weight.in);
  const int32_t step = kUnit * step_units(packed.format);
  int32_t unit = 0;
  for (int64_t start = 0; start < weight.in; start += group) {
    const int64_t end = std::min(start + group, weight.in);
    for (int64_t at = start; at < end; at += kMaxBlock) {
      const auto length = static_cast<int32_t>(std::min<int64_t>(kMaxBlock, end - at));
      packed.begin.push_back(static_cast<int32_t>(at));
      packed.length.push_back(length);
      packed.unit.push_back(unit);
      unit += (length + step - 1) / step * step_units(packed.format);
    }
  }
  packed.unit.push_back(unit);
}

// What is not codes: scales, zeros, and zeros between the parts.
void put_facts(const QuantWeight& weight, const QuantPanels& packed, int64_t p, std::byte* to) {
  std::memset(to, 0, packed.codes_at);
  const size_t end = packed.codes_at + static_cast<size_t>(packed.unit.back()) * unit_bytes(packed.format);
  std::memset(to + end, 0, packed.panel_bytes - end);
  const int64_t group = weight.format.group_size(weight.in), groups = weight.groups();
  const int64_t rows = std::min<int64_t>(kPanel, weight.out - p * kPanel);
  auto* scales = reinterpret_cast<uint16_t*>(to);
  auto* zeros = reinterpret_cast<uint8_t*>(to + packed.zeros_at);
  for (size_t b = 0; b < packed.begin.size(); ++b) {
    for (int64_t r = 0; r < rows; ++r) {
      const auto cell = static_cast<size_t>((p * kPanel + r) * groups + packed.begin[b] / group);
      const size_t lane = b * kPanel + static_cast<size_t>(r);
      scales[lane] = weight.scales[cell];
      zeros[lane] = weight.zeros[cell];
    }
  }
}

// Panels [first, end), unit by unit: sources hold the rows of several panels side by side.
template <class Source>
void pack_strip(const QuantWeight& facts, QuantPanels& packed, const Source& source, int64_t first,
                int64_t end) {
  const auto panel = [&](int64_t p) {
    return packed.data.data() + static_cast<size_t>(p) * packed.panel_bytes;
  };
  for (int64_t p = first; p < end; ++p) put_facts(facts, packed, p, panel(p));
  const int32_t step = step_units(packed.format);
  const size_t size = unit_bytes(packed.format);
  for (size_t b = 0; b < packed.begin.size(); ++b) {
    for (int32_t u = packed.unit[b]; u < packed.unit[b + 1]; u += step) {
      const int64_t offset = int64_t{u - packed.unit[b]} * kUnit, k = packed.begin[b] + offset;
      for (int64_t next = k + step * kUnit; next < k + 2 * step * kUnit; next += kUnit) {
        if (next + kUnit <= facts.in) source.fetch(first * kPanel, next);
      }
      int64_t p = first;
      if constexpr (Source::kPairs) {
        const bool whole = packed.length[b] - offset >= kUnit;
        for (; whole && p + 1 < end && (p + 2) * kPanel <= facts.out; p += 2) {
          const size_t at = packed.codes_at + static_cast<size_t>(u) * size;
          source.put_pair(p * kPanel, k, panel(p) + at, panel(p + 1) + at);
        }
      }
      for (; p < end; ++p) {
        UnitQuads units[2];
        for (int32_t i = 0; i < step; ++i) {
          source.get(p * kPanel, std::min<int64_t>(kPanel, facts.out - p * kPanel), k + i * kUnit,
                     std::min<int64_t>(kUnit, packed.length[b] - offset - i * kUnit), units[i]);
        }
        put_step(packed.format, units, panel(p) + packed.codes_at + static_cast<size_t>(u) * size);
      }
    }
  }
}

template <class Source>
std::unique_ptr<PackedWeight> pack(Device& device, const QuantWeight& facts, const Source& source) {
  auto packed = std::make_unique<QuantPanels>();
  packed->out = facts.out, packed->in = facts.in;
  const int bits = facts.format.bits;
  packed->format = bits == 2 ? kInt2 : bits == 3 ? kInt3 : bits == 4 ? kInt4 : kInt8;
  cut_blocks(facts, *packed);
  const size_t cells = packed->begin.size() * kPanel;
  packed->zeros_at = cells * 2;
  packed->codes_at = round_up(cells * 3, kLine);
  packed->panel_bytes = round_up(
      packed->codes_at + static_cast<size_t>(packed->unit.back()) * unit_bytes(packed->format),
      kLine);
  packed->bytes = static_cast<uint64_t>(packed->panels()) * packed->panel_bytes;
  packed->data = Buffer::of_chunk(packed->bytes);
  const int64_t panels = packed->panels(), strips = (panels + kStripPanels - 1) / kStripPanels;
  device.pool().parallel_for(strips, 1, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      pack_strip(facts, *packed, source, s * kStripPanels, std::min(panels, (s + 1) * kStripPanels));
    }
  });
  return packed;
}

}  // namespace

std::unique_ptr<PackedWeight> pack_quant(Device& device, const QuantWeight& weight) {
  check_quant_weight(weight);
  return pack(device, weight, FromCodes{weight});
}

std::unique_ptr<PackedWeight> pack_words(Device& device, const QuantWeight& facts,
                                         const QuantWords& words) {
  check_quant_words(facts, words);
  const auto* data = reinterpret_cast<const uint32_t*>(words.words);
  if (words.order == QuantWords::Order::awq) return pack(device, facts, FromAwqWords{data, facts.out / 8});
  return pack(device, facts, FromGptqWords{data, facts.out, words.count / facts.out, facts.format.bits});
}

}  // namespace awq::cpu
