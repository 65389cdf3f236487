// What happens to text before it is split: normal forms, replacements, prefixes.
// Source: the tokenizers crate, normalizers/.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_trie.h"
#include "text/chars_map.h"
#include "text/json_fields.h"
#include "text/regex.h"
#include "text/unicode.h"

namespace awq {

/// A text or a regular expression to look for.
struct Pattern {
  std::string text;
  std::optional<Regex> regex;

  /// {"String": "..."} or {"Regex": "..."}.
  static Result<Pattern> from_json(const JsonField& field);

  /// Calls `visit(Span)`, which returns a Status, for all matches in order. An empty match where
  /// the one before ended does not count, as in the reference.
  template <class Visit>
  Status for_each_match(std::string_view subject, RegexScratch& scratch, Visit&& visit) const;

 private:
  Result<std::optional<Span>> find(std::string_view subject, size_t from,
                                   RegexScratch& scratch) const;
};

template <class Visit>
Status Pattern::for_each_match(std::string_view subject, RegexScratch& scratch,
                               Visit&& visit) const {
  size_t last_end = std::string_view::npos;
  for (size_t from = 0; from <= subject.size() && !subject.empty();) {
    AWQ_ASSIGN(const std::optional<Span> match, find(subject, from, scratch));
    if (!match) break;
    from = match->end;
    if (match->size() > 0 || match->end != last_end) AWQ_TRY(visit(*match));
    last_end = match->end;
    if (match->size() > 0) continue;
    if (from == subject.size()) break;
    next_character(subject, from);
  }
  return {};
}

class Normalizer {
 public:
  /// The "normalizer" of tokenizer.json; null gives one that changes nothing.
  static Result<Normalizer> from_json(const JsonField& field);

  bool empty() const { return steps_.empty(); }

  /// Character maps replace their longest keys, as SentencePiece does, not graphemes, as the
  /// tokenizers crate does; and nothing of `kept`.
  void map_longest(ByteTrie kept) {
    map_longest_ = true;
    kept_ = std::move(kept);
  }

  /// The normalized `text` (valid UTF-8, and so is the result). Error when a limit of a regular
  /// expression is hit or when the text grows out of all proportion.
  Result<std::string> apply(std::string_view text, RegexScratch& scratch) const;

 private:
  enum class Kind { form, lowercase, strip_accents, strip, replace, prepend, bytes, map };
  struct Step {
    Kind kind = Kind::form;
    NormalForm form = NormalForm::nfc;
    bool strip_left = false, strip_right = false;
    Pattern pattern;
    std::string content;
    CharsMap map;
  };

  Status add(const JsonField& field, int depth);
  Status apply_step(const Step& step, std::string& text, size_t limit, RegexScratch& scratch) const;

  std::vector<Step> steps_;
  bool map_longest_ = false;
  ByteTrie kept_;
};

/// How long a text of `size` bytes may become: nested steps must not blow a file up.
inline size_t growth_limit(size_t size) { return 64 * size + (size_t{1} << 20); }

/// `text` with every match replaced. Error when it would grow over `limit` bytes.
Result<std::string> replace_all(std::string_view text, const Pattern& pattern,
                                std::string_view content, size_t limit, RegexScratch& scratch);

}  // namespace awq
