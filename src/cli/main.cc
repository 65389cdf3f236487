// The command line: finds the verb, maps errors to exit codes.
#include <awq_version.h>

#include <clocale>
#include <csignal>
#include <cstdio>
#include <vector>

#include "base/progress.h"
#include "cli/help.h"
#include "cli/verb.h"

namespace awq {
namespace {

constexpr const char* kFooter = R"(Examples:
  awq quantize ./SmolLM2-135M -o ./smollm2-awq
  awq chat ./smollm2-awq
  awq compare ./SmolLM2-135M ./smollm2-awq --text wiki.test.raw --protocol wikitext2
Exit codes: 0 ok, 1 runtime error, 2 usage, 3 bad input, 4 network, 5 out of memory or disk.)";

// "did you mean" for the first word that is neither a known verb nor a known option.
std::string suggestion(const CLI::App& app, const std::vector<std::string>& words) {
  std::vector<std::string> verbs;
  for (const CLI::App* verb : app.get_subcommands(nullptr)) verbs.push_back(verb->get_name());
  const CLI::App* scope = &app;
  for (const std::string& word : words) {
    if (word.rfind("--", 0) == 0) {
      std::vector<std::string> names;
      for (const CLI::Option* option : scope->get_options()) {
        for (const std::string& name : option->get_lnames()) names.push_back(name);
      }
      const std::string name = word.substr(2, word.find('=') - 2);
      const std::string_view near = nearest_name(name, names);
      if (!near.empty() && near != name) return cat("did you mean --", near, "?");
    } else if (scope == &app) {
      const std::string_view near = nearest_name(word, verbs);
      if (near == word) {
        scope = app.get_subcommand(word);
      } else {
        return near.empty() ? cat("verbs: see awq --help") : cat("did you mean ", near, "?");
      }
    }
  }
  return {};
}

// --quiet does not silence what went wrong.
void report_error(const std::string& message) {
  // Some of it may be the words of a file, such as a template's raise_exception.
  const std::string line = cat("awq: ", printable(message, 4000), "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

int report_usage(const CLI::App& app, const std::vector<std::string>& words,
                 const std::string& message) {
  const std::string hint = suggestion(app, words);
  report_error(cat(message, hint.empty() ? "" : cat("; ", hint)));
  return static_cast<int>(ErrorKind::usage);
}

int run(int argc, char** argv) {
  CLI::App app("awq: quantize language models with AWQ, measure the loss, run the result", "awq");
  app.formatter(std::make_shared<HelpFormatter>());  // inherited by the verbs
  app.set_version_flag("--version", AWQ_VERSION);
  app.footer(kFooter);
  app.require_subcommand(0, 1);
  bool quiet = false;
  app.add_flag("-q,--quiet", quiet, "no progress on stderr");
  app.parse_complete_callback([&] { set_quiet(quiet); });

  Outcome outcome;
  outcome.version = AWQ_VERSION;
  add_inspect(app, outcome);
  add_quantize(app, outcome);
  add_perplexity(app, outcome);
  add_compare(app, outcome);
  add_generate(app, outcome);
  add_chat(app, outcome);
  add_bench(app, outcome);
  add_tokenize(app, outcome);
  add_eval(app, outcome);
  add_study(app, outcome);
  add_report(app, outcome);
  add_doctor(app, outcome);
  for (CLI::App* verb : app.get_subcommands(nullptr)) verb->fallthrough();  // -q after the verb

  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    const Status status = print(chosen.empty() ? app.help() : chosen.front()->help("awq"));
    return status.ok() ? 0 : 1;
  } catch (const CLI::CallForVersion&) {
    const Status status = print(cat("awq ", AWQ_VERSION, "\n"));
    return status.ok() ? 0 : 1;
  } catch (const CLI::ParseError& error) {
    return report_usage(app, words, error.what());
  }
  if (app.get_subcommands().empty()) {
    const Status status = print(app.help());
    return status.ok() ? 0 : 1;
  }
  if (outcome.status.ok()) return 0;
  const Error& error = outcome.status.error();
  report_error(error.message);
  return static_cast<int>(error.kind);
}

}  // namespace
}  // namespace awq

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file beyond the limit is an error of its writer, as a full disk is
  try {
    return awq::run(argc, argv);
  } catch (const awq::DeviceMemoryError& error) {
    std::fprintf(stderr, "awq: %s\n", error.what());
    return 5;
  } catch (const std::bad_alloc&) {
    std::fputs("awq: out of memory; use a smaller model, context or calibration set\n", stderr);
    return 5;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "awq: internal error: %s\n", awq::printable(error.what()).c_str());
    return 1;
  }
}
