// From a text file to evaluation windows, as the papers' code does it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace awq {

enum class Protocol {
  plain,      ///< the file as it is
  wikitext2,  ///< the file's lines as rows of the data set, joined with two newlines
};

Result<Protocol> parse_protocol(std::string_view name);

/// The rows of the raw WikiText file: a line that is blank after strip is the empty row, others keep
/// their newline; rows are joined with "\n\n" (GPTQ's and AWQ's evaluation code).
std::string join_wikitext_rows(std::string_view raw);

/// Reads a text file under a protocol.
Result<std::string> read_text(const std::string& path, Protocol protocol);

/// Consecutive windows without overlap; the remainder is dropped, unless it is all there is.
struct Windows {
  std::vector<TokenId> tokens;
  int64_t window = 0, count = 0;
  std::span<const TokenId> operator[](int64_t i) const {
    return std::span(tokens).subspan(static_cast<size_t>(i * window), static_cast<size_t>(window));
  }
};

/// `max_windows` 0: all. Error when the text has fewer than two tokens.
Result<Windows> cut_windows(std::vector<TokenId> tokens, int64_t window, int64_t max_windows);

}  // namespace awq
