#include "eval/text_protocol.h"

#include <algorithm>

#include "base/file.h"

namespace awq {

Result<Protocol> parse_protocol(std::string_view name) {
  if (name == "plain") return Protocol::plain;
  if (name == "wikitext2") return Protocol::wikitext2;
  return usage_error(cat("--protocol ", name, ": expected plain or wikitext2"));
}

std::string join_wikitext_rows(std::string_view raw) {
  std::string text;
  bool first = true;
  while (!raw.empty()) {
    const size_t end = raw.find('\n');
    const std::string_view line = raw.substr(0, end == std::string_view::npos ? end : end + 1);
    if (!first) text += "\n\n";
    first = false;
    if (line.find_first_not_of(" \t\r\n\f\v") != std::string_view::npos) text += line;
    raw.remove_prefix(line.size());
  }
  return text;
}

Result<std::string> read_text(const std::string& path, Protocol protocol) {
  AWQ_ASSIGN(std::string text, read_file(path));
  if (protocol == Protocol::wikitext2) return join_wikitext_rows(text);
  return text;
}

Result<Windows> cut_windows(std::vector<TokenId> tokens, int64_t window, int64_t max_windows) {
  const auto total = static_cast<int64_t>(tokens.size());
  if (total < 2) {
    return bad_input(cat("the text has ", total, " tokens; at least 2 are needed to score one"));
  }
  Windows result{std::move(tokens), std::min(window, total), 0};
  result.count = total / result.window;
  if (max_windows > 0) result.count = std::min(result.count, max_windows);
  return result;
}

}  // namespace awq
