// Compiled with this instruction set's flags; see kernel_table.h for what may not be done here.
#if defined(__aarch64__)
#define AWQ_VECTOR_WORDS "kernels/cpu/isa/vec_neon.h"
#define AWQ_TABLE kNeonDotTable
#include "kernels/cpu/isa/table.inc"
#endif
