// awq perplexity: how well a model predicts a text.
#include "base/progress.h"
#include "cli/evaluate.h"

namespace awq {
namespace {

struct PerplexityOptions {
  ModelOptions model;
  TextOptions text;
  std::string kv_cache = "f32";
};

Status perplexity(const PerplexityOptions& options) {
  AWQ_ASSIGN(Session session, Session::open(options.model.model, options.model.backend));
  AWQ_ASSIGN(const DType kv, kv_cache_dtype(options.kv_cache, session.model().ops));
  AWQ_ASSIGN(const Windows windows,
             prepare_windows(options.text, session.tokenizer(), session.model().arch));
  AWQ_ASSIGN(const PerplexityResult result,
             measure_perplexity(session.engine(), windows, window_progress(windows), kv));
  if (options.model.json) {
    Json json = perplexity_json(result);
    json["bytes"] = session.checkpoint().file_bytes();
    json["peak_rss_bytes"] = peak_rss_bytes();
    return print_json(json);
  }
  return print(cat("perplexity ", fixed(result.ppl, 4), " +- ", fixed(result.ppl_stderr, 4), " (",
                   result.windows, " windows of ", result.window, ", ",
                   fixed(result.tokens_per_second, 0), " tokens/s)\n"));
}

}  // namespace

void add_perplexity(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<PerplexityOptions>();
  CLI::App* verb = app.add_subcommand("perplexity", "measure perplexity on a text");
  add_model_options(*verb, options->model);
  add_text_options(*verb, options->text);
  add_kv_cache_option(*verb, options->kv_cache);
  verb->footer("Example:\n  awq perplexity ./smollm2-awq --text wiki.test.raw --protocol wikitext2");
  verb->callback([options, &outcome] { outcome.status = perplexity(*options); });
}

}  // namespace awq
