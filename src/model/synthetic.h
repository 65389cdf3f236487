// Models of a known shape with random weights: speed and memory can be measured where the weights
// cannot be had. Not for anything that looks at what a model says.
#pragma once

#include "base/json.h"
#include "model/weights.h"

namespace awq {

struct SyntheticOptions {
  std::string shape;     ///< one of synthetic_shapes()
  int bits = 4;          ///< 2, 3, 4, 8; 16: IEEE halves
  int64_t group = 128;   ///< 0: per channel
  int head_bits = 16;    ///< of the head: 8, or 16: IEEE halves
  int64_t layers = 0;    ///< 0: as many as the shape has
};

/// "llama-2-7b", ...
std::vector<std::string_view> synthetic_shapes();

/// The config.json of a shape; `layers` 0: as many as it has. Usage error for an unknown one.
Result<Json> synthetic_config(std::string_view shape, int64_t layers);
Result<Arch> synthetic_arch(std::string_view shape, int64_t layers);

/// Products about as large as their input; made on the device where the backend can.
std::unique_ptr<PackedWeight> random_packed_weight(const Ops& ops, const QuantFormat& format,
                                                   int64_t out, int64_t in, uint64_t seed);

/// Usage error for an unknown shape or format. The embedding is of IEEE halves.
Result<Model> make_synthetic_model(const SyntheticOptions& options, const Ops& ops);

}  // namespace awq
