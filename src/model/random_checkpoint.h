// Checkpoints of random weights in a known shape: what reads files can be timed where the real weights
// cannot be had.
#pragma once

#include <string>

#include "checkpoint/writer.h"

namespace awq {

/// config.json and BF16 weights of one of synthetic_shapes(), norms of ones; `layers` 0: as many as it
/// has. No tokenizer. `directory` is not committed.
Status write_random_checkpoint(const std::string& shape, int64_t layers, OutputDirectory& directory);

}  // namespace awq
