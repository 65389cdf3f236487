// Token generation: prefill, then one token at a time.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/engine.h"
#include "runtime/sampler.h"

namespace awq {

struct GenerateOptions {
  int64_t max_tokens = 128;
  SamplerOptions sampler;
  std::vector<int32_t> stop_ids;  ///< end of text; not part of the output
  int64_t logprobs = 0;           ///< alternatives reported with every token
};

struct GeneratedToken {
  int32_t id = -1;
  double logprob = 0;                      ///< under the model, before sampling options
  std::vector<TokenProbability> top;       ///< options.logprobs entries
};

enum class FinishReason { stop, length, cancelled };
std::string_view finish_reason_name(FinishReason reason);

struct Generation {
  std::vector<GeneratedToken> tokens;
  FinishReason finish_reason = FinishReason::length;
  double prefill_seconds = 0;
  /// Passes of one token each: the first token comes of the prefill, its successors of one each.
  int64_t decode_passes = 0;
  double decode_seconds = 0;
};

/// Appends `prompt` to the cache, then generates. `on_token` sees each token at once and returns
/// false to stop. Stops with `length` when the cache is full. Error for an empty prompt, an id that
/// the model does not have, or a prompt that does not fit.
Result<Generation> generate(Engine& engine, KvCache& cache, std::span<const int32_t> prompt,
                            const GenerateOptions& options,
                            const std::function<bool(const GeneratedToken&)>& on_token = {});

/// Usage error when an id is outside the model's vocabulary.
Status check_ids(const Model& model, std::span<const int32_t> ids);

}  // namespace awq
