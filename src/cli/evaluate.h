// What the verbs that evaluate share: options, texts, answers.
#pragma once

#include "cli/verb.h"
#include "eval/perplexity.h"

namespace awq {

struct TextOptions {
  std::string text, protocol = "plain";
  int64_t window = 0;  ///< 0: 2048, or the model's context where that is shorter
  int64_t max_windows = 0;
};

void add_text_options(CLI::App& verb, TextOptions& options);

/// Reads, tokenizes and cuts the text for a model.
Result<Windows> prepare_windows(const TextOptions& options, const Tokenizer& tokenizer,
                                const Arch& arch);

/// The path of a file below AWQ_DATA; empty where there is none.
std::string data_file(std::string_view name);

Json perplexity_json(const PerplexityResult& result);

/// Progress lines for window loops.
WindowProgress window_progress(const Windows& windows);

}  // namespace awq
