// One tile (quant_tiles.h) times 128 activations, by one warp on tensor cores, in integers: codes
// are the unsigned bytes of A in mma.m16n8k32, activations two planes of signed bytes, the high in
// the even columns of B and the low in the odd ones. An activation is 16 bits of fixed point with
// the largest of its tile as unit, so its error is 1.5e-5 of that; sums of a group are exact.
//
// Against halves (mma.m16n8k16 of 1024 + code) that is half the products and half the instructions
// that make A from codes: a nibble is a byte after one mask, in its place or 16 times as large.
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
__device__ __forceinline__ uint32_t shared_load(uint32_t from) {
  uint32_t v;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(from));
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

__device__ __forceinline__ void mma_bytes(int (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                          uint32_t b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// ---- activations ----

constexpr float kActivationMost = 32512;  ///< 127 * 256: both planes fit signed bytes

/// Where byte 0 of the four activations 4 lane .. 4 lane + 3 of a tile goes within its 256 bytes,
/// by plane: [plane][j][run of 32][8 inputs], the 16-byte halves of a row exchanged in plane 1, so
/// that the eight rows that a load reads lie in different banks.
__device__ __forceinline__ int activation_place(int lane, int plane) {
  const int run = lane >> 3, j = (lane & 7) >> 1;
  return plane * 128 + j * 32 + (((run >> 1) ^ plane) << 4) + ((run & 1) << 3);
}

/// Order of the inputs 8 j + i within the two registers of B, as the codes of a width come out:
/// 4 and 8 bits 0 2 1 3 | 4 6 5 7, fewer 0 1 4 5 | 2 3 6 7.
/// Takes byte kByte of each word.
template <int kBits, int kByte>
__device__ __forceinline__ void store_bytes(uint32_t at, int lane, const uint32_t (&b)[4]) {
  constexpr uint32_t kTwo = 0x0040 + 0x0011 * kByte;
  const int second = lane & 1;  // inputs 4..7 of the eight
  if constexpr (kBits == 4 || kBits == 8) {
    const uint32_t word =
        __byte_perm(__byte_perm(b[0], b[2], kTwo), __byte_perm(b[1], b[3], kTwo), 0x5410);
    asm volatile("st.shared.u32 [%0], %1;" ::"r"(at + second * 4), "r"(word) : "memory");
  } else {
    const auto low = static_cast<uint16_t>(__byte_perm(b[0], b[1], kTwo)),
               high = static_cast<uint16_t>(__byte_perm(b[2], b[3], kTwo));
    asm volatile("st.shared.u16 [%0], %1;" ::"r"(at + second * 2), "h"(low) : "memory");
    asm volatile("st.shared.u16 [%0], %1;" ::"r"(at + 4 + second * 2), "h"(high) : "memory");
  }
}

/// Where the activations of a tile go: 256 bytes of planes, and its facts: the unit (float), then the
/// sum of each group in units (int).
struct TilePlace {
  uint32_t planes, facts;
  bool used;
};

/// Four activations of each lane become those of a tile, for several tiles at once: in one stretch
/// without branches, so that their reductions over the warp run side by side.
template <int kBits, int kGroups, int kCount>
__device__ __forceinline__ void store_activations(const TilePlace (&to)[kCount], int lane,
                                                  const float (&v)[kCount][4]) {
  // Magnitudes as bits: NaN is above all, and stays visible in the unit.
  const auto magnitude = [](float x) { return __float_as_uint(x) & 0x7fffffffu; };
  constexpr float kRounder = 12582912;  // 1.5 * 2^23: a sum has the integer in its low bits
  uint32_t most[kCount];
  float largest[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    most[i] = max(max(magnitude(v[i][0]), magnitude(v[i][1])),
                  max(magnitude(v[i][2]), magnitude(v[i][3])));
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) largest[i] = __uint_as_float(__reduce_max_sync(~0u, most[i]));
  uint32_t q[kCount][4];
  int sum[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    float inverse;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(largest[i]));
    inverse = largest[i] > 1e-30f ? inverse * kActivationMost : 0;
#pragma unroll
    for (int k = 0; k < 4; ++k) q[i][k] = __float_as_uint(fmaf(v[i][k], inverse, kRounder));
    sum[i] = static_cast<int>((q[i][0] + q[i][1]) + (q[i][2] + q[i][3]) -
                              4 * __float_as_uint(kRounder));
  }
  constexpr int kLanes = 32 / kGroups;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if constexpr (kGroups == 1) {
      sum[i] = __reduce_add_sync(~0u, sum[i]);
    } else {
#pragma unroll
      for (int s = kLanes / 2; s > 0; s /= 2) sum[i] += __shfl_xor_sync(~0u, sum[i], s);
    }
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (!to[i].used) continue;
    uint32_t high[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) high[k] = q[i][k] + 128;  // its second byte
    store_bytes<kBits, 1>(to[i].planes + activation_place(lane, 0), lane, high);
    store_bytes<kBits, 0>(to[i].planes + activation_place(lane, 1), lane, q[i]);
    if (lane % kLanes == 0) {
      const uint32_t at = to[i].facts + 4 + lane / kLanes * 4;
      asm volatile("st.shared.u32 [%0], %1;" ::"r"(at), "r"(sum[i]) : "memory");
    }
    if (lane == 0) {
      const float unit = largest[i] * (1.f / kActivationMost);
      asm volatile("st.shared.f32 [%0], %1;" ::"r"(to[i].facts), "f"(unit) : "memory");
    }
  }
}

