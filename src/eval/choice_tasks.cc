#include "eval/choice_tasks.h"

#include <algorithm>
#include <cmath>

#include "runtime/generate.h"

namespace awq {
namespace {

constexpr int64_t kScoredRows = 64;  // rows of logits held at once

struct Likelihood {
  double log = 0;
  bool greedy = true;  ///< every token is the most likely one
};

double standard_error(double share, int64_t items) {
  return items < 2 ? 0 : std::sqrt(share * (1 - share) / static_cast<double>(items - 1));
}

size_t characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

class ChoiceScorer {
 public:
  ChoiceScorer(Engine& engine, const Tokenizer& tokenizer)
      : engine_(engine),
        tokenizer_(tokenizer),
        capacity_(engine.model().arch.sizes.context),
        cache_(engine.device(), engine.model().arch, capacity_, DType::f32) {}

  // Of `continuation`, a space before it, after `context`. What the tokenizer makes of both together
  // is split where the context's own tokens end.
  Result<Likelihood> score(const std::string& context, const std::string& continuation) {
    const std::string trimmed = trim(context);
    const std::string tail = context.substr(trimmed.size());
    AWQ_ASSIGN(std::vector<TokenId> ids,
               tokenizer_.encode(cat(trimmed, tail.empty() ? " " : tail, continuation), {true, false}));
    AWQ_ASSIGN(const std::vector<TokenId> alone, tokenizer_.encode(trimmed, {true, false}));
    size_t begin = std::min(alone.size(), ids.size());
    const auto most = static_cast<size_t>(capacity_) + 1;
    if (ids.size() > most) {
      const size_t cut = ids.size() - most;
      ids.erase(ids.begin(), ids.begin() + static_cast<int64_t>(cut));
      begin = begin > cut ? begin - cut : 0;
    }
    if (ids.size() < 2) {  // the first token has nothing before it
      return bad_input(cat("\"", printable(continuation, 60), "\" has no token behind another"));
    }
    // A continuation that the tokenizer merged into its context has the last token.
    begin = std::clamp<size_t>(begin, 1, ids.size() - 1);
    AWQ_TRY(check_ids(engine_.model(), ids));
    return score_ids(ids, begin);
  }

 private:
  static std::string trim(const std::string& text) {
    const size_t last = text.find_last_not_of(" \t\r\n");
    return text.substr(0, last == std::string::npos ? 0 : last + 1);
  }

  Likelihood score_ids(const std::vector<TokenId>& ids, size_t begin) {
    // What is in the cache from the last choice stays; rows that are scored must be computed.
    size_t shared = 0;
    while (shared < cached_.size() && shared + 1 < begin && cached_[shared] == ids[shared]) ++shared;
    cache_.truncate(static_cast<int64_t>(shared));
    cached_.assign(ids.begin(), ids.end() - 1);
    Likelihood result;
    const auto end = static_cast<int64_t>(ids.size()) - 1;  // rows: the last token predicts nothing
    for (auto first = static_cast<int64_t>(shared); first < end; first += Engine::kChunk) {
      const int64_t rows = std::min(Engine::kChunk, end - first);
      const Feed feed{&cache_, std::span(ids).subspan(static_cast<size_t>(first),
                                                      static_cast<size_t>(rows))};
      const Matrix hidden = engine_.forward({&feed, 1});
      const int64_t scored = std::max(first, static_cast<int64_t>(begin) - 1);
      for (int64_t row = scored; row < first + rows; row += kScoredRows) {
        add_rows(ids, hidden, row, first, std::min(kScoredRows, first + rows - row), result);
      }
    }
    return result;
  }

  void add_rows(const std::vector<TokenId>& ids, Matrix hidden, int64_t row, int64_t first,
                int64_t count, Likelihood& result) {
    const auto targets =
        std::span(ids).subspan(static_cast<size_t>(row + 1), static_cast<size_t>(count));
    scores_.resize(static_cast<size_t>(count));
    const Matrix logits = engine_.logits(hidden.slice_rows(row - first, count));
    engine_.model().ops.score(engine_.device(), logits, targets, scores_.data());
    for (size_t i = 0; i < scores_.size(); ++i) {
      result.log -= scores_[i].nll;
      result.greedy &= scores_[i].top == targets[i];
    }
  }

  Engine& engine_;
  const Tokenizer& tokenizer_;
  int64_t capacity_;
  KvCache cache_;
  std::vector<TokenId> cached_;
  std::vector<RowScore> scores_;
};

}  // namespace

Status add_shots(std::vector<ChoiceItem>& items, int64_t shots) {
  if (shots == 0) return {};
  if (static_cast<size_t>(shots) >= items.size()) {
    return usage_error(cat("--shots ", shots, " of ", items.size(), " items leaves none to ask"));
  }
  std::string examples;
  for (size_t i = items.size() - static_cast<size_t>(shots); i < items.size(); ++i) {
    const ChoiceItem& item = items[i];
    const auto gold = static_cast<size_t>(item.gold);
    examples += cat(item.contexts[item.contexts.size() == 1 ? 0 : gold], " ",
                    item.continuations[item.continuations.size() == 1 ? 0 : gold], "\n\n");
  }
  items.resize(items.size() - static_cast<size_t>(shots));
  for (ChoiceItem& item : items) {
    for (std::string& context : item.contexts) context.insert(0, examples);
  }
  return {};
}

Result<ChoiceResult> measure_choices(Engine& engine, const Tokenizer& tokenizer,
                                     const std::vector<ChoiceItem>& items,
                                     const std::function<void(int64_t, double)>& progress) {
  ChoiceScorer scorer(engine, tokenizer);
  ChoiceResult result;
  double right = 0, right_normalized = 0, log_sum = 0;
  for (const ChoiceItem& item : items) {
    result.last_word = item.choices() == 1;
    int best = 0, best_normalized = 0;
    double most = -INFINITY, most_normalized = -INFINITY;
    for (size_t i = 0; i < item.choices(); ++i) {
      const std::string& context = item.contexts[item.contexts.size() == 1 ? 0 : i];
      const std::string& continuation = item.continuations[item.continuations.size() == 1 ? 0 : i];
      AWQ_ASSIGN(const Likelihood likelihood, scorer.score(context, continuation));
      if (!std::isfinite(likelihood.log)) {
        return runtime_error(cat("item ", result.items, ": the model gave a logit that is not finite"));
      }
      const double normalized =
          likelihood.log / static_cast<double>(std::max<size_t>(1, characters(continuation)));
      if (likelihood.log > most) most = likelihood.log, best = static_cast<int>(i);
      if (normalized > most_normalized) {
        most_normalized = normalized;
        best_normalized = static_cast<int>(i);
      }
      if (result.last_word) {
        best = best_normalized = likelihood.greedy ? 1 : 0;
        log_sum += likelihood.log;
      }
    }
    const int gold = result.last_word ? 1 : item.gold;
    right += best == gold;
    right_normalized += best_normalized == gold;
    result.chosen.push_back(best);
    ++result.items;
    if (progress) progress(result.items, right / static_cast<double>(result.items));
  }
  const auto count = static_cast<double>(result.items);
  result.accuracy = right / count;
  result.normalized = right_normalized / count;
  result.accuracy_stderr = standard_error(result.accuracy, result.items);
  result.normalized_stderr = standard_error(result.normalized, result.items);
  result.perplexity = std::exp(-log_sum / count);
  return result;
}

}  // namespace awq
