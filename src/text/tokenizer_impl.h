// The parts of a tokenizer, put together (shared by the loaders and the export).
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pretokenizer.h"
#include "text/sentencepiece.h"
#include "text/tokenizer.h"
#include "text/token_table.h"
#include "text/unigram.h"

namespace awq {

struct Tokenizer::Impl {
  /// What one running encode needs; kept for the next.
  struct Scratch {
    Pretokenizer::Scratch pieces;
    BpeScratch bpe;
    UnigramScratch unigram;
    std::vector<TextPart> parts, normalized_parts;
  };

  TokenTable vocabulary;  ///< bpe looks at it: an Impl never moves
  Bpe bpe;
  Unigram unigram;  ///< not empty: the model, instead of bpe
  Normalizer normalizer;
  Pretokenizer pretokenizer;
  bool raw_bytes = false;  ///< the model maps bytes, not the pre-tokenizer
  AddedTokens added;
  PostProcessor post_processor;
  Decoder decoder;
  std::vector<bool> special;  ///< by id
  TokenId bos = -1, eos = -1;

  /// For export: the whole document as text (from_json), or all but model.vocab and model.merges.
  std::string document;
  bool document_complete = false;
  std::vector<std::pair<TokenId, TokenId>> merges;

  mutable std::mutex mutex;
  mutable std::vector<std::unique_ptr<Scratch>> idle;

  /// Reads everything but the model from a tokenizer.json document; `extra` are special tokens
  /// that only tokenizer_config.json names. `sentencepiece`: normalize and look for added tokens
  /// as SentencePiece does.
  Status finish(const JsonField& root, const std::vector<std::string>& extra,
                bool sentencepiece = false);

  /// A tokenizer of a GGUF vocabulary, or of the SentencePiece `model` that it was made from, and
  /// of `added` (entries of "added_tokens" that replace those of the same text).
  static Result<std::unique_ptr<Impl>> from_arrays(const GgufVocabulary& source,
                                                   const SentencePieceModel* model,
                                                   const std::vector<Json>& added,
                                                   std::string_view origin);
  void set_unigram(const SentencePieceModel& model, const UnigramOptions& options);

  Status encode(std::string_view text, bool parse_special, Scratch& scratch,
                std::vector<TokenId>& ids) const;
  Status encode_text(std::string_view text, bool first, Scratch& scratch,
                     std::vector<TokenId>& ids) const;

  bool is_special(TokenId id) const {
    return id >= 0 && static_cast<size_t>(id) < special.size() && special[id];
  }
  std::unique_ptr<Scratch> borrow() const;
  void give_back(std::unique_ptr<Scratch> scratch) const;
};

/// The model and the document frame of a GGUF vocabulary, checked (gguf_vocabulary.cc). `model` is
/// what the arrays came from when that is no GGUF file: then they are a "llama" vocabulary.
struct GgufParts {
  std::vector<BpeMerge> rules;                       ///< what the engine follows
  std::vector<std::pair<TokenId, TokenId>> merges;   ///< in the order that tokenizer.json lists
  BpeOptions options;
  bool unigram = false;  ///< the model is one of scores, `rules` and `merges` are empty
  Json frame;  ///< tokenizer.json without model.vocab and model.merges
};
Result<GgufParts> read_gguf_vocabulary(const GgufVocabulary& source, const TokenTable& vocabulary,
                                       std::string_view origin,
                                       const SentencePieceModel* model = nullptr);

/// The pre-tokenizer (and normalizer, or null) that tokenizer.ggml.pre names, as tokenizer.json
/// writes them (gguf_pretokenizer.cc).
struct GgufPretokenizer {
  Json pre_tokenizer, normalizer;
  bool ignore_merges = false, add_bos = false;
};
Result<GgufPretokenizer> gguf_pretokenizer(std::string_view name, std::string_view origin);

}  // namespace awq
