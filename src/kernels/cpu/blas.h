// The CPU's BLAS (OpenBLAS), opened at its first product.
#pragma once

#include <cblas.h>

namespace awq::cpu {

/// cblas_sgemm of libopenblas, single-threaded and safe to call from every thread of the pool. The
/// first call opens the library; ends the program as AWQ_CHECK does when it cannot be opened.
decltype(&cblas_sgemm) sgemm();
/// The same of cblas_dgemm.
decltype(&cblas_dgemm) dgemm();

}  // namespace awq::cpu
