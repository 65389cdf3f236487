// One tile of quantized weights (quant_tiles.h) times columns of activations on tensor cores: the
// weights are the A operand of mma.m16n8k16, eight tokens are the columns of B, sums are f32.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

namespace awq::cuda {

// ---- instructions ----

__device__ __forceinline__ uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

/// Waits for the kernel before this one on the stream. All kernels here are launched so that they
/// may start early; whatever that kernel writes (or reads and this one overwrites) comes after
/// this.
__device__ __forceinline__ void wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ __forceinline__ void let_next_start() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

__device__ __forceinline__ void copy_async_16(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)),
               "l"(global)
               : "memory");
}
__device__ __forceinline__ void copy_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int kPending>
__device__ __forceinline__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

__device__ __forceinline__ void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                    uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

constexpr uint32_t kMagic = 0x64006400;  ///< two halves of 1024: or-ing q in gives 1024 + q

template <uint32_t kMask>
__device__ __forceinline__ uint32_t magic(uint32_t word) {  // (word & kMask) | kMagic
  uint32_t r;
  asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(r) : "r"(word), "n"(kMask), "r"(kMagic));
  return r;
}
template <uint32_t kMask>
__device__ __forceinline__ uint32_t merge(uint32_t word, uint32_t with) {  // (word & kMask) | with
  uint32_t r;
  asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(r) : "r"(word), "n"(kMask), "r"(with));
  return r;
}
__device__ __forceinline__ uint32_t subtract_halves(uint32_t a, uint32_t b) {
  uint32_t r;
  asm("sub.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  return r;
}

/// Halves of two activations, rounded to nearest. Finite values beyond the range of half become its
/// ends; infinity and NaN become NaN, so that they stay visible.
__device__ __forceinline__ uint32_t activation_halves(float a, float b) {
  const auto bounded = [](float v) { return fminf(fmaxf(v, -65504.f), 65504.f) + (v - v); };
  const __half2 h = __floats2half2_rn(bounded(a), bounded(b));
  return *reinterpret_cast<const uint32_t*>(&h);
}

// ---- codes ----

template <int kBits, int kGroups>
struct TileBytes {
  static constexpr int kCodes = 512 * kBits, kGroupMeta = kBits == 8 ? 96 : 80,
                       kMeta = kGroups * kGroupMeta, kAll = kCodes + kMeta;
};

/// Rows g + 8 come out of fragment() this many times too large.
template <int kBits>
constexpr int kHighRowFactor = kBits == 8 ? 1 : (kBits == 4 ? 16 : 4);

/// What a lane holds of 16 rows x 64 inputs: word w = 2 * (16-row half) + (64-input half) of a
/// tile.
template <int kBits>
struct LaneCodes {
  static constexpr int kWords = kBits == 4 ? 4 : kBits == 2 ? 2 : kBits == 3 ? 3 : 8;
  uint32_t v[kWords];

  __device__ __forceinline__ void load(const uint8_t* tile, int w, int lane) {
    if constexpr (kBits == 4 || kBits == 8) {
      const auto* q = reinterpret_cast<const uint4*>(tile) + w * 32 + lane;
      const uint4 low = q[0];
      v[0] = low.x, v[1] = low.y, v[2] = low.z, v[3] = low.w;
      if constexpr (kBits == 8) {
        const uint4 high = q[128];
        v[4] = high.x, v[5] = high.y, v[6] = high.z, v[7] = high.w;
      }
    } else {
      const uint2 low = *(reinterpret_cast<const uint2*>(tile) + w * 32 + lane);
      v[0] = low.x, v[1] = low.y;
      if constexpr (kBits == 3) {
        v[2] = *(reinterpret_cast<const uint32_t*>(tile + 1024) + w * 32 + lane);
      }
    }
  }

  /// The A registers of k16 step s (constant after unrolling): 1024 + code, 1024 + factor * code.
  __device__ __forceinline__ void fragment(int s, uint32_t (&a)[4]) const {
    if constexpr (kBits == 4) {
      const uint32_t q = v[s], high = q >> 8;
      a[0] = magic<0x000f000f>(q), a[1] = magic<0x00f000f0>(q);
      a[2] = magic<0x000f000f>(high), a[3] = magic<0x00f000f0>(high);
    } else if constexpr (kBits == 8) {
      const uint32_t q = v[s], p = v[4 + s];
      a[0] = merge<0x00f000f0>(p << 4, magic<0x000f000f>(q));
      a[1] = merge<0x00f000f0>(p, magic<0x000f000f>(q >> 4));
      a[2] = merge<0x00f000f0>(p >> 4, magic<0x000f000f>(q >> 8));
      a[3] = merge<0x00f000f0>(p >> 8, magic<0x000f000f>(q >> 12));
    } else {
      // 16 bits of a step: the byte of each element of the pair goes to its own half.
      const uint32_t q = __byte_perm(v[s / 2], 0, s % 2 ? 0x4342 : 0x4140), high = q >> 4;
      a[0] = magic<0x00030003>(q), a[1] = magic<0x000c000c>(q);
      a[2] = magic<0x00030003>(high), a[3] = magic<0x000c000c>(high);
      if constexpr (kBits == 3) {
        // 8 bits of a step, 4 for each element: both nibbles at the bottom of their halves. From
        // there only left shifts, which the multiply pipe takes as well: the other one is full.
        const uint32_t p = (v[2] >> (8 * s) & 0xff) * 0x1001u;
        a[0] = merge<0x00040004>(p << 2, a[0]), a[1] = merge<0x00100010>(p << 3, a[1]);
        a[2] = merge<0x00040004>(p, a[2]), a[3] = merge<0x00100010>(p << 1, a[3]);
      }
    }
  }
};

/// Scales and zeros of one group for the four rows of a lane: [16-row half][row g, row g + 8].
template <int kBits>
struct LaneMeta {
  uint32_t zero[2][2];  ///< as fragment() writes codes, in both halves
  uint2 scales;

  __device__ __forceinline__ void load(const uint8_t* meta, int lane) {
    const int g = lane >> 2;
    scales = *(reinterpret_cast<const uint2*>(meta) + g);
    if constexpr (kBits == 8) {
      const uint32_t z = *(reinterpret_cast<const uint32_t*>(meta + 64) + g);
#pragma unroll
      for (int h = 0; h < 2; ++h) {
#pragma unroll
        for (int r = 0; r < 2; ++r) zero[h][r] = (z >> (16 * h + 8 * r) & 0xff) * 0x10001u + kMagic;
      }
    } else {
      const uint32_t z = *(reinterpret_cast<const uint16_t*>(meta + 64) + g);
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const uint32_t low = z >> (8 * h) & 15, high = z >> (8 * h + 4) & 15;
        zero[h][0] = low * 0x10001u + kMagic;
        zero[h][1] = high * (0x10001u * kHighRowFactor<kBits>)+kMagic;
      }
    }
  }
  /// Of rows g and g + 8 of half h, the factor of fragment() taken out.
  __device__ __forceinline__ float2 scale(int h) const {
    const uint32_t bits = h ? scales.y : scales.x;
    float2 s = __half22float2(*reinterpret_cast<const __half2*>(&bits));
    s.y *= 1.f / kHighRowFactor<kBits>;
    return s;
  }
};

