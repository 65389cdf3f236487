// SentencePiece's model file: the ModelProto of sentencepiece_model.proto in protocol buffers' wire
// format, as far as encoding needs it. Read here and not by SentencePiece's library, which trusts
// the file: an overlong piece or a wild character map crashes the versions that distributions have.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace awq {

struct SentencePieceModel {
  enum class Kind { unigram = 1, bpe = 2 };
  Kind kind = Kind::unigram;
  std::vector<std::string> tokens;   ///< index = id
  std::vector<float> scores;
  std::vector<int32_t> types;        ///< 1 normal 2 unknown 3 control 4 user 5 unused 6 byte
  TokenId unknown = -1, bos = -1, eos = -1, padding = -1;
  bool byte_fallback = false;
  std::string character_map;         ///< see CharsMap; empty: characters stay as they are
  bool add_dummy_prefix = true;      ///< a space before the text
  bool remove_extra_spaces = true;   ///< at both ends, and all but one inside
};

/// Errors name the field and the offset. Models of words or characters, of spaces that are suffixes
/// or not escaped, and of decoders that map characters are refused.
Result<SentencePieceModel> read_sentencepiece(std::string_view file, std::string_view origin);

}  // namespace awq
