// Working memory of the launchers: one growing buffer per thread and purpose, kept for the life of
// the thread, so that a decode step allocates nothing.
#pragma once

#include <cstdint>
#include <cstddef>
#include <cstdint>

namespace awq::cpu {

enum class Scratch { activations, weights, sums, attention, partial, count };

/// At least `bytes` of 64-byte aligned memory of the calling thread; what it held may be lost.
void* scratch(Scratch purpose, size_t bytes);

template <class T>
T* scratch_of(Scratch purpose, int64_t count) {
  return static_cast<T*>(scratch(purpose, static_cast<size_t>(count) * sizeof(T)));
}

}  // namespace awq::cpu