// ---- codes ----

/// What a lane holds of a tile: word 2 h + u is 16 rows x 64 inputs.
template <int kBits>
struct TileCodes {
  uint4 q[kBits == 8 ? 8 : 4];
  uint32_t p[kBits == 3 ? 4 : 1];

  __device__ __forceinline__ void load(uint32_t from, int lane) {
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      if constexpr (kBits == 4 || kBits == 8) {
        q[w] = shared_load4(from + w * 512 + lane * 16);
        if constexpr (kBits == 8) q[4 + w] = shared_load4(from + 2048 + w * 512 + lane * 16);
      } else {
        const uint2 pair = shared_load2(from + w * 256 + lane * 8);
        q[w].x = pair.x;
        q[w].z = pair.y;
        if constexpr (kBits == 3) p[w] = shared_load(from + 1024 + w * 128 + lane * 4);
      }
    }
  }

  /// A of rows 16 h .. 16 h + 15 and the inputs of run c; rows g + 8 times kHighRowFactor.
  __device__ __forceinline__ void fragment(int h, int c, uint32_t (&a)[4]) const {
    const int w = 2 * h + (c >> 1);
    const uint32_t first = c & 1 ? q[w].z : q[w].x;
    if constexpr (kBits == 4) {
      const uint32_t second = c & 1 ? q[w].w : q[w].y;
      a[0] = first & 0x0f0f0f0fu, a[1] = first & 0xf0f0f0f0u;
      a[2] = second & 0x0f0f0f0fu, a[3] = second & 0xf0f0f0f0u;
    } else if constexpr (kBits == 8) {
      const uint32_t second = c & 1 ? q[w].w : q[w].y;
      const uint32_t first_high = c & 1 ? q[4 + w].z : q[4 + w].x;
      const uint32_t second_high = c & 1 ? q[4 + w].w : q[4 + w].y;
      a[0] = (first & 0x0f0f0f0fu) | (first_high << 4 & 0xf0f0f0f0u);
      a[1] = (first >> 4 & 0x0f0f0f0fu) | (first_high & 0xf0f0f0f0u);
      a[2] = (second & 0x0f0f0f0fu) | (second_high << 4 & 0xf0f0f0f0u);
      a[3] = (second >> 4 & 0x0f0f0f0fu) | (second_high & 0xf0f0f0f0u);
    } else {
      const uint32_t high = first >> 4;
      a[0] = first & 0x03030303u, a[1] = first & 0x0c0c0c0cu;
      a[2] = high & 0x03030303u, a[3] = high & 0x0c0c0c0cu;
      if constexpr (kBits == 3) {
        // Two bytes of four nibbles to the low nibbles of four bytes; the high ones are masked.
        const uint32_t pairs = __byte_perm(p[w], 0, c & 1 ? 0x3322 : 0x1100);
        const uint32_t r = (pairs & 0x000f000fu) | (pairs >> 4 & 0x0f000f00u);
        a[0] |= r << 2 & 0x04040404u, a[1] |= r << 3 & 0x10101010u;
        a[2] |= r & 0x04040404u, a[3] |= r << 1 & 0x10101010u;
      }
    }
  }
};

