// Compiled with this instruction set's flags; see kernel_table.h for what may not be done here.
#if defined(__x86_64__)
#define AWQ_VECTOR_WORDS "kernels/cpu/isa/vec_avx2.h"
#define AWQ_TABLE kAvxVnniTable
#include "kernels/cpu/isa/table.inc"
#endif
