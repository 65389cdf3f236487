// Byte-pair encoding: a piece of text becomes its characters' tokens, then the adjacent pair whose
// merge has the lowest rank (leftmost on ties) is merged until none is left. O(n log n) in the
// piece's length. Sources: the Hugging Face tokenizers crate (models/bpe) for rules from
// tokenizer.json, SentencePiece for rules from scores.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "text/pair_table.h"
#include "text/json_fields.h"
#include "text/token_table.h"

namespace awq {

struct BpeOptions {
  bool byte_fallback = false;  ///< unknown characters become "<0xHH>" tokens where all exist
  bool fuse_unknown = false;   ///< neighbouring unknown characters are one unknown token
  bool ignore_merges = false;  ///< a piece that is a token is that token
  TokenId unknown = -1;        ///< -1: unknown characters vanish
};

struct BpeMerge {
  TokenId left = -1, right = -1, result = -1;
  uint32_t rank = 0;
};

/// Working memory and the cache of pieces seen; one per thread, of bounded size.
struct BpeScratch {
  static constexpr int kMaxSymbols = 16, kMaxIds = 11, kSlots = 1 << 14;
  struct CacheEntry {
    uint16_t symbols = 0, ids = 0;  ///< counts; 0 symbols: an empty slot
    std::array<TokenId, kMaxSymbols> key;
    std::array<TokenId, kMaxIds> value;
  };
  std::vector<CacheEntry> cache;
  std::vector<TokenId> symbols;
  std::vector<uint32_t> next, previous;
  struct Candidate {
    uint64_t order;  ///< rank, then position
    TokenId result;
    bool operator<(const Candidate& other) const { return order > other.order; }
  };
  std::vector<Candidate> heap;
  std::string text;
};

class Bpe {
 public:
  /// `model` is the "model" object of tokenizer.json, type BPE; `vocabulary` its tokens, which must
  /// outlive this. Errors: merges of tokens that do not exist, options that are not supported.
  static Result<Bpe> from_json(const JsonField& model, const TokenTable& vocabulary);

  Bpe() = default;
  Bpe(const TokenTable& vocabulary, BpeOptions options, const std::vector<BpeMerge>& merges);

  /// Appends the ids of `piece`, valid UTF-8.
  void encode(std::string_view piece, BpeScratch& scratch, std::vector<TokenId>& ids) const;

  /// The same for a piece of raw bytes that stand for the characters of the byte alphabet.
  /// Requires has_byte_alphabet().
  void encode_bytes(std::string_view piece, BpeScratch& scratch, std::vector<TokenId>& ids) const;

  bool has_byte_alphabet() const { return has_byte_alphabet_; }

  /// Tokens that ignore_merges must not produce from plain text (special ones).
  void set_special(const std::vector<bool>* special) { special_ = special; }

 private:
  struct Rule {
    uint32_t rank;
    TokenId result;
  };

  TokenId character_token(char32_t character) const;
  bool symbolize(std::string_view piece, std::vector<TokenId>& symbols) const;
  void encode_symbols(std::string_view piece, bool bytes, bool clean, BpeScratch& scratch,
                      std::vector<TokenId>& ids) const;
  TokenId whole(std::string_view piece, bool bytes, BpeScratch& scratch) const;
  void encode_chunk(const TokenId* symbols, size_t count, TokenId whole_token, bool cached,
                    BpeScratch& scratch, std::vector<TokenId>& ids) const;
  void merge_short(const TokenId* symbols, size_t count, std::vector<TokenId>& ids) const;
  void merge_long(const TokenId* symbols, size_t count, BpeScratch& scratch,
                  std::vector<TokenId>& ids) const;
  void find_joints(const std::vector<BpeMerge>& merges);

  const TokenTable* vocabulary_ = nullptr;
  const std::vector<bool>* special_ = nullptr;
  BpeOptions options_;
  PairTable<Rule> rules_;
  // Pairs of symbols that some token has inside: between any other two, no merge ever happens.
  PairTable<char> joints_;
  bool joints_known_ = false;
  std::vector<TokenId> low_characters_;  ///< token of each character below U+10000, -1: none
  std::unordered_map<char32_t, TokenId> high_characters_;
  std::array<TokenId, 256> alphabet_{};  ///< token of each byte's character
  std::array<TokenId, 256> fallback_{};  ///< token of each "<0xHH>"
  bool has_byte_alphabet_ = false;
};

}  // namespace awq
