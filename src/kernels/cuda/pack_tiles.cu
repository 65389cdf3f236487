// Quantized weights to tiles on the device: from canonical codes or from the words of a checkpoint.
// A block packs a tile; the host's pack_tiles() is the oracle.
#include "kernels/check_shapes.h"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/tile_layout.h"
#include "kernels/cuda/tile_product.h"
#include "kernels/cuda/weights.h"

namespace awq::cuda {
namespace {

enum class Source { canonical, awq, gptq };

struct PackArgs {
  Source source;
  const void* codes;       // uint8_t [out, in], or 32-bit words
  const __half* scales;    // [out, groups]
  const uint8_t* zeros;    // [out, groups]
  int out, in, bits, group_size, row_groups;
  int tile_groups, code_bytes, group_meta;
  uint8_t *tile_codes, *tile_meta;
};

__device__ __forceinline__ uint32_t code_at(const PackArgs& a, int row, int input) {
  if (a.source == Source::canonical) {
    return static_cast<const uint8_t*>(a.codes)[static_cast<int64_t>(row) * a.in + input];
  }
  const auto* words = static_cast<const uint32_t*>(a.codes);
  if (a.source == Source::awq) {
    // Output 8 c + n is nibble n / 2 of an even n, 4 + n / 2 of an odd one (kAwqOrder).
    const int n = row % 8, nibble = n / 2 + n % 2 * 4;
    return words[static_cast<int64_t>(input) * (a.out / 8) + row / 8] >> (4 * nibble) & 15;
  }
  const int64_t bit = static_cast<int64_t>(input) * a.bits;
  const int shift = static_cast<int>(bit % 32);
  const uint32_t* at = words + bit / 32 * a.out + row;
  uint32_t code = *at >> shift;
  if (shift + a.bits > 32) code |= at[a.out] << (32 - shift);
  return code & ((1u << a.bits) - 1);
}

__global__ __launch_bounds__(256) void pack_tiles_kernel(const __grid_constant__ PackArgs a) {
  __shared__ uint32_t codes[1024], meta[4 * 96 / 4];
  const int code_words = a.code_bytes / 4, meta_words = a.tile_groups * a.group_meta / 4;
  for (int i = threadIdx.x; i < code_words; i += 256) codes[i] = 0;
  for (int i = threadIdx.x; i < meta_words; i += 256) meta[i] = 0;
  __syncthreads();
  const int first_row = blockIdx.y * 32, first_input = blockIdx.x * 128;
  for (int i = threadIdx.x; i < 4096; i += 256) {
    // Neighbouring lanes read neighbouring memory: inputs of a row, or rows of a word.
    const bool by_input = a.source == Source::canonical;
    const int r = by_input ? i / 128 : i % 32, k = by_input ? i % 128 : i / 32;
    if (first_row + r >= a.out || first_input + k >= a.in) continue;
    const uint32_t code = code_at(a, first_row + r, first_input + k);
    const CodeFields fields = code_fields(a.bits, r, k);
    for (int f = 0; f < fields.count; ++f) {
      const CodeField& to = fields.field[f];
      atomicOr(&codes[to.word], (code >> to.shift & ((1u << to.width) - 1)) << to.bit);
    }
  }
  for (int i = threadIdx.x; i < a.tile_groups * 32; i += 256) {
    const int g = i / 32, r = i % 32, input = first_input + g * (128 / a.tile_groups);
    if (first_row + r >= a.out || input >= a.in) continue;
    const int64_t at = static_cast<int64_t>(first_row + r) * a.row_groups + input / a.group_size;
    reinterpret_cast<__half*>(meta)[g * a.group_meta / 2 + scale_index(r)] = a.scales[at];
    const ZeroPlace place = zero_place(a.bits, r);
    const int byte = g * a.group_meta + place.byte;
    atomicOr(&meta[byte / 4], static_cast<uint32_t>(a.zeros[at]) << (byte % 4 * 8 + place.shift));
  }
  __syncthreads();
  const int64_t tile = static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x;
  auto* to_codes = reinterpret_cast<uint32_t*>(a.tile_codes + tile * a.code_bytes);
  auto* to_meta = reinterpret_cast<uint32_t*>(a.tile_meta + tile * meta_words * 4);
  for (int i = threadIdx.x; i < code_words; i += 256) to_codes[i] = codes[i];
  for (int i = threadIdx.x; i < meta_words; i += 256) to_meta[i] = meta[i];
}

// `source` is host memory of `bytes`: codes, or words.
std::unique_ptr<PackedWeight> pack(CudaDevice& device, const QuantWeight& facts,
                                          Source kind, const void* source, size_t bytes) {
  enum Slot { kSource = 0, kFacts = 1 };
  auto packed = std::make_unique<QuantTilesCuda>();
  packed->out = facts.out, packed->in = facts.in;
  const TileShape shape(facts.format, facts.out, facts.in);
  packed->shape = shape;
  packed->fits_halves = fits_halves(facts);
  packed->code_buffer = DeviceBuffer(device, static_cast<size_t>(shape.tiles() * shape.code_bytes()));
  packed->meta_buffer = DeviceBuffer(device, static_cast<size_t>(shape.tiles() * shape.meta_bytes()));
  packed->bytes = packed->code_buffer.size() + packed->meta_buffer.size();
  void* codes = device.scratch(kSource, bytes);
  const size_t scale_bytes = facts.scales.size() * sizeof(uint16_t);
  auto* scales = static_cast<uint8_t*>(device.scratch(kFacts, scale_bytes + facts.zeros.size()));
  device.upload(codes, source, bytes);
  device.upload(scales, facts.scales.data(), scale_bytes);
  device.upload(scales + scale_bytes, facts.zeros.data(), facts.zeros.size());
  PackArgs a = {};
  a.source = kind;
  a.codes = codes;
  a.scales = reinterpret_cast<const __half*>(scales);
  a.zeros = scales + scale_bytes;
  a.out = static_cast<int>(facts.out), a.in = static_cast<int>(facts.in);
  a.bits = shape.bits;
  a.group_size = static_cast<int>(facts.format.group_size(facts.in));
  a.row_groups = static_cast<int>(facts.groups());
  a.tile_groups = shape.groups;
  a.code_bytes = static_cast<int>(shape.code_bytes());
  a.group_meta = static_cast<int>(shape.group_meta_bytes());
  a.tile_codes = packed->code_buffer.as<uint8_t>();
  a.tile_meta = packed->meta_buffer.as<uint8_t>();
  launch(device, "pack_tiles_kernel", pack_tiles_kernel,
         dim3(static_cast<unsigned>(shape.strip_tiles()), static_cast<unsigned>(shape.strips())),
         dim3(256), 0, a);
  return packed;
}

}  // namespace

std::unique_ptr<PackedWeight> pack_quant_tiles(Device& device, const QuantWeight& weight) {
  return pack(cuda_device(device), weight, Source::canonical, weight.codes.data(),
              weight.codes.size());
}

std::unique_ptr<PackedWeight> pack_words(Device& device, const QuantWeight& facts,
                                         const QuantWords& words) {
  check_quant_words(facts, words);
  constexpr int64_t kMostStrips = 65535;  // of a grid
  if (!tileable(facts.format) || (facts.out + 31) / 32 > kMostStrips) return nullptr;
  const bool awq = words.order == QuantWords::Order::awq;
  return pack(cuda_device(device), facts, awq ? Source::awq : Source::gptq, words.words,
              static_cast<size_t>(words.count) * sizeof(int32_t));
}

}  // namespace awq::cuda
