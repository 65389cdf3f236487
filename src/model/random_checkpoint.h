// Checkpoints of random weights in a known shape: what reads files can be timed where the real weights
// cannot be had.
#pragma once

#include <string>

#include "base/thread_pool.h"
#include "checkpoint/source.h"
#include "checkpoint/writer.h"

namespace awq {

/// config.json and BF16 weights of one of synthetic_shapes(), norms of ones; `layers` 0: as many as it
/// has. No tokenizer. `directory` is not committed.
Status write_random_checkpoint(const std::string& shape, int64_t layers, OutputDirectory& directory);

/// The same in memory. All blocks share the bytes of one, so that a model of many takes the memory of
/// one and its tables. `config`: as synthetic_config() makes it, or of another model; `name` stands for
/// the path.
Result<Checkpoint> make_random_checkpoint(const Json& config, const std::string& name,
                                          ThreadPool& pool);

}  // namespace awq
