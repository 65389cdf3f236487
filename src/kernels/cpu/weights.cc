#include "kernels/cpu/weights.h"

#include <algorithm>
#include <cstring>

#include "base/float16.h"
#include "kernels/check_shapes.h"
#include "kernels/cpu/zip.h"

namespace awq::cpu {
namespace {

template <class T>
void pack_panel(const T* from, int64_t rows, int64_t in, T* to) {
  int64_t k = 0;
  if constexpr (sizeof(T) == 2) {
    for (; rows == kPanel && k + 8 <= in; k += 8) {
      for (int half = 0; half < 2; ++half) {
        Shorts8 square[8];
        for (int r = 0; r < 8; ++r) square[r] = load_vector<Shorts8>(from + (8 * half + r) * in + k);
        transpose_square<8>(square);
        for (int i = 0; i < 8; ++i) std::memcpy(to + (k + i) * kPanel + 8 * half, &square[i], 16);
      }
    }
  }
  for (; k < in; ++k) {
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
  packed->data = Buffer::of_chunk(packed->bytes);
  if (packed->element == 4) {
    pack_panels<float>(device, weight, *packed);
  } else {
    pack_panels<uint16_t>(device, weight, *packed);
  }
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
