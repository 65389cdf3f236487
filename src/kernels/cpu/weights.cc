#include "kernels/cpu/weights.h"

#include <algorithm>
#include <cstring>

#include "base/float16.h"
#include "kernels/check_shapes.h"

namespace awq::cpu {
namespace {

constexpr size_t kLine = 64;
constexpr int kQuads = kUnit / 4;

size_t round_up(size_t value, size_t to) { return (value + to - 1) / to * to; }

size_t unit_bytes(CodeFormat format) {
  constexpr size_t kBytes[kCodeFormats] = {64, 96, 128, 256};
  return kBytes[format];
}

template <class T>
void pack_panel(const T* from, int64_t rows, int64_t in, T* to) {
  for (int64_t k = 0; k < in; ++k) {
    for (int64_t r = 0; r < kPanel; ++r) to[k * kPanel + r] = r < rows ? from[r * in + k] : T{0};
  }
}

template <class T>
void pack_panels(Device& device, const FloatWeight& weight, FloatPanels& packed) {
  const auto* from = static_cast<const T*>(weight.data);
  device.pool().parallel_for(packed.panels(), 4, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      pack_panel(from + p * kPanel * weight.in, std::min<int64_t>(kPanel, weight.out - p * kPanel),
                 weight.in, packed.data.as<T>() + p * kPanel * weight.in);
    }
  });
}

// The bits of one row in a unit: 16 codes to where cpu/isa/quant_product.inc expects them. A byte of
// a word holds one input of one quad (8 bits), of two (4 bits) or of all four (2 bits).
void pack_unit_row(CodeFormat format, const uint8_t* codes, int row, std::byte* unit) {
  const int bits = format == kInt8 ? 8 : format == kInt4 ? 4 : 2;  // of the main plane
  const int quads_per_word = 8 / bits;
  const auto mask = static_cast<uint8_t>((1 << bits) - 1);
  for (int word = 0; word < kQuads / quads_per_word; ++word) {
    for (int i = 0; i < 4; ++i) {
      unsigned packed = 0;
      for (int q = 0; q < quads_per_word; ++q) {
        packed |= static_cast<unsigned>(codes[4 * (word * quads_per_word + q) + i] & mask) << (bits * q);
      }
      unit[static_cast<size_t>(word) * kLine + static_cast<size_t>(row * 4 + i)] =
          static_cast<std::byte>(packed);
    }
  }
  if (format != kInt3) return;
  for (int i = 0; i < 4; ++i) {  // rows 0-7 in the low halves of bytes, rows 8-15 in the high ones
    unsigned top = 0;
    for (int q = 0; q < kQuads; ++q) top |= static_cast<unsigned>(codes[4 * q + i] >> 2 & 1) << q;
    unit[kLine + static_cast<size_t>(row % 8 * 4 + i)] |= static_cast<std::byte>(top << (row / 8 * 4));
  }
}

// Cuts each group into blocks of at most kMaxBlock inputs.
void cut_blocks(const QuantWeight& weight, QuantPanels& packed) {
  const int64_t group = weight.format.group_size(weight.in);
  int32_t unit = 0;
  for (int64_t start = 0; start < weight.in; start += group) {
    const int64_t end = std::min(start + group, weight.in);
    for (int64_t at = start; at < end; at += kMaxBlock) {
      const auto length = static_cast<int32_t>(std::min<int64_t>(kMaxBlock, end - at));
      packed.begin.push_back(static_cast<int32_t>(at));
      packed.length.push_back(length);
      packed.unit.push_back(unit);
      unit += (length + kUnit - 1) / kUnit;
    }
  }
  packed.unit.push_back(unit);
}

