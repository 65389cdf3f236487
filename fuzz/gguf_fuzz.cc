// fuzz: model
// A GGUF file: metadata, tensors, the config they amount to, and the weights of its blocks.
#include <cstdint>

#include "base/thread_pool.h"
#include "model/tensor_reader.h"
#include "tensor_checks.h"

namespace awq {
namespace {

void read_model(const Checkpoint& checkpoint) {
  static ThreadPool pool(1);
  const auto reader = TensorReader::open(checkpoint);
  if (!reader.ok() || reader->arch().sizes.layers > 4) return;
  static_cast<void>(reader->check_frame_finite(pool));
  for (int64_t layer = 0; layer < reader->arch().sizes.layers; ++layer) {
    static_cast<void>(reader->read_block(layer, pool));
    reader->release_block(layer);
  }
}

}  // namespace
}  // namespace awq

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto checkpoint =
      awq::Checkpoint::from_gguf({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
  if (!checkpoint.ok()) return 0;
  for (const awq::TensorInfo& tensor : checkpoint->tensors()) awq::decode(*checkpoint, tensor);
  awq::read_model(*checkpoint);
  return 0;
}
