#include "session/passages.h"

#include <algorithm>
#include <random>

namespace awq {
namespace {

// Where the first blank line from `from` on ends, in either convention of line ends.
size_t passage_end(std::string_view text, size_t from) {
  for (size_t at = text.find('\n', from); at != std::string_view::npos;
       at = text.find('\n', at + 1)) {
    if (text.substr(at + 1, 1) == "\n") return at + 2;
    if (text.substr(at + 1, 2) == "\r\n") return at + 3;
  }
  return text.size();
}

// Passages between blank lines, joined until they have some length: titles stay with their text.
std::vector<std::string_view> passages(std::string_view text) {
  constexpr size_t kShortest = 1024;
  std::vector<std::string_view> result;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = passage_end(text, std::min(text.size(), begin + kShortest));
    result.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return result;
}

}  // namespace

Result<std::vector<TokenId>> sample_passages(const Tokenizer& tokenizer, std::string_view text,
                                             std::string_view origin,
                                             const SampleOptions& options) {
  std::vector<std::string_view> parts = passages(text);
  std::mt19937_64 random(options.seed);
  for (size_t i = parts.size(); i > 1; --i) std::swap(parts[i - 1], parts[random() % i]);
  const auto wanted = static_cast<size_t>(options.samples * options.length);
  std::vector<TokenId> tokens;
  for (const std::string_view part : parts) {
    if (tokens.size() >= wanted) break;
    AWQ_ASSIGN(const auto ids, tokenizer.encode(part, {true, false}));
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  }
  const int64_t sequences = std::min<int64_t>(
      options.samples, static_cast<int64_t>(tokens.size()) / options.length);
  if (sequences == 0) {
    return bad_input(cat(origin, ": ", tokens.size(),
                         " tokens of calibration text, less than one sequence of ", options.length,
                         "; use more text, a smaller --calib-length, or --calib self"));
  }
  tokens.resize(static_cast<size_t>(sequences * options.length));
  return tokens;
}

}  // namespace awq