void pack_quant_panel(const QuantWeight& weight, const QuantPanels& packed, int64_t p,
                      std::byte* to) {
  std::memset(to, 0, packed.panel_bytes);
  const int64_t group = weight.format.group_size(weight.in), groups = weight.groups();
  const int64_t rows = std::min<int64_t>(kPanel, weight.out - p * kPanel);
  auto* scales = reinterpret_cast<uint16_t*>(to);
  auto* zeros = reinterpret_cast<uint8_t*>(to + packed.zeros_at);
  const size_t size = unit_bytes(packed.format);
  for (size_t b = 0; b < packed.begin.size(); ++b) {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t row = p * kPanel + r;
      const auto cell = static_cast<size_t>(row * groups + packed.begin[b] / group);
      const size_t lane = b * kPanel + static_cast<size_t>(r);
      scales[lane] = weight.scales[cell];
      zeros[lane] = weight.zeros[cell];
      const uint8_t* codes = weight.codes.data() + row * weight.in + packed.begin[b];
      for (int32_t u = packed.unit[b]; u < packed.unit[b + 1]; ++u) {
        const int32_t offset = (u - packed.unit[b]) * kUnit;
        uint8_t padded[kUnit] = {};
        std::copy_n(codes + offset, std::min(kUnit, packed.length[b] - offset), padded);
        pack_unit_row(packed.format, padded, static_cast<int>(r),
                      to + packed.codes_at + static_cast<size_t>(u) * size);
      }
    }
  }
}

float element_value(const FloatPanels& table, const std::byte* at) {
  if (table.format == kFloat32) {
    float value;
    std::memcpy(&value, at, 4);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, at, 2);
  return table.format == kFloat16 ? half_to_float(bits) : bfloat_to_float(bits);
}

}  // namespace

BlockList QuantPanels::blocks() const {
  return {static_cast<int32_t>(begin.size()), unit.back(), begin.data(), length.data(), unit.data()};
}

QuantPanel QuantPanels::panel(int64_t p) const {
  const std::byte* at = data.data() + static_cast<size_t>(p) * panel_bytes;
  return {reinterpret_cast<const uint8_t*>(at + codes_at), reinterpret_cast<const uint16_t*>(at),
          reinterpret_cast<const uint8_t*>(at + zeros_at)};
}

std::unique_ptr<PackedWeight> pack_float(Device& device, const FloatWeight& weight) {
  check_float_weight(weight);
  auto packed = std::make_unique<FloatPanels>();
  packed->out = weight.out, packed->in = weight.in;
  packed->format = weight.dtype == DType::f32   ? kFloat32
                   : weight.dtype == DType::f16 ? kFloat16
                                                : kBfloat16;
  packed->element = weight.dtype == DType::f32 ? 4 : 2;
  packed->bytes = static_cast<uint64_t>(packed->panels() * kPanel * weight.in) * packed->element;
  packed->data = Buffer(packed->bytes);
  if (packed->element == 4) {
    pack_panels<float>(device, weight, *packed);
  } else {
    pack_panels<uint16_t>(device, weight, *packed);
  }
  return packed;
}

std::unique_ptr<PackedWeight> pack_quant(Device& device, const QuantWeight& weight) {
  check_quant_weight(weight);
  auto packed = std::make_unique<QuantPanels>();
  packed->out = weight.out, packed->in = weight.in;
  const int bits = weight.format.bits;
  packed->format = bits == 2 ? kInt2 : bits == 3 ? kInt3 : bits == 4 ? kInt4 : kInt8;
  cut_blocks(weight, *packed);
  const size_t cells = packed->begin.size() * kPanel;
  packed->zeros_at = cells * 2;
  packed->codes_at = round_up(cells * 3, kLine);
  packed->panel_bytes = round_up(
      packed->codes_at + static_cast<size_t>(packed->unit.back()) * unit_bytes(packed->format),
      kLine);
  packed->bytes = static_cast<uint64_t>(packed->panels()) * packed->panel_bytes;
  packed->data = Buffer(packed->bytes);
  device.pool().parallel_for(packed->panels(), 4, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      pack_quant_panel(weight, *packed, p,
                       packed->data.data() + static_cast<size_t>(p) * packed->panel_bytes);
    }
  });
  return packed;
}

void embed(Device&, std::span<const int32_t> ids, const PackedWeight& table, Matrix y) {
  check_embed(ids, table, y);
  const auto& weight = static_cast<const CpuWeight&>(table);
  AWQ_CHECK(!weight.quantized, "embed wants a float table");
  const auto& panels = static_cast<const FloatPanels&>(weight);
  for (int64_t t = 0; t < y.rows; ++t) {
    const int64_t id = ids[static_cast<size_t>(t)];
    const std::byte* at = panels.panel(id / kPanel) + static_cast<size_t>(id % kPanel) * panels.element;
    for (int64_t i = 0; i < table.in; ++i, at += kPanel * panels.element) {
      y.row(t)[i] = element_value(panels, at);
    }
  }
}

}  // namespace awq::cpu
