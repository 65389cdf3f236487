// How text is cut into pieces before the model sees it. Each step works on every piece of the
// step before as if it were a whole text. Source: the tokenizers crate, pre_tokenizers/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/normalizer.h"

namespace awq {

/// What a split does with the matches of its pattern.
enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// Parts of one text.
struct Pieces {
  struct Piece {
    size_t begin = 0, end = 0;
    bool first = false;  ///< it begins where the whole input begins
  };
  std::string_view text;  ///< in `owned`, or the caller's
  std::string owned;
  std::vector<Piece> pieces;

  std::string_view of(const Piece& piece) const {
    return text.substr(piece.begin, piece.end - piece.begin);
  }
};

class Pretokenizer {
 public:
  /// Working memory; one per thread.
  struct Scratch {
    Pieces front, back;
    RegexScratch regex;
    struct Cut {
      size_t begin, end;
      bool match;
    };
    std::vector<Cut> cuts;
  };

  /// The "pre_tokenizer" of tokenizer.json; null gives one that does not split.
  static Result<Pretokenizer> from_json(const JsonField& field);

  /// When the last step maps bytes to the byte alphabet, leaves that to the model (which is faster
  /// there): pieces are then raw bytes. Returns whether it does.
  bool defer_bytes();

  /// The pieces of `text` (valid UTF-8, must outlive them), in `scratch.front`. `first`: it begins
  /// where the input begins.
  Status split(std::string_view text, bool first, Scratch& scratch) const;

 private:
  enum class Kind { pattern, digits, spaces, words, punctuation, character, metaspace, prefix_space,
                    bytes };
  struct Step {
    Kind kind = Kind::pattern;
    Pattern pattern;
    SplitBehavior behavior = SplitBehavior::isolated;
    bool invert = false;
    std::string replacement;  ///< metaspace
    enum class Prepend { always, first, never } prepend = Prepend::always;
    bool split = true;  ///< metaspace
    char32_t character = 0;
  };

  Status add(const JsonField& field, int depth);
  Status add_byte_level(const JsonField& field);
  Status add_metaspace(const JsonField& field);
  Status add_split(const JsonField& field);
  void add_simple(Kind kind, SplitBehavior behavior);

  static bool matches(const Step& step, char32_t character);
  static Status find_cuts(const Step& step, std::string_view text, Scratch& scratch);
  static void arrange(const Step& step, const Pieces::Piece& whole, Scratch& scratch,
                      std::vector<Pieces::Piece>& out);
  static Status split_step(const Step& step, Scratch& scratch);
  static Status rewrite_step(const Step& step, size_t limit, Scratch& scratch);

  std::vector<Step> steps_;
};

}  // namespace awq
