// Perplexity of a model on a text, and its distance from a reference model on the same tokens.
#pragma once

#include <functional>
#include <vector>

#include "eval/text_protocol.h"
#include "runtime/engine.h"

namespace awq {

struct PerplexityResult {
  double ppl = 0;         ///< exp of the mean over windows of the mean NLL of the window
  double ppl_stderr = 0;  ///< standard error, from the spread of the tokens' NLL
  std::vector<double> nll_per_window;
  int64_t windows = 0, window = 0, tokens = 0;  ///< tokens: all fed
  double tokens_per_second = 0;
};

struct CompareResult {
  PerplexityResult reference, model;
  /// KL(reference || model) per scored position, in nats.
  double kl_mean = 0, kl_p99 = 0, kl_max = 0;
  double top1_agreement = 0;  ///< share of positions with the same most likely token
};

using WindowProgress = std::function<void(int64_t windows_done, double running_ppl)>;

/// Every position of a window but the first is scored, with the window's own context only, keys and
/// values kept as `kv`.
Result<PerplexityResult> measure_perplexity(Engine& engine, const Windows& windows,
                                            const WindowProgress& progress = {},
                                            DType kv = DType::f32);

/// Both models see the same ids. Their vocabularies must have the same size. `kv`: of the model; the
/// reference keeps f32.
Result<CompareResult> compare_models(Engine& reference, Engine& model, const Windows& windows,
                                     const WindowProgress& progress = {}, DType kv = DType::f32);

}  // namespace awq
