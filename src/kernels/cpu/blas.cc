#include "kernels/cpu/blas.h"

#include <dlfcn.h>

#include <cstdlib>

#include "base/check.h"
#include "kernels/cpu/features.h"

namespace awq::cpu {

// OpenBLAS chooses its kernels while it is being loaded, by a list of processor models: on one that
// is younger than the library it takes plain SSE kernels, 3-4x slower. We ask for those of the
// instructions that are there, unless the user has asked for others. That, and that only
// quantization multiplies with it, is why it is opened here and not linked.
static void* open_library() {
  const CpuFeatures& features = cpu_features();
  if (features.avx512) {
    setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
  } else if (features.avx2) {
    setenv("OPENBLAS_CORETYPE", "Haswell", 0);
  }
  setenv("OPENBLAS_NUM_THREADS", "1", 1);  // the threads are ours: it is called on each of them
  void* library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  AWQ_CHECK(library != nullptr, dlerror(), "; install OpenBLAS (package libopenblas0)");
  return library;
}

static void* library() {
  static void* const kLibrary = open_library();
  return kLibrary;
}

template <class Function>
static Function* find_symbol(const char* name) {
  void* symbol = dlsym(library(), name);
  AWQ_CHECK(symbol != nullptr, dlerror());
  return reinterpret_cast<Function*>(symbol);
}

decltype(&cblas_sgemm) sgemm() {
  static const auto product = find_symbol<decltype(cblas_sgemm)>("cblas_sgemm");
  return product;
}

decltype(&cblas_dgemm) dgemm() {
  static const auto product = find_symbol<decltype(cblas_dgemm)>("cblas_dgemm");
  return product;
}

}  // namespace awq::cpu