/// Scales and zeros of a group for a lane's rows 16 h + g and 16 h + g + 8.
template <int kBits>
struct TileMeta {
  uint2 scales;
  uint32_t zeros;

  __device__ __forceinline__ void load(uint32_t from, int g) {
    scales = shared_load2(from + g * 8);
    zeros = kBits == 8 ? shared_load(from + 64 + g * 4) : shared_load_half_word(from + 64 + g * 2);
  }
  __device__ __forceinline__ int zero(int h, int high_row) const {  // as fragment() has codes
    if constexpr (kBits == 8) return zeros >> (16 * h + 8 * high_row) & 0xff;
    const uint32_t both = zeros >> (8 * h);
    if (!high_row) return both & 0x0f;
    return kBits == 4 ? both & 0xf0 : both >> 2 & 0x3c;
  }
};

/// y[h][e] += products of row 16 h + 8 e + lane / 4; all lanes of a row get the same. `x` is the
/// address of the tile's planes plus what lane_planes() says, `facts` that of its facts.
template <int kBits, int kGroups>
__device__ __forceinline__ void multiply_tile(const TileCodes<kBits>& codes, uint32_t meta,
                                              uint32_t x, uint32_t facts, int lane,
                                              float (&y)[2][2]) {
  constexpr int kGroupMeta = TileBytes<kBits, 1>::kGroupMeta;
  const int g = lane >> 2;
  const uint4 early = shared_load4(x), late = shared_load4(x ^ 16);
  float unit;
  int sum[kGroups];
  if constexpr (kGroups == 1) {
    const uint2 both = shared_load2(facts);
    unit = __uint_as_float(both.x);
    sum[0] = static_cast<int>(both.y);
  } else {
    unit = __uint_as_float(shared_load(facts));
#pragma unroll
    for (int i = 0; i < kGroups; ++i) sum[i] = static_cast<int>(shared_load(facts + 4 + i * 4));
  }
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
    TileMeta<kBits> m;
    m.load(meta + group * kGroupMeta, g);
    int a[2][4] = {};
#pragma unroll
    for (int c = group * 4 / kGroups; c < (group + 1) * 4 / kGroups; ++c) {
      const uint4& b = c < 2 ? early : late;
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        uint32_t fragment[4];
        codes.fragment(h, c, fragment);
        mma_bytes(a[h], fragment, c & 1 ? b.z : b.x, c & 1 ? b.w : b.y);
      }
    }
    const uint32_t pairs[2] = {m.scales.x, m.scales.y};
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      // At most 128 * 255 * 32640 in magnitude, less twice that: within 32 bits.
      const float2 scale = floats_of(pairs[h]);
      const int low_row = a[h][0] * 256 + a[h][1] - m.zero(h, 0) * sum[group];
      const int high_row = a[h][2] * 256 + a[h][3] - m.zero(h, 1) * sum[group];
      y[h][0] += scale.x * unit * static_cast<float>(low_row);
      y[h][1] += scale.y * (unit * (1.f / kHighRowFactor<kBits>)) * static_cast<float>(high_row);
    }
  }
}

/// A lane's place in the planes of a tile.
__device__ __forceinline__ uint32_t lane_planes(int lane) {
  const uint32_t plane = lane >> 2 & 1, j = lane & 3;
  return plane * 128 + j * 32 + plane * 16;
}

}  // namespace awq::cuda::fused
