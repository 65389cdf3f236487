#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>

#include "base/progress.h"
#include "runtime/generate.h"

namespace awq {
namespace {

// Rows of logits held at once: vocabularies are wide. A GPU is better used by more, while memory lasts.
int64_t logit_rows(Engine& engine) {
  constexpr int64_t kFewest = 64, kMost = 512;
  if (engine.device().host_visible()) return kFewest;
  const auto free = static_cast<int64_t>(std::min<uint64_t>(engine.device().available(), uint64_t{1} << 50));
  const int64_t row = engine.model().arch.sizes.vocab * static_cast<int64_t>(sizeof(float));
  return std::clamp(free / 8 / row, kFewest, kMost);
}

// Negative log-likelihoods of one model as windows pass.
class Scorer {
 public:
  Scorer(Engine& engine, DType kv) : engine_(engine), kv_(kv) {}

  void begin_window(int64_t window) {
    if (!cache_ || cache_->capacity() < window) {
      cache_.emplace(engine_.device(), engine_.model().arch, window, kv_);
    }
    cache_->truncate(0);
    window_ = window;
    window_nll_ = 0;
  }

  Matrix forward(std::span<const int32_t> tokens) {
    const Feed feed{&*cache_, tokens, window_};
    return engine_.forward({&feed, 1});
  }

  Matrix logits(Matrix hidden) { return engine_.logits(hidden); }

  void add(double nll) {
    window_nll_ += nll;
    sum_ += nll;
    squares_ += nll * nll;
    ++scored_;
  }

  void end_window(int64_t window) {
    per_window_.push_back(window_nll_ / static_cast<double>(window - 1));
  }

  double running_ppl() const {
    double sum = 0;
    for (const double nll : per_window_) sum += nll;
    return std::exp(sum / static_cast<double>(per_window_.size()));
  }

  PerplexityResult finish(const Windows& windows, double seconds) const {
    PerplexityResult result;
    result.ppl = running_ppl();
    const auto n = static_cast<double>(scored_);
    const double mean = sum_ / n;
    const double variance = std::max(0.0, squares_ / n - mean * mean);
    result.ppl_stderr = result.ppl * std::sqrt(variance / n);
    result.nll_per_window = per_window_;
    result.windows = windows.count;
    result.window = windows.window;
    result.tokens = windows.count * windows.window;
    result.tokens_per_second = static_cast<double>(result.tokens) / seconds;
    return result;
  }

