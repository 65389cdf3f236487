#include "runtime/generate.h"

#include <algorithm>

#include "base/progress.h"

namespace awq {

std::string_view finish_reason_name(FinishReason reason) {
  return reason == FinishReason::stop ? "stop"
         : reason == FinishReason::length ? "length" : "cancelled";
}

Status check_ids(const Model& model, std::span<const int32_t> ids) {
  for (const int32_t id : ids) {
    if (id < 0 || id >= model.arch.sizes.vocab) {
      return bad_input(cat("token id ", id, " is outside the model's vocabulary of ",
                           model.arch.sizes.vocab, "; the tokenizer belongs to another model"));
    }
  }
  return {};
}

namespace {

// The logits of a token and of the guesses behind it, taken one after the other.
class Steps {
 public:
  Steps(Engine& engine, KvCache& cache, const GenerateOptions& options)
      : engine_(engine), cache_(cache), drafter_(options.drafter),
        most_(std::clamp<int64_t>(options.guesses, 1, kMostGuesses)), width_(most_) {}

  // After the prompt, which ends at the cache's length.
  void begin(Matrix logits) { logits_ = logits; }

  std::span<const float> row() { return engine_.on_host(logits_.slice_rows(row_, 1)); }

  // Goes on with `id`, the last of `history`: false when that takes another pass.
  bool accept(int32_t id, Generation& result) {
    if (row_ >= guessed() || fed_[static_cast<size_t>(row_) + 1] != id) return false;
    ++row_;
    ++result.accepted;
    ++result.decode_tokens;
    return true;
  }

  // Takes back the guesses that did not come true. Wrong ones cost time: fewer after them, more after a
  // pass without.
  void settle() {
    const int64_t wrong = guessed() - row_;
    if (wrong > 0) {
      cache_.truncate(cache_.length() - wrong);
      width_ = std::max<int64_t>(row_ + 1, width_ / 2);
      fed_.resize(static_cast<size_t>(row_) + 1);
    } else if (guessed() > 0) {
      width_ = std::min(width_ + 1, most_);
    }
  }

  // Runs the last token of the text and guesses at up to `left` tokens behind it. The guesses of before
  // are settled.
  void pass(std::span<const int32_t> text, int64_t left, Generation& result) {
    fed_.assign(1, text.back());
    const int64_t room = std::min({width_, left, cache_.capacity() - cache_.length() - 1});
    if (drafter_ != nullptr && room > 0) {
      const auto guesses = drafter_->guess(text, room);
      fed_.insert(fed_.end(), guesses.begin(), guesses.end());
    }
    ++result.decode_passes;
    ++result.decode_tokens;
    result.guessed += guessed();
    row_ = 0;
    if (fed_.size() == 1) {
      logits_ = engine_.decode(cache_, fed_[0]);
    } else {
      const Feed feed{&cache_, fed_};
      logits_ = engine_.logits(engine_.forward({&feed, 1}));
    }
  }

 private:
  int64_t guessed() const { return fed_.empty() ? 0 : static_cast<int64_t>(fed_.size()) - 1; }

