// Token generation: prefill, then token by token, or several at a time where guesses come true.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/draft.h"
#include "runtime/engine.h"
#include "runtime/sampler.h"

namespace awq {

struct GenerateOptions {
  int64_t max_tokens = 128;
  SamplerOptions sampler;
  std::vector<int32_t> stop_ids;  ///< end of text; not part of the output
  int64_t logprobs = 0;           ///< alternatives reported with every token
  /// Makes guesses, or null. Each token is drawn from the model's own logits all the same, so on the
  /// CPU the same tokens come out.
  Drafter* drafter = nullptr;
  std::span<const int32_t> before;  ///< what the cache holds already, for the drafter
  int64_t guesses = 5;            ///< at most, of one pass: up to kMostGuesses
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
  /// The first token comes of the prefill, the others of decode passes: one each, or more where
  /// guesses came true.
  int64_t decode_passes = 0, decode_tokens = 0;
  int64_t guessed = 0, accepted = 0;  ///< tokens
  double decode_seconds = 0;
};

/// Appends `prompt` to the cache, then generates. `on_token` sees each token at once and returns
/// false to stop. Stops with `length` when the cache is full. Error for an empty prompt, an id that
/// the model does not have, or a prompt that does not fit.
Result<Generation> generate(Engine& engine, KvCache& cache, std::span<const int32_t> prompt,
                            const GenerateOptions& options,
                            const std::function<bool(const GeneratedToken&)>& on_token = {});

/// Draws `steps` tokens of each sequence, each drawn token the input of the next step: appends `tokens` to
/// the caches, then all that was drawn but the last. Error where logits are not finite.
Status sample_steps(Engine& engine, std::span<KvCache* const> caches, std::span<const int32_t> tokens,
                    const SamplerOptions& options, int64_t steps);

/// Usage error when an id is outside the model's vocabulary.
Status check_ids(const Model& model, std::span<const int32_t> ids);

}  // namespace awq
