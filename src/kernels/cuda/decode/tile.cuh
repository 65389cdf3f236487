// One tile (quant_tiles.h) times 128 activations, by one warp on tensor cores.
#pragma once

#include "kernels/cuda/decode/params.h"
#include "kernels/cuda/tile_math.cuh"

namespace awq::cuda::fused {

__device__ __forceinline__ uint4 shared_load4(uint32_t from) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(from));
  return v;
}
__device__ __forceinline__ uint2 shared_load2(uint32_t from) {
  uint2 v;
  asm volatile("ld.shared.v2.u32 {%0,%1}, [%2];" : "=r"(v.x), "=r"(v.y) : "r"(from));
  return v;
}
__device__ __forceinline__ uint32_t shared_load_half_word(uint32_t from) {
  uint16_t v;
  asm volatile("ld.shared.u16 %0, [%1];" : "=h"(v) : "r"(from));
  return v;
}
__device__ __forceinline__ float2 floats_of(uint32_t halves) {
  return __half22float2(*reinterpret_cast<const __half2*>(&halves));
}

__device__ __forceinline__ void mma8(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t b0) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(b0));
}

/// y[h][e] += products of row 16 h + 8 e + lane / 4; all lanes of a row get the same. `x` is the
/// address of the tile's activations plus 16 * (lane % 4) bytes, `sums` that of the sums of x of
/// its groups (kRaw). All columns of B are the same vector.
template <int kGroups, bool kRaw>
__device__ __forceinline__ void multiply_tile(uint32_t codes, uint32_t meta, uint32_t x,
                                              uint32_t sums, int lane, float (&y)[2][2]) {
  const int g = lane >> 2;
  uint4 q[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) q[i] = shared_load4(codes + i * 512 + lane * 16);
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
    const uint32_t at = meta + group * kMetaBytes;
    const uint2 scales = shared_load2(at + g * 8);
    const uint32_t zeros = shared_load_half_word(at + 64 + g * 2);
    float sum = 0;
    if constexpr (kRaw) asm volatile("ld.shared.f32 %0, [%1];" : "=f"(sum) : "r"(sums + group * 4));
    uint32_t z[2][2];  // halves 1024 + z of row g, 1024 + 16 z of row g + 8
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const uint32_t b = zeros >> (8 * h);
      z[h][0] = (b & 0x0f) * 0x10001u + kMagic;
      z[h][1] = (b & 0xf0) * 0x10001u + kMagic;
    }
    float a[2][4] = {};
#pragma unroll
    for (int c = group * 4 / kGroups; c < (group + 1) * 4 / kGroups; ++c) {
      const uint4 v = shared_load4(x + c * 64);
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const uint32_t b0 = e ? v.z : v.x, b1 = e ? v.w : v.y;
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const uint4& t = q[h * 2 + (c >> 1)];
          const uint32_t low = (c & 1) ? (e ? t.w : t.z) : (e ? t.y : t.x), high = low >> 8;
          uint32_t a0 = magic<0x000f000f>(low), a1 = magic<0x00f000f0>(low);
          uint32_t a2 = magic<0x000f000f>(high), a3 = magic<0x00f000f0>(high);
          if constexpr (!kRaw) {
            a0 = subtract_halves(a0, z[h][0]);
            a2 = subtract_halves(a2, z[h][0]);
            a1 = subtract_halves(a1, z[h][1]);
            a3 = subtract_halves(a3, z[h][1]);
          }
          mma(a[h], {a0, a1, a2, a3}, b0, b1);
        }
      }
    }
    const uint32_t pairs[2] = {scales.x, scales.y};
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const float2 scale = floats_of(pairs[h]);
      float first = a[h][0], second = a[h][2];
      if constexpr (kRaw) {
        first -= floats_of(z[h][0]).x * sum;
        second -= floats_of(z[h][1]).x * sum;
      }
      y[h][0] += scale.x * first;
      y[h][1] += scale.y * 0.0625f * second;  // rows g + 8 carry 16 (q - z)
    }
  }
}

}  // namespace awq::cuda::fused
