// Calibration text that the model writes itself: no data set needed.
#pragma once

#include <functional>
#include <vector>

#include "runtime/engine.h"

namespace awq {

struct CorpusOptions {
  int64_t tokens = 65536;       ///< how many in all
  int64_t document = 256;       ///< longest document
  int64_t parallel = 64;        ///< documents sampled side by side
  double temperature = 1.0;
  double top_p = 0.95;
  uint64_t seed = 0;
};

/// Samples documents, each begun with `start`, until one of `stop_ids` or the longest length, and
/// joins them. The result has exactly options.tokens ids and depends on the seed alone.
Result<std::vector<int32_t>> sample_corpus(Engine& engine, int32_t start,
                                           const std::vector<int32_t>& stop_ids,
                                           const CorpusOptions& options,
                                           const std::function<void(int64_t)>& on_tokens = {});

/// Memory that sample_corpus needs for KV caches.
uint64_t corpus_bytes(const Arch& arch, const CorpusOptions& options);

}  // namespace awq
