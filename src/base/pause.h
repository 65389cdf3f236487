// For loops that wait for another thread.
#pragma once

namespace awq {

/// Tells the processor that this thread spins.
inline void pause_processor() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace awq
