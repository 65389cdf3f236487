#include "cli/generation_options.h"

#include <algorithm>

namespace awq {

GenerateOptions GenerationOptions::runtime(const Vocabulary& vocabulary) const {
  GenerateOptions options;
  options.max_tokens = max_tokens;
  options.sampler = {temperature, top_k, top_p, min_p, repeat_penalty, 64, seed};
  options.stop_ids = vocabulary.stop_ids;
  return options;
}

Result<int64_t> GenerationOptions::context(const Arch& arch, int64_t prompt_tokens) const {
  const int64_t model = arch.sizes.context;
  if (context_size > model) {
    return usage_error(cat("--context ", context_size, " is longer than the model's context of ",
                           model));
  }
  const int64_t limit = context_size > 0 ? context_size : model;
  if (prompt_tokens > limit) {
    return usage_error(cat("the prompt has ", prompt_tokens, " tokens, the context holds ", limit,
                           "; shorten the prompt"));
  }
  return context_size > 0 ? context_size : std::min(limit, prompt_tokens + max_tokens);
}

std::string decode_speed(const Generation& generation) {
  if (generation.decode_passes == 0) return "- tokens/s";
  const auto passes = static_cast<double>(generation.decode_passes);
  return cat(fixed(passes / std::max(generation.decode_seconds, 1e-9), 1), " tokens/s");
}

void add_generation_options(CLI::App& verb, GenerationOptions& options) {
  verb.add_option("-n,--max-tokens", options.max_tokens, "tokens to generate at most")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  verb.add_option("--temp", options.temperature, "temperature; 0: always the most likely token")
      ->check(CLI::Range(0.0, 1e30))
      ->capture_default_str();
  verb.add_option("--top-p", options.top_p, "keep the most likely tokens of this total probability")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  verb.add_option("--top-k", options.top_k, "keep the K most likely tokens; 0: all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30))
      ->capture_default_str();
  verb.add_option("--min-p", options.min_p, "drop tokens below this share of the most likely one")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  verb.add_option("--repeat-penalty", options.repeat_penalty, "penalty on the last 64 tokens")
      ->check(CLI::Range(0.001, 1000.0))
      ->capture_default_str();
  verb.add_option("--seed", options.seed, "seed of the sampler")->capture_default_str();
  verb.add_option("--context", options.context_size, "positions to hold (default: as needed)")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 30));
}

}  // namespace awq
