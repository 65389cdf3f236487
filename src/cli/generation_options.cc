#include "cli/generation_options.h"

#include <algorithm>
#include <memory>

namespace awq {

GenerateOptions GenerationOptions::runtime(const Vocabulary& vocabulary) const {
  GenerateOptions options;
  options.max_tokens = max_tokens;
  options.sampler = sampler;
  options.stop_ids = vocabulary.stop_ids;
  options.guesses = draft.tokens;
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
  const auto tokens = static_cast<double>(generation.decode_tokens);
  std::string text = cat(fixed(tokens / std::max(generation.decode_seconds, 1e-9), 1), " tokens/s");
  if (generation.guessed > 0) {
    text += cat(", ", generation.accepted, " of ", generation.guessed, " guesses right, ",
                fixed(tokens / static_cast<double>(generation.decode_passes), 2), " tokens a pass");
  }
  return text;
}

Result<OpenDraft> OpenDraft::open(const DraftOptions& options, const Session& target,
                                  int64_t capacity, DType kv) {
  OpenDraft result;
  if (options.draft == "ngram") result.drafter = std::make_unique<NgramDrafter>();
  if (options.draft.empty() || result.drafter != nullptr) return result;
  AWQ_ASSIGN(Session session, Session::open(options.draft, target.model().ops));
  const int64_t vocab = target.model().arch.sizes.vocab;
  bool same = session.model().arch.sizes.vocab == vocab;
  const auto tokens = std::min(target.tokenizer().vocab_size(), session.tokenizer().vocab_size());
  for (size_t id = 0; same && id < tokens; ++id) {
    same = target.tokenizer().token_bytes(static_cast<TokenId>(id)) ==
           session.tokenizer().token_bytes(static_cast<TokenId>(id));
  }
  if (!same) {
    return usage_error(cat("--draft ", printable(options.draft),
                           ": its tokens are not the model's; use a model of the same vocabulary, or "
                           "ngram"));
  }
  result.session = std::make_unique<Session>(std::move(session));
  Engine& engine = result.session->engine();
  capacity = std::min(capacity, engine.model().arch.sizes.context);
  result.drafter = std::make_unique<ModelDrafter>(engine, capacity, kv);
  return result;
}

void add_draft_options(CLI::App& verb, DraftOptions& options) {
  verb.add_option("--draft", options.draft,
                  "guess several tokens and check them in one pass: ngram (what followed the same words "
                  "before), or a smaller MODEL of the same vocabulary; the answer stays the same")
      ->type_name("ngram|MODEL");
  verb.add_option("--draft-tokens", options.tokens, "guesses of a pass at most")
      ->check(CLI::Range(int64_t{1}, kMostGuesses))
      ->capture_default_str();
}

void add_sampler_options(CLI::App& verb, SamplerOptions& options) {
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
}

void add_generation_options(CLI::App& verb, GenerationOptions& options) {
  verb.add_option("-n,--max-tokens", options.max_tokens, "tokens to generate at most")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  add_sampler_options(verb, options.sampler);
  verb.add_option("--context", options.context_size, "positions to hold (default: as needed)")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 30));
  add_kv_cache_option(verb, options.kv_cache);
  add_draft_options(verb, options.draft);
}

}  // namespace awq
