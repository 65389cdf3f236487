// Random weights in tiles, made where they are to lie: models of known shape for measurements.
#include <cuda_fp16.h>

#include <cmath>

#include "kernels/cuda/device.h"
#include "kernels/cuda/random_weight.h"
#include "kernels/cuda/weights.h"

namespace awq::cuda {
namespace {

__device__ uint32_t hash(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdull;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ull;
  return static_cast<uint32_t>(x ^ x >> 33);
}

// Every bit of the code arrays is a bit of some code, so random words are random codes.
__global__ void random_codes(uint32_t* words, int64_t count, uint64_t seed) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < count;
       i += step) {
    words[i] = hash(seed * 0x9e3779b97f4a7c15ull + static_cast<uint64_t>(i));
  }
}

// One thread a group of a tile: 32 scales, then the zeros in `zero_bytes` bytes.
__global__ void random_meta(uint8_t* meta, int64_t groups, int bytes, int bits, float scale,
                            uint64_t seed) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < groups;
       i += step) {
    uint8_t* group = meta + i * bytes;
    auto* scales = reinterpret_cast<__half*>(group);
    const int middle = 1 << (bits - 1);
    for (int e = 0; e < 32; ++e) {
      const uint32_t random = hash(seed ^ static_cast<uint64_t>(i * 64 + e));
      scales[e] = __float2half(scale * (0.75f + 0.5f * static_cast<float>(random) * 0x1p-32f));
    }
    for (int b = 64; b < bytes; ++b) {
      const uint32_t random = hash(seed ^ static_cast<uint64_t>(i * 64 + b + 7919));
      const int low = middle - static_cast<int>(random & 1);
      const int high = middle - static_cast<int>(random >> 1 & 1);
      group[b] = static_cast<uint8_t>(bits == 8 ? low : low | high << 4);
    }
  }
}

}  // namespace

std::unique_ptr<PackedWeight> pack_random(Device& device, const QuantFormat& format, int64_t out,
                                          int64_t in, uint64_t seed) {
  if (!tileable(format) || out % kTileRows != 0 || in % kTileInputs != 0) return nullptr;
  auto weight = std::make_unique<QuantTilesCuda>();
  weight->out = out;
  weight->in = in;
  weight->shape = TileShape(format, out, in);
  const TileShape& shape = weight->shape;
  const int64_t codes = shape.tiles() * shape.code_bytes(), groups = shape.tiles() * shape.groups;
  const int64_t meta = groups * shape.group_meta_bytes();
  weight->bytes = static_cast<uint64_t>(codes + meta);
  weight->code_buffer = DeviceBuffer(device, static_cast<size_t>(codes));
  weight->meta_buffer = DeviceBuffer(device, static_cast<size_t>(meta));
  const cudaStream_t stream = cuda_device(device).stream();
  random_codes<<<1024, 256, 0, stream>>>(weight->code_buffer.as<uint32_t>(), codes / 4, seed);
  const auto scale = static_cast<float>(std::sqrt(12.0 / static_cast<double>(in)) /
                                        (1 << format.bits));
  random_meta<<<256, 256, 0, stream>>>(weight->meta_buffer.as<uint8_t>(), groups,
                                       static_cast<int>(shape.group_meta_bytes()), format.bits,
                                       scale, seed);
  check_launch("random weights");
  return weight;
}

}  // namespace awq::cuda
