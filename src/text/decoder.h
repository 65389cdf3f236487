// Token texts back to text. Source: the tokenizers crate, decoders/. The steps up to the first
// that joins tokens work on each token, the others on the whole text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/json_fields.h"
#include "text/normalizer.h"

namespace awq {

class Decoder {
 public:
  /// How tokens become text one after another, if that is possible (see Detokenizer).
  enum class Streaming {
    words,          ///< no decoder: tokens joined with spaces
    bytes,          ///< ByteLevel: bytes, joined before UTF-8 is decoded
    fallback_runs,  ///< ByteFallback: runs of byte tokens decoded together
    plain,          ///< texts one after another
    whole,          ///< only the whole sequence can be decoded
  };

  /// The "decoder" of tokenizer.json; null: tokens are joined with spaces.
  static Result<Decoder> from_json(const JsonField& field);

  /// The text of a sequence of token texts (each valid UTF-8).
  std::string decode(std::vector<std::string> tokens) const;

  Streaming streaming() const { return streaming_; }

  /// The bytes of one token inside a stream; `is_byte` says it is a byte-fallback token (then the
  /// one byte is returned). Not for Streaming::whole.
  std::string token_bytes(std::string_view token, bool first, bool* is_byte = nullptr) const;

  /// How many of `strip_character` the start of the whole text loses at most.
  size_t strip_start() const { return strip_start_; }
  char32_t strip_character() const { return strip_character_; }

 private:
  enum class Kind { byte_level, replace, fallback, fuse, strip, metaspace };
  struct Step {
    Kind kind = Kind::fuse;
    Pattern pattern;
    std::string content;
    char32_t character = ' ';
    size_t start = 0, stop = 0;
    bool prepended = false;  ///< metaspace: the first token loses its markers
  };

  Status add(const JsonField& field, int depth);
  void plan();
  static std::string apply_to_token(const Step& step, std::string token, bool first);
  static void apply(const Step& step, std::vector<std::string>& tokens);

  std::vector<Step> steps_;
  size_t token_steps_ = 0;  ///< how many steps come before tokens are joined
  Streaming streaming_ = Streaming::words;
  size_t strip_start_ = 0;
  char32_t strip_character_ = ' ';
};

/// The bytes that a ByteLevel decoder makes of a token: its characters' bytes, or the text itself
/// where a character is outside the byte alphabet.
std::string byte_level_bytes(std::string_view token);

/// A run of byte tokens as text: itself when it is UTF-8, else one U+FFFD a byte.
std::string fallback_run_text(std::string_view run);

}  // namespace awq
