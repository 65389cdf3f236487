// awq study: a table or figure of the paper on a model of one's own.
#include "study/study.h"

#include "base/file.h"
#include "base/progress.h"
#include "cli/calibration_text.h"
#include "cli/evaluate.h"
#include "cli/verb.h"
#include "quant/method.h"
#include "report/study_page.h"

namespace awq {
namespace {

struct StudyArguments {
  std::string name, model, text, protocol = "plain", html, out, domains, group = "auto";
  CalibrationText calibration;
  BackendOptions backend;
  StudySettings settings;
  bool json = false, no_kl = false;
};

std::string study_names() {
  std::string names;
  for (const Study& study : studies()) append_item(names, study.name);
  return names;
}

Result<const Study*> find_study(const std::string& name) {
  for (const Study& study : studies()) {
    if (study.name == name) return &study;
  }
  std::vector<std::string> names;
  for (const Study& study : studies()) names.emplace_back(study.name);
  const std::string_view near = nearest_name(name, names);
  return usage_error(cat("no study \"", printable(name, 40), "\"; there are ", study_names(),
                         near.empty() ? std::string() : cat("; did you mean ", near, "?")));
}

// What was not given comes from AWQ_DATA, said aloud.
Status fill_texts(const CLI::App& verb, StudyArguments& options) {
  if (options.text.empty()) {
    options.text = data_file("wikitext2/wiki.test.raw");
    if (options.text.empty()) {
      return usage_error("--text FILE is required: the text to evaluate on (or set AWQ_DATA)");
    }
    options.protocol = "wikitext2";
    say(cat("evaluating on ", options.text, ", --protocol wikitext2"));
  }
  const std::string calibration = data_file("calibration/c4.utf8");
  if (verb.count("--calib") == 0 && !calibration.empty()) {
    options.calibration.source = calibration;
    say(cat("calibrating on ", calibration));
  }
  if (options.domains.empty()) {
    options.settings.domain_a = data_file("pubmed/abstracts.jsonl");
    options.settings.domain_b = data_file("enron/emails.jsonl");
    return {};
  }
  const size_t comma = options.domains.find(',');
  if (comma == std::string::npos) return usage_error("--domains takes two files: A.jsonl,B.jsonl");
  options.settings.domain_a = options.domains.substr(0, comma);
  options.settings.domain_b = options.domains.substr(comma + 1);
  return {};
}

// Options that a study would pass over.
Status check_use(const CLI::App& verb, const StudyArguments& options) {
  const auto refuse = [&](const char* option, std::string_view why) {
    return verb.count(option) == 0
               ? Status()
               : usage_error(cat(option, " says nothing to `study ", options.name, "`: ", why));
  };
  if (options.name == "int2") AWQ_TRY(refuse("--bits", "it is about 2 bits"));
  if (options.name == "perplexity" && options.settings.bits != 3 && options.settings.bits != 4) {
    AWQ_TRY(refuse("--bits", "it has 3 and 4 bits"));
  }
  if (options.name == "groups") AWQ_TRY(refuse("--group", "it goes through them"));
  if (options.name != "calibration") AWQ_TRY(refuse("--domains", "two kinds of text are of `study calibration`"));
  return {};
}

// The words of the command line, as they could be typed again.
std::string command_line(const StudyArguments& options) {
  std::string command = cat("awq study ", options.name, " ", options.model, " --text ", options.text,
                            " --protocol ", options.protocol, " --calib ",
                            options.calibration.source, " --calib-samples ",
                            options.settings.samples, " --calib-length ", options.settings.length,
                            " --window ", options.settings.window, " --seed ", options.settings.seed);
  if (options.settings.group > 0) command += cat(" --group ", options.settings.group);
  if (options.settings.bits > 0) command += cat(" --bits ", options.settings.bits);
  if (options.settings.max_windows > 0) command += cat(" --limit ", options.settings.max_windows);
  if (options.no_kl) command += " --no-kl";
  return command;
}

Status study(const CLI::App& verb, StudyArguments& options, std::string_view version) {
  const Timer timer;
  AWQ_ASSIGN(const Study* chosen, find_study(options.name));
  AWQ_TRY(fill_texts(verb, options));
  AWQ_TRY(check_use(verb, options));
  std::vector<std::string> others = {options.text, options.calibration.source, options.settings.domain_a,
                                     options.settings.domain_b, options.model};
  AWQ_TRY(check_output("-o", options.out, others));
  others.push_back(options.out);
  AWQ_TRY(check_output("--html", options.html, others));
  AWQ_ASSIGN(const Backend backend, open_backend(options.backend));
  AWQ_ASSIGN(Session session, Session::open(options.model, backend.ops));
  const Arch& arch = session.model().arch;
  if (session.reader().quantization()) {
    return bad_input(cat(printable(options.model), ": already quantized; a study needs the float "
                         "checkpoint it was made from"));
  }
  AWQ_TRY(fit_to_context(verb, arch, options.calibration));
  StudySettings& settings = options.settings;
  settings.samples = options.calibration.samples;
  settings.length = options.calibration.length;
  settings.seed = options.calibration.seed;
  settings.window = std::min(settings.window, arch.sizes.context);
  settings.divergence = !options.no_kl;
  if (options.group == "auto") {
    AWQ_ASSIGN(settings.group, auto_group(arch));
  } else {
    settings.group = options.group == "none" ? 0 : std::stoll(options.group);
  }
  AWQ_ASSIGN(Windows windows,
             prepare_windows({options.text, options.protocol, settings.window, settings.max_windows},
                             session.tokenizer(), arch));
  say(cat(settings.samples, " x ", settings.length, " calibration tokens"));
  StudyContext context(settings, session.reader(), session.engine(), session.tokenizer(),
                       std::move(windows), [&](int64_t samples, bool self) {
                         CalibrationText text = options.calibration;
                         text.samples = samples;
                         if (self) text.source = "self";
                         return calibration_tokens(session.source(), text, backend.ops);
                       });
  const int64_t evaluated = context.windows().count;
  AWQ_ASSIGN(const StudyResult result, chosen->run(context));
  Json document = {{"study", options.name},
                   {"model", options.model},
                   {"family", arch.family},
                   {"parameters", parameter_count(arch)},
                   {"command", command_line(options)},
                   {"version", version},
                   {"machine", backend.device->description()},
                   {"backend", backend.ops.name},
                   {"model_fingerprint", session.checkpoint().fingerprint()},
                   {"windows", evaluated},
                   {"window", context.windows().window},
                   {"calibration_sequences", settings.samples},
                   {"calibration_length", settings.length},
                   {"total_seconds", timer.seconds()},
                   {"sections", Json::array({study_json(result)})}};
  if (!options.out.empty()) AWQ_TRY(write_file(options.out, dump_json(document, 1) + "\n"));
  if (!options.html.empty()) {
    AWQ_ASSIGN(const std::string page, study_page({document}));
    AWQ_TRY(write_file(options.html, page));
    say(cat("wrote ", printable(options.html)));
  }
  if (options.json) return print_json(document);
  AWQ_ASSIGN(const std::string tables, study_tables(document["sections"], "study"));
  return print(cat(tables, "\n", evaluated, " windows of ", context.windows().window, " tokens, ",
                   settings.samples, " x ", settings.length, " calibration tokens, ",
                   human_seconds(timer.seconds()), " on ", backend.device->description(), "\n"));
}

}  // namespace

void add_study(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<StudyArguments>();
  CLI::App* verb = app.add_subcommand("study", "a table or figure of the AWQ paper on your model");
  verb->add_option("NAME", options->name, study_names())->required();
  add_model_argument(*verb, options->model);
  verb->add_option("--text", options->text,
                   "the text to evaluate on (default: WikiText-2 test in AWQ_DATA)")
      ->type_name("FILE");
  verb->add_option("--protocol", options->protocol,
                   "plain: the file as it is; wikitext2: its lines joined as the data set's rows")
      ->check(CLI::IsMember({"plain", "wikitext2"}))
      ->capture_default_str();
  add_calibration_options(*verb, options->calibration);
  verb->add_option("--bits", options->settings.bits, "bits of a weight (default: the table's)")
      ->check(CLI::IsMember({2, 3, 4, 8}));
  verb->add_option("--group", options->group, "inputs that share a scale")
      ->check(CLI::IsMember({"auto", "16", "32", "64", "128", "256", "none"}))
      ->capture_default_str();
  verb->add_option("--window", options->settings.window,
                   "tokens of a window, the model's context if that is shorter")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 20))
      ->capture_default_str();
  verb->add_option("--limit", options->settings.max_windows, "evaluate the first N windows only")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  verb->add_flag("--no-kl", options->no_kl, "perplexity alone: half the time of evaluation");
  verb->add_option("--domains", options->domains,
                   "calibration: two JSONL files with \"text\" (default: PubMed, Enron in AWQ_DATA)")
      ->type_name("A,B");
  verb->add_option("--html", options->html, "also write a page to look at")->type_name("FILE");
  verb->add_option("-o,--output", options->out, "also write the JSON to a file")->type_name("FILE");
  add_backend_options(*verb, options->backend);
  add_json_option(*verb, options->json);
  verb->footer(
      "Examples:\n  awq study ablation ./SmolLM2-135M --text wiki.test.raw --protocol wikitext2\n"
      "  awq study int2 ./SmolLM2-135M --text book.txt --calib-samples 32 --limit 4 --html int2.html");
  verb->callback([options, verb, &outcome] { outcome.status = study(*verb, *options, outcome.version); });
}

}  // namespace awq
