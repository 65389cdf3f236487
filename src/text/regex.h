// Regular expressions of tokenizer files on PCRE2 with its just-in-time compiler. Patterns are
// written for Oniguruma (what the reference tokenizers run) and are translated: \s and \w get
// Unicode's White_Space and word characters, nested classes are flattened, ^ and $ are per line.
// Patterns and subjects are untrusted: steps, depth and memory of a match are limited.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace awq {

struct Span {
  size_t begin = 0, end = 0;
  size_t size() const { return end - begin; }
};

/// The working memory of matches, one per thread, and the steps they may still take: a text is
/// matched once for each of its pieces, so a limit for each match alone would not bound the whole.
class RegexScratch {
 public:
  /// Allows the matches to come a fixed number of steps, and a few for each byte of text.
  void refill(size_t text_bytes);

  RegexScratch();
  RegexScratch(RegexScratch&&) noexcept;
  RegexScratch& operator=(RegexScratch&&) noexcept;
  ~RegexScratch();

 private:
  friend class Regex;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Immutable and shareable between threads.
class Regex {
 public:
  /// `where` begins error messages.
  static Result<Regex> compile(std::string_view pattern, std::string_view where);
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  /// The leftmost match at or after `from` in valid UTF-8; nothing when there is none. Error when
  /// the scratch's steps are used up or another limit is hit.
  Result<std::optional<Span>> find(std::string_view subject, size_t from,
                                   RegexScratch& scratch) const;

 private:
  struct Impl;
  explicit Regex(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Oniguruma's syntax as PCRE2's. Error for what has no equal (class intersection, "(*VERB)").
Result<std::string> translate_oniguruma(std::string_view pattern, std::string_view where);

}  // namespace awq