 private:
  Engine& engine_;
  DType kv_;
  std::optional<KvCache> cache_;
  std::vector<double> per_window_;
  int64_t window_ = 0;
  double window_nll_ = 0, sum_ = 0, squares_ = 0;
  int64_t scored_ = 0;
};

// Calls f(first row, rows), `most` at a time, over the scored rows of a chunk: those with a next token in the window.
template <class F>
void for_scored_rows(int64_t chunk_begin, int64_t chunk_rows, int64_t window, int64_t most, F&& f) {
  const int64_t scored = std::min(chunk_rows, window - 1 - chunk_begin);
  for (int64_t first = 0; first < scored; first += most) {
    f(first, std::min(most, scored - first));
  }
}

// The tokens that rows [first, first + count) of a window are to predict.
std::span<const int32_t> targets(std::span<const int32_t> ids, int64_t first, int64_t count) {
  return ids.subspan(static_cast<size_t>(first + 1), static_cast<size_t>(count));
}

Error not_finite(int64_t window) {
  return runtime_error(cat("window ", window, ": the model gave a logit that is not finite"));
}

}  // namespace

Result<PerplexityResult> measure_perplexity(Engine& engine, const Windows& windows,
                                            const WindowProgress& progress, DType kv) {
  AWQ_TRY(check_ids(engine.model(), windows.tokens));
  const Timer timer;
  Scorer scorer(engine, kv);
  const int64_t most = logit_rows(engine), chunk = engine.pass_rows();
  std::vector<RowScore> scores(static_cast<size_t>(most));
  for (int64_t w = 0; w < windows.count; ++w) {
    const std::span<const int32_t> ids = windows[w];
    scorer.begin_window(windows.window);
    for (int64_t begin = 0; begin < windows.window; begin += chunk) {
      const int64_t rows = std::min(chunk, windows.window - begin);
      const Matrix hidden =
          scorer.forward(ids.subspan(static_cast<size_t>(begin), static_cast<size_t>(rows)));
      bool finite = true;
      for_scored_rows(begin, rows, windows.window, most, [&](int64_t first, int64_t count) {
        const Matrix logits = scorer.logits(hidden.slice_rows(first, count));
        engine.model().ops.score(engine.device(), logits, targets(ids, begin + first, count),
                                 scores.data());
        for (int64_t i = 0; i < count; ++i) {
          const double nll = scores[static_cast<size_t>(i)].nll;
          finite &= std::isfinite(nll);
          scorer.add(nll);
        }
      });
      if (!finite) return not_finite(w);
    }
    scorer.end_window(windows.window);
    if (progress) progress(w + 1, scorer.running_ppl());
  }
  return scorer.finish(windows, timer.seconds());
}

Result<CompareResult> compare_models(Engine& reference, Engine& model, const Windows& windows,
                                     const WindowProgress& progress, DType kv) {
  if (reference.model().arch.sizes.vocab != model.model().arch.sizes.vocab) {
    return bad_input(cat("the models have vocabularies of ", reference.model().arch.sizes.vocab,
                         " and ", model.model().arch.sizes.vocab,
                         " tokens; only models with the same vocabulary can be compared"));
  }
  AWQ_TRY(check_ids(model.model(), windows.tokens));
  const Timer timer;
  double seconds[2] = {0, 0};
  Scorer scorers[2] = {Scorer(reference, DType::f32), Scorer(model, kv)};
  std::vector<double> kl;
  const int64_t most = logit_rows(model), pass = std::min(reference.pass_rows(), model.pass_rows());
  std::vector<RowScore> scores[2] = {std::vector<RowScore>(static_cast<size_t>(most)),
                                     std::vector<RowScore>(static_cast<size_t>(most))};
  std::vector<double> kl_rows(static_cast<size_t>(most));
  int64_t same = 0;
  for (int64_t w = 0; w < windows.count; ++w) {
    const std::span<const int32_t> ids = windows[w];
    for (Scorer& scorer : scorers) scorer.begin_window(windows.window);
    for (int64_t begin = 0; begin < windows.window; begin += pass) {
      const int64_t rows = std::min(pass, windows.window - begin);
      const auto chunk = ids.subspan(static_cast<size_t>(begin), static_cast<size_t>(rows));
      Matrix hidden[2];
      for (int m = 0; m < 2; ++m) {
        const Timer timed;
        hidden[m] = scorers[m].forward(chunk);
        seconds[m] += timed.seconds();
      }
      bool finite = true;
      for_scored_rows(begin, rows, windows.window, most, [&](int64_t first, int64_t count) {
        Matrix logits[2];
        for (int m = 0; m < 2; ++m) {
          const Timer timed;
          logits[m] = scorers[m].logits(hidden[m].slice_rows(first, count));
          seconds[m] += timed.seconds();
        }
        const Ops& ops = model.model().ops;
        for (int m = 0; m < 2; ++m) {
          ops.score(model.device(), logits[m], targets(ids, begin + first, count),
                    scores[m].data());
        }
        ops.divergence(model.device(), logits[0], logits[1], scores[0].data(), scores[1].data(),
                       kl_rows.data());
        for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
          kl.push_back(kl_rows[i]);
          same += scores[0][i].top == scores[1][i].top;
          for (int m = 0; m < 2; ++m) {
            finite &= std::isfinite(scores[m][i].nll);
            scorers[m].add(scores[m][i].nll);
          }
        }
      });
      if (!finite) return not_finite(w);
    }
    for (Scorer& scorer : scorers) scorer.end_window(windows.window);
    if (progress) progress(w + 1, scorers[1].running_ppl());
  }
  CompareResult result;
  result.reference = scorers[0].finish(windows, seconds[0]);
  result.model = scorers[1].finish(windows, seconds[1]);
  for (const double value : kl) result.kl_mean += value / static_cast<double>(kl.size());
  std::sort(kl.begin(), kl.end());
  result.kl_p99 = kl[static_cast<size_t>(0.99 * static_cast<double>(kl.size() - 1))];
  result.kl_max = kl.back();
  result.top1_agreement = static_cast<double>(same) / static_cast<double>(kl.size());
  return result;
}

}  // namespace awq
