// awq quantize --synthetic: random weights of a known shape through the same quantization, for its
// time and memory.
#pragma once

#include "cli/verb.h"
#include "quant/quantize.h"

namespace awq {

/// Bytes of the files of a folder.
uint64_t bytes_in(const std::string& directory);

struct SyntheticRun {
  std::string shape;       ///< one of synthetic_shapes()
  int64_t samples = 0;     ///< calibration sequences of QuantizeOptions::calibration_length
  std::string out;         ///< where the checkpoint goes; empty: packed and dropped
  bool overwrite = false, json = false;
  Json options;            ///< for the result
};

/// A checkpoint of random weights, no vocabulary. Usage error for an unknown shape.
Result<OpenCheckpoint> open_synthetic(const std::string& shape, int64_t layers, ThreadPool& pool);

Status quantize_synthetic(const OpenCheckpoint& source, const Ops& ops,
                          const QuantizeOptions& options, const SyntheticRun& run,
                          const StopRequest& stop);

}  // namespace awq
