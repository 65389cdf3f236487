#include "kernels/cpu/scratch.h"

#include <array>

#include "tensor/buffer.h"

namespace awq::cpu {

void* scratch(Scratch purpose, size_t bytes) {
  thread_local std::array<Buffer, static_cast<size_t>(Scratch::count)> buffers;
  Buffer& buffer = buffers[static_cast<size_t>(purpose)];
  if (buffer.size() < bytes) {
    buffer = Buffer();  // the old memory goes first
    buffer = Buffer(bytes);
  }
  return buffer.data();
}

}  // namespace awq::cpu
