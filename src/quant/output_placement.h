// Where things lie in the checkpoint that is written: under Hugging Face's names, fused as there.
#pragma once

#include "model/placement.h"
#include "model/tensor_reader.h"

namespace awq {

inline Placement output_placement(const TensorReader& reader, const Linear& linear, int64_t layer) {
  return placement(reader.family(), Container::hugging_face, reader.arch(), linear.slot,
                   linear_shape(reader.arch(), linear)[0], layer);
}

inline std::vector<std::string> output_modules(const TensorReader& reader, const Norm& norm,
                                               int64_t layer) {
  return norm_modules(reader.family(), Container::hugging_face, reader.arch(), norm, layer);
}

/// Of AutoAWQ's ScaledActivation, which is there whatever its scales are.
inline std::string output_activation(const TensorReader& reader, int64_t layer) {
  return module_name(reader.family(), Container::hugging_face, Slot::act, layer);
}

}  // namespace awq
