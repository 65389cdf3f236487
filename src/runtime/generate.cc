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

Result<Generation> generate(Engine& engine, KvCache& cache, std::span<const int32_t> prompt,
                            const GenerateOptions& options,
                            const std::function<bool(const GeneratedToken&)>& on_token) {
  if (prompt.empty()) return usage_error("the prompt is empty; give at least one token");
  AWQ_TRY(check_ids(engine.model(), prompt));
  AWQ_TRY(check_sampler_options(options.sampler));
  const auto room = cache.capacity() - cache.length();
  if (static_cast<int64_t>(prompt.size()) > room) {
    return usage_error(cat("the prompt has ", prompt.size(), " tokens, the context has room for ",
                           room, "; shorten it or raise --context"));
  }
  Generation result;
  Sampler sampler(options.sampler);
  std::vector<int32_t> history(prompt.begin(), prompt.end());
  Timer timer;
  Matrix logits = engine.logits(engine.prefill(cache, prompt));
  engine.device().synchronize();
  result.prefill_seconds = timer.seconds();
  while (static_cast<int64_t>(result.tokens.size()) < options.max_tokens) {
    const std::span<const float> row = engine.on_host(logits);
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
    if (on_token && !on_token(result.tokens.back())) {
      result.finish_reason = FinishReason::cancelled;
      break;
    }
    if (static_cast<int64_t>(result.tokens.size()) >= options.max_tokens) break;
    if (cache.length() >= cache.capacity()) break;
    if (result.decode_passes++ == 0) timer = Timer();
    logits = engine.decode(cache, history.back());
  }
  if (result.decode_passes > 0) result.decode_seconds = timer.seconds();
  return result;
}

}  // namespace awq
