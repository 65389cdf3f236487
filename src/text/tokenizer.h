// Text <-> token ids. One engine for tokenizer.json and GGUF vocabularies; what differs between
// models is data (normalizers, pre-tokenizers, model, decoders), read once at load.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace awq {

using TokenId = int32_t;

/// The vocabulary arrays of a GGUF file (`tokenizer.ggml.*`), as plain values: the border hands
/// them over so that text needs to know no file format.
struct GgufVocabulary {
  std::string model;                  ///< "gpt2" or "llama"
  std::string pre;                    ///< "smollm", "llama-bpe", "gpt-2", ...
  std::vector<std::string> tokens;    ///< index = id
  std::vector<float> scores;          ///< "llama": one per token
  std::vector<int32_t> token_types;   ///< 1 normal 2 unknown 3 control 4 user 5 unused 6 byte
  std::vector<std::string> merges;    ///< "gpt2": "A B"
  TokenId bos = -1, eos = -1, eot = -1, unknown = -1, padding = -1;
  bool add_bos = false, add_eos = false, add_space_prefix = true;
  bool add_bos_given = false;         ///< the file said it; else as is usual for the model
};

/// What lies beside a tokenizer.model; null where there is no such file.
struct SentencePieceFiles {
  Json config;  ///< tokenizer_config.json: special tokens, add_bos_token, added_tokens_decoder
  Json added;   ///< added_tokens.json: ids by text
};

struct EncodeOptions {
  bool add_special = true;    ///< BOS/EOS as the model's post-processor says
  bool parse_special = true;  ///< text such as "<|im_end|>" becomes its token; false: plain text
};

class Tokenizer {
 public:
  /// `tokenizer` is tokenizer.json; `config` is tokenizer_config.json or null.
  static Result<Tokenizer> from_json(const Json& tokenizer, const Json& config,
                                     std::string_view origin);
  static Result<Tokenizer> from_gguf(GgufVocabulary vocabulary, std::string_view origin);

  /// `model` is the content of a tokenizer.model: SentencePiece, BPE or unigram.
  static Result<Tokenizer> from_sentencepiece(std::string_view model,
                                              const SentencePieceFiles& beside,
                                              std::string_view origin);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Errors: text too long (over 2^31 - 1 bytes), a regular expression that hits its match limit.
  Result<std::vector<TokenId>> encode(std::string_view text, EncodeOptions options = {}) const;

  /// The whole text; special tokens left out when `skip_special`. Invalid UTF-8 becomes U+FFFD as
  /// the reference's decoder does it.
  std::string decode(std::span<const TokenId> ids, bool skip_special = true) const;

  /// The raw bytes one token adds after `previous` tokens (no U+FFFD substitution): see
  /// Detokenizer for text that is safe to print.
  std::string token_bytes(TokenId id) const;

  /// The token as the vocabulary writes it ("Ġhello", "<0x0A>"); empty when out of range.
  std::string_view token_text(TokenId id) const;

  size_t vocab_size() const;                       ///< highest id + 1
  bool is_special(TokenId id) const;
  TokenId find(std::string_view token_text) const;  ///< -1 when absent
  TokenId bos() const;                             ///< -1 when none
  TokenId eos() const;                             ///< -1 when none

  /// A tokenizer.json that transformers loads with the same behaviour: what an exported
  /// checkpoint carries when its source was a GGUF file. For a tokenizer made by from_json the
  /// original document.
  Json export_tokenizer_json() const;

  /// The tokenizer_config.json that goes with it: class and special tokens. The caller adds the
  /// chat template.
  Json export_tokenizer_config() const;

  struct Impl;

 private:
  friend class Detokenizer;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Turns a stream of ids into text that is always valid UTF-8: bytes of an unfinished character
/// are held back until it is whole. The concatenation of all outputs equals decode() of all ids
/// (for decoders that strip one leading space: of the whole sequence).
class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(&tokenizer), skip_special_(skip_special) {}

  std::string push(TokenId id);
  std::string flush();  ///< an unfinished character becomes U+FFFD

 private:
  std::string strip_start(std::string text);

  const Tokenizer* tokenizer_;
  bool skip_special_;
  bool first_ = true;
  bool stripping_ = true;      ///< still at the start of the text
  size_t stripped_ = 0;        ///< characters that the start lost
  std::string pending_;        ///< bytes that are not text yet
  std::vector<TokenId> held_;  ///< for decoders that need the whole sequence
};

}  // namespace awq
