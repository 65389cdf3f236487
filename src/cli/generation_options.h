// Sampling options that generate and chat share.
#pragma once

#include <memory>

#include "cli/verb.h"
#include "runtime/generate.h"

namespace awq {

struct DraftOptions {
  std::string draft;    ///< "ngram", a model, or empty: no guesses
  int64_t tokens = 5;
};

/// What makes the guesses of speculative decoding, with the model that it may need.
struct OpenDraft {
  std::unique_ptr<Session> session;
  std::unique_ptr<Drafter> drafter;  ///< null without --draft

  /// `capacity` positions. Usage error for a model with other tokens than the target's.
  static Result<OpenDraft> open(const DraftOptions& options, const Session& target, int64_t capacity,
                                DType kv);
};

void add_draft_options(CLI::App& verb, DraftOptions& options);

struct GenerationOptions {
  int64_t max_tokens = 128, context_size = 0;
  SamplerOptions sampler;
  std::string kv_cache = "f16";
  DraftOptions draft;

  GenerateOptions runtime(const Vocabulary& vocabulary) const;
  /// Positions to hold: --context, or what the prompt and the answer need up to the model's.
  Result<int64_t> context(const Arch& arch, int64_t prompt_tokens) const;
};

/// --temp, --top-p, --top-k, --min-p, --repeat-penalty, --seed.
void add_sampler_options(CLI::App& verb, SamplerOptions& options);

/// "12.3 tokens/s" of the decode passes, with the guesses that came true if there were any; "- tokens/s"
/// where the prefill gave the only token.
std::string decode_speed(const Generation& generation);

void add_generation_options(CLI::App& verb, GenerationOptions& options);

}  // namespace awq
