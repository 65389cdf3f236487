// SentencePiece's precompiled character maps: a double array that maps texts to their normal forms.
// Layout: the size in bytes of the array (32 bits, little-endian), the array (32-bit units), and
// replacements that end with a NUL each; a leaf holds where its replacement begins. Sources:
// SentencePiece's normalizer.cc and darts.h, the spm_precompiled crate.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/byte_trie.h"

namespace awq {

class CharsMap {
 public:
  /// Error when the sizes do not fit or the replacements are not UTF-8. Units of the array may say
  /// anything: what leads out of it, or out of the replacements, is no match.
  static Result<CharsMap> parse(std::string_view bytes, std::string_view where);

  /// The same from base64, as tokenizer.json has it.
  static Result<CharsMap> parse_base64(std::string_view text, std::string_view where);

  struct Match {
    size_t length = 0;  ///< bytes of the text
    std::string_view replacement;
  };

  /// The shortest or the longest key that `text` begins with.
  std::optional<Match> shortest(std::string_view text) const { return find(text, false); }
  std::optional<Match> longest(std::string_view text) const { return find(text, true); }

  /// `text` (valid UTF-8) as the tokenizers crate maps it: a grapheme of at most five bytes that
  /// begins with a key becomes the replacement as a whole, else each character for itself. Stops
  /// early when the result is over `limit` bytes.
  std::string apply_to_graphemes(std::string_view text, size_t limit) const;

  /// As SentencePiece maps it: the longest key at every place, but for the texts of `kept`.
  std::string apply_longest(std::string_view text, size_t limit, const ByteTrie& kept = {}) const;

 private:
  std::optional<Match> find(std::string_view text, bool longest) const;
  std::optional<std::string_view> replacement(uint32_t at) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace awq