  Engine& engine_;
  KvCache& cache_;
  Drafter* drafter_;
  int64_t most_, width_;
  std::vector<int32_t> fed_;  // a token and the guesses
  Matrix logits_;             // [fed, vocab]
  int64_t row_ = 0;           // the present one
};

Status check_options(const Model& model, const KvCache& cache, std::span<const int32_t> prompt,
                     const GenerateOptions& options) {
  if (prompt.empty()) return usage_error("the prompt is empty; give at least one token");
  AWQ_TRY(check_ids(model, prompt));
  AWQ_TRY(check_sampler_options(options.sampler));
  const auto room = cache.capacity() - cache.length();
  if (static_cast<int64_t>(prompt.size()) <= room) return {};
  return usage_error(cat("the prompt has ", prompt.size(), " tokens, the context has room for ", room,
                         "; shorten it or raise --context"));
}

// Steps under way before the host has seen what came of the first of them; the CPU does nothing meanwhile.
int64_t steps_ahead(const Engine& engine) { return engine.device().host_visible() ? 0 : 2; }

// Each token is drawn on the device and is the input of the next step there; a few steps are under way
// before the host has seen what came of them. What lies beyond a stop is dropped.
Result<Generation> generate_ahead(Engine& engine, KvCache& cache, std::span<const int32_t> prompt,
                                  const GenerateOptions& options,
                                  const std::function<bool(const GeneratedToken&)>& on_token) {
  const Ops& ops = engine.model().ops;
  const int64_t ahead = steps_ahead(engine);
  Generation result;
  RandomDraws random(options.sampler.seed);
  Timer timer;
  Matrix logits = engine.logits(engine.prefill(cache, prompt));
  engine.device().synchronize();
  result.prefill_seconds = timer.seconds();
  const auto draws = ops.plan_draws(engine.device(), options.sampler, logits.cols, {&prompt, 1});
  const int64_t start = cache.length();
  int64_t drawn = 0, taken = 0;
  const auto draw = [&] {
    const uint64_t next = random.next();
    draws->draw(logits, {&next, 1});
    ++drawn;
  };
  draw();
  timer = Timer();
  Status status;
  bool stopped = false;
  while (taken < options.max_tokens) {
    while (drawn - taken <= ahead && drawn < options.max_tokens &&
           cache.length() < cache.capacity()) {
      KvCache* const one = &cache;
      logits = engine.decode(std::span(&one, 1), *draws);
      draw();
    }
    if (drawn == taken) break;  // the cache is full
    const Result<int32_t> id = token_of(draws->take().front());
    ++taken;
    if (!id.ok()) {
      status = id.error();
      break;
    }
    stopped = std::find(options.stop_ids.begin(), options.stop_ids.end(), *id) !=
              options.stop_ids.end();
    if (stopped) {
      result.finish_reason = FinishReason::stop;
      break;
    }
    result.tokens.push_back({*id, 0, {}});
    if (on_token && !on_token(result.tokens.back())) {
      result.finish_reason = FinishReason::cancelled;
      break;
    }
  }
  result.decode_passes = result.decode_tokens = taken - 1;
  if (result.decode_passes > 0) result.decode_seconds = timer.seconds();
  // All that was fed but the steps ahead; the last token only where another came of it.
  cache.truncate(std::min(cache.length(), start + taken - 1));
  AWQ_TRY(status);
  return result;
}

}  // namespace

Status sample_steps(Engine& engine, std::span<KvCache* const> caches, std::span<const int32_t> tokens,
                    const SamplerOptions& options, int64_t steps) {
  const Model& model = engine.model();
  const std::vector<std::span<const int32_t>> none(caches.size());
  const auto draws = model.ops.plan_draws(engine.device(), options, model.arch.sizes.vocab, none);
  RandomDraws random(options.seed);
  std::vector<uint64_t> numbers(caches.size());
  int64_t drawn = 0;
  for (int64_t taken = 0; taken < steps; ++taken) {
    for (; drawn < steps && drawn - taken <= steps_ahead(engine); ++drawn) {
      for (uint64_t& number : numbers) number = random.next();
      const bool first = drawn == 0;
      draws->draw(!first               ? engine.decode(caches, *draws)
                  : caches.size() == 1 ? engine.decode(*caches[0], tokens[0])
                                       : engine.decode(caches, tokens),
                  numbers);
    }
    for (const Drawn& one : draws->take()) AWQ_TRY(token_of(one));
  }
  return {};
}

Result<Generation> generate(Engine& engine, KvCache& cache, std::span<const int32_t> prompt,
                            const GenerateOptions& options,
                            const std::function<bool(const GeneratedToken&)>& on_token) {
  AWQ_TRY(check_options(engine.model(), cache, prompt, options));
  if (options.drafter == nullptr && options.logprobs == 0 && options.max_tokens > 0) {
    return generate_ahead(engine, cache, prompt, options, on_token);
  }
  Generation result;
  Sampler sampler(options.sampler);
  std::vector<int32_t> history(prompt.begin(), prompt.end());
  std::vector<int32_t> text(options.before.begin(), options.before.end());  // all that was said
  text.insert(text.end(), prompt.begin(), prompt.end());
  Steps steps(engine, cache, options);
  Timer timer;
  steps.begin(engine.logits(engine.prefill(cache, prompt)));
  engine.device().synchronize();
  result.prefill_seconds = timer.seconds();
  while (static_cast<int64_t>(result.tokens.size()) < options.max_tokens) {
    const std::span<const float> row = steps.row();
    AWQ_ASSIGN(const int32_t id, sampler.sample(row, history));
    if (std::find(options.stop_ids.begin(), options.stop_ids.end(), id) !=
        options.stop_ids.end()) {
      result.finish_reason = FinishReason::stop;
      break;
    }
    GeneratedToken token{id, 0, {}};
    if (options.logprobs > 0) {
      token.logprob = row[static_cast<size_t>(id)] - log_sum_exp(row);
      token.top = top_logprobs(row, options.logprobs);
    }
    result.tokens.push_back(token);
    history.push_back(id);
    text.push_back(id);
    if (on_token && !on_token(result.tokens.back())) {
      result.finish_reason = FinishReason::cancelled;
      break;
    }
    const int64_t left = options.max_tokens - static_cast<int64_t>(result.tokens.size());
    if (left <= 0) break;
    if (steps.accept(id, result)) continue;
    steps.settle();
    if (cache.length() >= cache.capacity()) break;
    if (result.decode_passes == 0) timer = Timer();
    steps.pass(text, left - 1, result);
  }
  steps.settle();
  if (result.decode_passes > 0) result.decode_seconds = timer.seconds();
  return result;
}

}  // namespace awq
