// How blocks of the persistent kernel hand each other values: by words that carry their own proof
// of freshness, so that the poll is the load. There is no counter to raise, no fence and no second
// trip.
//
// A float message is a f32 whose two lowest bits are the epoch of its writing modulo 4; every word
// of such a buffer is written once a layer, and nobody can be a layer behind, so an old word never
// has the awaited epoch. Words that are written only now and then (parts of attention) carry the
// whole epoch beside the value in 8 bytes. Accesses are relaxed at device scope: they meet in the
// L2 cache.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>

namespace awq::cuda::fused {

/// Out of the loops that wait: they are many, and the kernel's code should fit the caches.
[[noreturn]] static __device__ __noinline__ void lost(const char* what, int detail) {
  printf("block %d thread %d waits for %s %d\n", blockIdx.x, threadIdx.x, what, detail);
  __trap();
}

/// Counts turns of a loop that waits: a message that never comes ends the kernel with a fault,
/// which the host reports, instead of hanging. The limit is some tens of seconds of this kernel's
/// own time (it stands still while the device serves another program), and thousands of times the
/// longest wait.
#ifndef AWQ_SPIN_LIMIT  // a build that tries something may want to fault sooner
#define AWQ_SPIN_LIMIT (1u << 26)
#endif
struct Spin {
  static constexpr uint32_t kLimit = AWQ_SPIN_LIMIT;
  uint32_t turns = 0;
  __device__ __forceinline__ void turn(const char* what, int detail = 0) {
    if (++turns > kLimit) lost(what, detail);
  }
};

__device__ __forceinline__ uint32_t load_word(const void* from) {
  uint32_t v;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(from));
  return v;
}
__device__ __forceinline__ uint4 load_words(const void* from) {
  uint4 v;
  asm volatile("ld.relaxed.gpu.global.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from));
  return v;
}
/// Predicated rather than branched around: many of these stand side by side.
__device__ __forceinline__ void load_words_if(bool wanted, uint4& v, const void* from) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.u32 p, %5, 0;\n"
      "@p ld.relaxed.gpu.global.v4.u32 {%0,%1,%2,%3}, [%4];\n}"
      : "+r"(v.x), "+r"(v.y), "+r"(v.z), "+r"(v.w)
      : "l"(from), "r"(static_cast<uint32_t>(wanted)));
}
__device__ __forceinline__ uint64_t load_pair(const uint64_t* from) {
  uint64_t v;
  asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(v) : "l"(from));
  return v;
}

__device__ __forceinline__ bool fresh(uint32_t word, uint32_t epoch) {
  return ((word ^ epoch) & 3) == 0;
}
__device__ __forceinline__ bool fresh(const uint4& v, uint32_t epoch) {
  return (((v.x ^ epoch) | (v.y ^ epoch) | (v.z ^ epoch) | (v.w ^ epoch)) & 3) == 0;
}

/// Without the epoch: the same step gives the same bits whenever it runs.
__device__ __forceinline__ float value_of(uint32_t word) { return __uint_as_float(word & ~3u); }

__device__ __forceinline__ void post(float* to, float value, uint32_t epoch) {
  const uint32_t word = (__float_as_uint(value) & ~3u) | (epoch & 3);
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(to), "r"(word) : "memory");
}
__device__ __forceinline__ float await(const float* from, uint32_t epoch, uint32_t word) {
  Spin spin;
  while (!fresh(word, epoch)) {
    spin.turn("a word");
    word = load_word(from);
  }
  return value_of(word);
}
__device__ __forceinline__ float await(const float* from, uint32_t epoch) {
  return await(from, epoch, load_word(from));
}

__device__ __forceinline__ void post_pair(uint64_t* to, uint32_t high, uint32_t low) {
  const uint64_t pair = static_cast<uint64_t>(high) << 32 | low;
  asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" ::"l"(to), "l"(pair) : "memory");
}

}  // namespace awq::cuda::fused
