// awq tokenize: text to token ids.
#include <unistd.h>

#include <array>
#include <filesystem>
#include <iostream>
#include <optional>

#include "base/file.h"
#include "cli/verb.h"

namespace awq {
namespace {

// Ids are 32-bit and so is what a tokenizer counts; a file is refused before it is read.
constexpr size_t kMaxText = 0x7FFFFFFF;

struct TokenizeOptions {
  std::string model, file;
  std::optional<std::string> text;
  bool json = false, no_special = false, plain = false;
};

Result<std::string> read_input(const TokenizeOptions& options) {
  if (options.text) return *options.text;
  if (!options.file.empty()) {
    std::error_code ignored;
    const auto size = std::filesystem::file_size(options.file, ignored);
    if (!ignored && size > kMaxText) {
      return usage_error(cat(printable(options.file), ": the text is too long: ", size,
                             " bytes, the limit is ", kMaxText));
    }
    return read_file(options.file, kMaxText);
  }
  std::string text;
  if (::isatty(STDIN_FILENO) != 0) return text;
  std::array<char, 1 << 16> part;
  while (std::cin.read(part.data(), part.size()), std::cin.gcount() > 0) {
    text.append(part.data(), static_cast<size_t>(std::cin.gcount()));
    if (text.size() > kMaxText) {
      return usage_error(cat("the text is too long: standard input has more than ", kMaxText,
                             " bytes"));
    }
  }
  return text;
}

Status tokenize(const TokenizeOptions& options) {
  AWQ_ASSIGN(const std::string text, read_input(options));
  AWQ_ASSIGN(const OpenCheckpoint source, OpenCheckpoint::open(options.model));
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
