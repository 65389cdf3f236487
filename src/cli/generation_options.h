// Sampling options that generate and chat share.
#pragma once

#include "cli/verb.h"
#include "runtime/generate.h"

namespace awq {

struct GenerationOptions {
  int64_t max_tokens = 128, top_k = 0, context_size = 0;
  double temperature = 0, top_p = 1, min_p = 0, repeat_penalty = 1;
  uint64_t seed = 0;

  GenerateOptions runtime(const Vocabulary& vocabulary) const;
  /// Positions to hold: --context, or what the prompt and the answer need up to the model's.
  Result<int64_t> context(const Arch& arch, int64_t prompt_tokens) const;
};

/// "12.3 tokens/s" of the decode passes; "- tokens/s" where the prefill gave the only token.
std::string decode_speed(const Generation& generation);

void add_generation_options(CLI::App& verb, GenerationOptions& options);

}  // namespace awq
