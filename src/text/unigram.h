// The unigram model: of all ways to cut a piece of text into tokens, the one whose scores have the
// highest sum, the earliest found on ties. O(bytes x longest token). Sources: the Hugging Face
// tokenizers crate (models/unigram, double precision) for tokenizer.json, SentencePiece
// (unigram_model.cc, sums rounded to single precision) for its models; they differ in ties alone.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "text/byte_trie.h"
#include "text/json_fields.h"
#include "text/token_table.h"

namespace awq {

struct UnigramOptions {
  TokenId unknown = -1;          ///< required; neighbouring unknown characters are one
  bool byte_fallback = false;    ///< unknown text becomes "<0xHH>" tokens where all exist
  bool single_precision = false;
};

/// Working memory; one per thread.
struct UnigramScratch {
  struct Node {
    double score = 0;
    size_t begin = 0;  ///< of the last token of the best way here
    TokenId token = -1;
    bool reached = false;
  };
  std::vector<Node> nodes;
  std::vector<Node> path;
};

class Unigram {
 public:
  /// Tokens longer than this are refused: matching is O(text x longest token).
  static constexpr size_t kMaxToken = 512;

  /// Reads "vocab" ([token, score] by id), "unk_id" and "byte_fallback" of the "model" object of
  /// tokenizer.json, type Unigram. `scores` is by id.
  struct File {
    TokenTable vocabulary;
    std::vector<double> scores;
    UnigramOptions options;
  };
  static Result<File> read_json(const JsonField& model);

  Unigram() = default;

  /// `usable` says by id which tokens text may become (not control tokens, ...); `vocabulary` must
  /// outlive this. Scores are finite, and `lowest` is that of unknown characters plus 10.
  Unigram(const TokenTable& vocabulary, UnigramOptions options, std::vector<double> scores,
          const std::vector<bool>& usable, double lowest);

  bool empty() const { return scores_.empty(); }
  const std::vector<double>& scores() const { return scores_; }
  const UnigramOptions& options() const { return options_; }

  /// Appends the ids of `piece`, valid UTF-8.
  void encode(std::string_view piece, UnigramScratch& scratch, std::vector<TokenId>& ids) const;

 private:
  void find_best(std::string_view piece, std::vector<UnigramScratch::Node>& nodes) const;
  void put_unknown(std::string_view text, std::vector<TokenId>& ids) const;

  UnigramOptions options_;
  std::vector<double> scores_;
  double unknown_score_ = 0;
  ByteTrie trie_;
  std::array<TokenId, 256> fallback_{};  ///< token of each "<0xHH>"
};

}  // namespace awq
