#include "kernels/cpu/features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace awq {

static CpuFeatures detect() {
  CpuFeatures found;
#if defined(__x86_64__)
  // The builtins also ask the operating system whether it saves the wide registers.
  __builtin_cpu_init();
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  const bool f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
  found.avx2 = f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  // Leaf 7, subleaf 1: GCC 12's builtin does not know the name.
  found.avx_vnni = found.avx2 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 &&
                   (eax & (1u << 4)) != 0;
  found.avx512 = found.avx2 && __builtin_cpu_supports("avx512f") &&
                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                 __builtin_cpu_supports("avx512dq");
  found.vnni = found.avx512 && __builtin_cpu_supports("avx512vnni");
#elif defined(__aarch64__)
  found.dot_product = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#endif
  return found;
}

const CpuFeatures& cpu_features() {
  static const CpuFeatures kFound = detect();
  return kFound;
}

std::string_view cpu_features_text() {
  const CpuFeatures& found = cpu_features();
#if defined(__aarch64__)
  return found.dot_product ? "NEON dot product" : "NEON";
#else
  return found.vnni       ? "AVX-512 VNNI"
         : found.avx512   ? "AVX-512"
         : found.avx_vnni ? "AVX-VNNI"
         : found.avx2     ? "AVX2"
                          : "scalar";
#endif
}

}  // namespace awq
