// What only Hopper's multiprocessors have (compute capability 9.0, built as 90a): products of a
// warpgroup (four warps) with asynchronous sums, barriers in shared memory that count bytes.
// PTX ISA, sections on wgmma, mbarrier, cp.async.bulk.
#pragma once

#include "kernels/cuda/barriers.cuh"
#include "kernels/cuda/clusters.cuh"
#include "kernels/cuda/tile_math.cuh"

namespace awq::cuda::warpgroup {

// ---- products ----

__device__ __forceinline__ void mma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void mma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int kPending>
__device__ __forceinline__ void mma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
/// After mma_wait<0>(): sums are read below this line, not above.
template <int kCount>
__device__ __forceinline__ void mma_settle(float (&d)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

/// Describes rows of 64 halves (128 bytes, 16-byte chunk c of row r at place c ^ r % 8) to wgmma;
/// `address` is that of a row divisible by 8, plus 32 bytes for every step of 16 halves.
__device__ __forceinline__ uint64_t describe_rows(uint32_t address) {
  constexpr uint32_t kSwizzle128 = 1u << 30, kEightRows = 1024 >> 4;
  return static_cast<uint64_t>(kSwizzle128 | kEightRows) << 32 | 1u << 16 |
         (address & 0x3ffff) >> 4;
}

#define AWQ_F8(d, i)                                                                          \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define AWQ_F16(d, i) AWQ_F8(d, i), AWQ_F8(d, i + 8)
#define AWQ_F32(d, i) AWQ_F8(d, i), AWQ_F8(d, i + 8), AWQ_F8(d, i + 16), AWQ_F8(d, i + 24)
#define AWQ_S8_0 "%0,%1,%2,%3,%4,%5,%6,%7"
#define AWQ_S16_0 AWQ_S8_0 ",%8,%9,%10,%11,%12,%13,%14,%15"
#define AWQ_S32_0                      \
  AWQ_S8_0                             \
      ",%8,%9,%10,%11,%12,%13,%14,%15" \
      ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define AWQ_S32_1                                                        \
  AWQ_S32_0                                                              \
      ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47" \
      ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define AWQ_S32_3                                                                    \
  AWQ_S32_1                                                                          \
      ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"             \
      ",%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"             \
      ",%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111" \
      ",%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define AWQ_WGMMA(n, sums, a0, a1, a2, a3, b)                                                    \
  "{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"                                                     \
  "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.f16.f16 {" sums "}, {" a0 "," a1 "," a2 "," a3 \
  "}, " b ", p, 1, 1, 0;\n}"

/// d += a b for 64 rows x kTokens columns x 16: `a` holds the warp's 16 rows like the A registers
/// of mma.m16n8k16; d[4 n + i] is row g + 8 (i / 2) of them, column 8 n + 2 j + i % 2.
template <int kTokens>
__device__ __forceinline__ void multiply(float (&d)[kTokens / 2], const uint32_t (&a)[4],
                                         uint64_t b) {
  if constexpr (kTokens == 32) {
    asm volatile(AWQ_WGMMA(32, AWQ_S16_0, "%16", "%17", "%18", "%19", "%20")
                 : AWQ_F16(d, 0)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
  } else if constexpr (kTokens == 64) {
    asm volatile(AWQ_WGMMA(64, AWQ_S32_0, "%32", "%33", "%34", "%35", "%36")
                 : AWQ_F32(d, 0)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
  } else if constexpr (kTokens == 128) {
    asm volatile(AWQ_WGMMA(128, AWQ_S32_1, "%64", "%65", "%66", "%67", "%68")
                 : AWQ_F32(d, 0), AWQ_F32(d, 32)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
  } else {
    static_assert(kTokens == 256);
    asm volatile(AWQ_WGMMA(256, AWQ_S32_3, "%128", "%129", "%130", "%131", "%132")
                 : AWQ_F32(d, 0), AWQ_F32(d, 32), AWQ_F32(d, 64), AWQ_F32(d, 96)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
  }
}

#undef AWQ_F8
#undef AWQ_F16
#undef AWQ_F32
#undef AWQ_S8_0
#undef AWQ_S16_0
#undef AWQ_S32_0
#undef AWQ_S32_1
#undef AWQ_S32_3
#undef AWQ_WGMMA

}  // namespace awq::cuda::warpgroup
