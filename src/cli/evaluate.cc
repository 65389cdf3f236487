#include "cli/evaluate.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "base/file.h"
#include "base/progress.h"

namespace awq {

void add_text_options(CLI::App& verb, TextOptions& options) {
  verb.add_option("--text", options.text, "the text file to score")->required()->type_name("FILE");
  verb.add_option("--protocol", options.protocol,
                  "plain: the file as it is; wikitext2: its lines joined as the data set's rows")
      ->check(CLI::IsMember({"plain", "wikitext2"}))
      ->capture_default_str();
  verb.add_option("--window", options.window,
                  "tokens of a window (default: 2048, or the model's context if shorter)")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 20));
  verb.add_option("--max-windows", options.max_windows, "score the first N windows only")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
}

Result<Windows> prepare_windows(const TextOptions& options, const Tokenizer& tokenizer,
                                const Arch& arch) {
  AWQ_ASSIGN(const Protocol protocol, parse_protocol(options.protocol));
  AWQ_ASSIGN(const std::string text, read_text(options.text, protocol));
  AWQ_ASSIGN(std::vector<TokenId> tokens, tokenizer.encode(text, {true, false}));
  int64_t window = options.window;
  if (window == 0) {
    window = std::min<int64_t>(2048, arch.sizes.context);
    if (window < 2048) say(cat("window ", window, ": the context of this model"));
  } else if (window > arch.sizes.context) {
    say(cat("warning: a window of ", window, " is longer than the model's context of ",
            arch.sizes.context));
  }
  const size_t count = tokens.size();
  if (count < 2) {
    return bad_input(cat(printable(options.text), ": ", count, " tokens; at least 2 are needed to ",
                         "score one"));
  }
  AWQ_ASSIGN(Windows windows, cut_windows(std::move(tokens), window, options.max_windows));
  say(cat(count, " tokens, ", windows.count, " windows of ", windows.window));
  return windows;
}

std::string data_file(std::string_view name) {
  const char* data = std::getenv("AWQ_DATA");
  if (data == nullptr || *data == 0) return {};
  const std::string path = path_join(data, name);
  return file_exists(path) ? path : std::string();
}

Json perplexity_json(const PerplexityResult& result) {
  return {{"ppl", result.ppl},
          {"ppl_stderr", result.ppl_stderr},
          {"nll_per_window", result.nll_per_window},
          {"windows", result.windows},
          {"window", result.window},
          {"tokens", result.tokens},
          {"tokens_per_second", result.tokens_per_second}};
}

WindowProgress window_progress(const Windows& windows) {
  auto progress = std::make_shared<Progress>("window", windows.count);
  return [progress](int64_t done, double ppl) {
    progress->update(done, cat("ppl ", fixed(ppl, 4)));
  };
}

}  // namespace awq