/// y += tile * x for kCols column groups of eight tokens. `x` is shared memory: the lane's own 16
/// bytes of the first run of 32 inputs, that is halves [token g][8 j ..]; column groups lie `pitch`
/// halves apart. y[h][n][i]: rows 16 h + g + 8 (i / 2), tokens 8 n + 2 j + i % 2.
template <int kBits, int kGroups, int kCols>
__device__ __forceinline__ void multiply_tile(const uint8_t* codes, const uint8_t* meta,
                                              const __half* x, int pitch, int lane,
                                              float (&y)[2][kCols][4]) {
  constexpr int kRuns = 4 / kGroups;  // runs of 32 inputs of a group
  LaneCodes<kBits> q[4];
#pragma unroll
  for (int w = 0; w < 4; ++w) q[w].load(codes, w, lane);
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
    LaneMeta<kBits> m;
    m.load(meta + group * TileBytes<kBits, kGroups>::kGroupMeta, lane);
    float sums[2][kCols][4] = {};
#pragma unroll
    for (int c = group * kRuns; c < (group + 1) * kRuns; ++c) {
      uint4 b[kCols];
#pragma unroll
      for (int n = 0; n < kCols; ++n)
        b[n] = *reinterpret_cast<const uint4*>(x + n * pitch + c * 32);
#pragma unroll
      for (int e = 0; e < 2; ++e) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          uint32_t a[4];
          q[2 * h + c / 2].fragment(2 * (c % 2) + e, a);
#pragma unroll
          for (int i = 0; i < 4; ++i) a[i] = subtract_halves(a[i], m.zero[h][i % 2]);
#pragma unroll
          for (int n = 0; n < kCols; ++n) {
            mma(sums[h][n], a, e ? b[n].z : b[n].x, e ? b[n].w : b[n].y);
          }
        }
      }
    }
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const float2 s = m.scale(h);
#pragma unroll
      for (int n = 0; n < kCols; ++n) {
        y[h][n][0] += s.x * sums[h][n][0], y[h][n][1] += s.x * sums[h][n][1];
        y[h][n][2] += s.y * sums[h][n][2], y[h][n][3] += s.y * sums[h][n][3];
      }
    }
  }
}

}  // namespace awq::cuda
