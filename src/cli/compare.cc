// awq compare: what quantization changed, against the model it was made from.
#include "base/progress.h"
#include "cli/evaluate.h"

namespace awq {
namespace {

struct CompareOptions {
  std::string reference;
  ModelOptions model;
  TextOptions text;
  std::string kv_cache = "f32";
};

Json compare_json(const CompareResult& result) {
  Json json = perplexity_json(result.model);
  json["ppl_reference"] = result.reference.ppl;
  json["ppl_reference_stderr"] = result.reference.ppl_stderr;
  json["nll_per_window_reference"] = result.reference.nll_per_window;
  json["tokens_per_second_reference"] = result.reference.tokens_per_second;
  json["kl_mean"] = result.kl_mean;
  json["kl_p99"] = result.kl_p99;
  json["kl_max"] = result.kl_max;
  json["top1_agreement"] = result.top1_agreement;
  json["peak_rss_bytes"] = peak_rss_bytes();
  return json;
}

Status compare(const CompareOptions& options) {
  AWQ_ASSIGN(const Backend backend, open_backend(options.model.backend));
  AWQ_ASSIGN(const DType kv, kv_cache_dtype(options.kv_cache, backend.ops));
  AWQ_ASSIGN(Session reference, Session::open(options.reference, backend.ops));
  AWQ_ASSIGN(Session model, Session::open(options.model.model, backend.ops));
  AWQ_ASSIGN(const Windows windows,
             prepare_windows(options.text, reference.tokenizer(), reference.model().arch));
  AWQ_ASSIGN(const CompareResult result,
             compare_models(reference.engine(), model.engine(), windows,
                            window_progress(windows), kv));
  if (options.model.json) {
    Json json = compare_json(result);
    json["bytes"] = model.checkpoint().file_bytes();
    json["bytes_reference"] = reference.checkpoint().file_bytes();
    return print_json(json);
  }
  return print(cat("reference perplexity ", fixed(result.reference.ppl, 4), " +- ",
                   fixed(result.reference.ppl_stderr, 4), "\nmodel perplexity     ",
                   fixed(result.model.ppl, 4), " +- ", fixed(result.model.ppl_stderr, 4),
                   "\nKL mean ", fixed(result.kl_mean, 6), ", p99 ", fixed(result.kl_p99, 5),
                   ", max ", fixed(result.kl_max, 4), "\nsame most likely token ",
                   fixed(100 * result.top1_agreement, 2), "%\n"));
}

}  // namespace

void add_compare(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<CompareOptions>();
  CLI::App* verb = app.add_subcommand("compare", "perplexity and KL of a model against a reference");
  verb->add_option("REFERENCE", options->reference, "the model it was made from")->required();
  add_model_options(*verb, options->model);
  add_text_options(*verb, options->text);
  add_kv_cache_option(*verb, options->kv_cache);
  verb->footer("Example:\n  awq compare ./SmolLM2-135M ./smollm2-awq --text wiki.test.raw "
               "--protocol wikitext2 --max-windows 16");
  verb->callback([options, &outcome] { outcome.status = compare(*options); });
}

}  // namespace awq
