// Tokens matched in the text before the model sees it: special ones and the user's own.
// Source: the tokenizers crate, tokenizer/added_vocabulary.rs (leftmost-longest matches; tokens
// that are not "normalized" are looked for in the raw text, the others in the normalized rest).
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "text/json_fields.h"
#include "text/normalizer.h"
#include "text/token_table.h"

namespace awq {

struct AddedToken {
  std::string content;
  TokenId id = -1;
  bool special = false;
  bool normalized = false;
  bool in_normal_form = false;  ///< `content` is what the normalized text has
  bool left_strip = false, right_strip = false;  ///< swallow white space beside the match
  bool single_word = false;
};

/// A part of a text: a token (id >= 0), or text between tokens.
struct TextPart {
  size_t begin = 0, end = 0;
  TokenId id = -1;
};

/// Finds the tokens of one set in a text.
class TokenMatcher {
 public:
  /// `content` is what is looked for (for normalized tokens, the normalized form); not empty.
  void add(std::string_view content, const AddedToken& token);

  bool empty() const { return tokens_.empty(); }

  /// Cuts `text` (valid UTF-8). Without `special`, special tokens stay text.
  void split(std::string_view text, bool special, std::vector<TextPart>& parts) const;

 private:
  struct Node {
    int32_t child = -1, sibling = -1, token = -1;
    char byte = 0;
  };
  struct Found {
    size_t length = 0;
    const AddedToken* token = nullptr;
  };

  int32_t child_of(int32_t node, char byte) const;
  Found longest_at(std::string_view text, size_t at) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::array<int32_t, 256> roots_ = [] {
    std::array<int32_t, 256> none{};
    none.fill(-1);
    return none;
  }();
  std::vector<AddedToken> tokens_;
  bool any_plain_ = false;
};

class AddedTokens {
 public:
  /// Reads "added_tokens" of tokenizer.json; tokens the model lacks join `vocabulary`.
  static Result<std::vector<AddedToken>> read(const JsonField& list, TokenTable& vocabulary);

  /// Error when a normalizer fails on a token's text.
  static Result<AddedTokens> create(const std::vector<AddedToken>& tokens,
                                    const Normalizer& normalizer, RegexScratch& scratch);

  const TokenMatcher& raw() const { return raw_; }
  const TokenMatcher& normalized() const { return normalized_; }

 private:
  TokenMatcher raw_, normalized_;
};

}  // namespace awq
