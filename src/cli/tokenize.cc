// awq tokenize: text to token ids.
#include <unistd.h>

#include <iostream>
#include <iterator>

#include "base/file.h"
#include "cli/verb.h"

namespace awq {
namespace {

struct TokenizeOptions {
  std::string model, text, file;
  bool json = false, no_special = false, plain = false;
};

Status tokenize(const TokenizeOptions& options) {
  AWQ_ASSIGN(const OpenCheckpoint source, OpenCheckpoint::open(options.model));
  std::string text = options.text;
  if (!options.file.empty()) {
    AWQ_ASSIGN(text, read_file(options.file));
  } else if (text.empty() && ::isatty(STDIN_FILENO) == 0) {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  }
  const Tokenizer& tokenizer = source.vocabulary->tokenizer;
  AWQ_ASSIGN(const std::vector<TokenId> ids,
             tokenizer.encode(text, {!options.no_special, !options.plain}));
  if (options.json) return print_json({{"ids", ids}, {"count", ids.size()}});
  std::string out;
  for (const TokenId id : ids) {
    out += cat(id, "\t", printable(tokenizer.token_text(id)), "\n");
  }
  return print(out);
}

}  // namespace

void add_tokenize(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* verb = app.add_subcommand("tokenize", "show the tokens of a text");
  add_model_argument(*verb, options->model);
  auto* text = verb->add_option("TEXT", options->text, "the text (default: standard input)");
  verb->add_option("--text-file", options->file, "read the text from a file")->type_name("FILE")->excludes(text);
  verb->add_flag("--no-special", options->no_special, "do not add begin or end tokens");
  verb->add_flag("--plain", options->plain, "treat text that spells a special token as plain text");
  add_json_option(*verb, options->json);
  verb->footer("Example:\n  awq tokenize ./SmolLM2-135M \"Hello world\" --json");
  verb->callback([options, &outcome] { outcome.status = tokenize(*options); });
}

}  // namespace awq
