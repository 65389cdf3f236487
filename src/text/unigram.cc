#include "text/unigram.h"

#include <algorithm>
#include <cmath>

#include "text/byte_alphabet.h"
#include "text/unicode.h"

namespace awq {
namespace {

constexpr double kUnknownPenalty = 10;

Result<double> read_score(const JsonField& field) {
  if (!field.json->is_number()) {
    return field.error(cat("expected a number, found ", field.json->type_name()));
  }
  const auto score = field.json->get<double>();
  if (!std::isfinite(score)) return field.error("the score is not finite");
  return score;
}

}  // namespace

Result<Unigram::File> Unigram::read_json(const JsonField& model) {
  const JsonField list = model["vocab"];
  if (!list.array()) return list.error(cat("expected an array, found ", list.json->type_name()));
  File file;
  std::vector<std::pair<std::string, int64_t>> entries;
  entries.reserve(list.size());
  for (size_t id = 0; id < list.size(); ++id) {
    const Json& entry = (*list.json)[id];
    if (!entry.is_array() || entry.size() != 2) {
      return list.at(id).error("expected a token and its score");
    }
    AWQ_ASSIGN(const std::string_view token, list.at(id).at(0).text());
    AWQ_ASSIGN(const double score, read_score(list.at(id).at(1)));
    if (token.size() > kMaxToken) {
      return list.at(id).error(cat(token.size(), " bytes, the limit is ", kMaxToken));
    }
    entries.emplace_back(token, static_cast<int64_t>(id));
    file.scores.push_back(score);
  }
  AWQ_ASSIGN(file.vocabulary, TokenTable::create(std::move(entries), list.path));
  AWQ_ASSIGN(const int64_t unknown,
             model["unk_id"].integer(0, static_cast<int64_t>(file.scores.size()) - 1));
  file.options.unknown = static_cast<TokenId>(unknown);
  AWQ_ASSIGN(file.options.byte_fallback, model["byte_fallback"].boolean_or(false));
  return file;
}

Unigram::Unigram(const TokenTable& vocabulary, UnigramOptions options, std::vector<double> scores,
                 const std::vector<bool>& usable, double lowest)
    : options_(options), scores_(std::move(scores)), unknown_score_(lowest - kUnknownPenalty) {
  if (options_.single_precision) unknown_score_ = static_cast<float>(unknown_score_);
  std::vector<ByteTrie::Key> keys;
  for (size_t id = 0; id < scores_.size(); ++id) {
    const std::string_view text = vocabulary.text(static_cast<TokenId>(id));
    if (!text.empty() && usable[id]) keys.emplace_back(text, static_cast<TokenId>(id));
  }
  trie_ = ByteTrie(std::move(keys));
  for (int byte = 0; byte < 256; ++byte) {
    fallback_[byte] = vocabulary.find_model(fallback_token(static_cast<uint8_t>(byte)));
  }
}

void Unigram::find_best(std::string_view piece, std::vector<UnigramScratch::Node>& nodes) const {
  const auto rounded = [&](double score) {
    return options_.single_precision ? static_cast<double>(static_cast<float>(score)) : score;
  };
  nodes.assign(piece.size() + 1, {});
  for (size_t begin = 0; begin < piece.size();) {
    const double till_here = nodes[begin].score;
    size_t next = begin;
    next_character(piece, next);
    bool single = false;  // a token is this one character
    const auto offer = [&](size_t end, TokenId token, double score) {
      UnigramScratch::Node& node = nodes[end];
      if (node.reached && score <= node.score) return;
      node = {rounded(score), begin, token, true};
    };
    trie_.for_each_prefix(piece.substr(begin), [&](size_t length, TokenId token) {
      offer(begin + length, token, till_here + scores_[token]);
      single = single || begin + length == next;
    });
    if (!single) offer(next, options_.unknown, rounded(till_here + unknown_score_));
    begin = next;
  }
}

// Text that no token covers.
void Unigram::put_unknown(std::string_view text, std::vector<TokenId>& ids) const {
  const size_t start = ids.size();
  bool all = options_.byte_fallback;
  for (size_t i = 0; i < text.size() && all; ++i) {
    ids.push_back(fallback_[static_cast<uint8_t>(text[i])]);
    all = ids.back() >= 0;
  }
  if (all) return;
  ids.resize(start);
  ids.push_back(options_.unknown);
}

void Unigram::encode(std::string_view piece, UnigramScratch& scratch,
                     std::vector<TokenId>& ids) const {
  if (piece.empty()) return;
  find_best(piece, scratch.nodes);
  auto& path = scratch.path;
  path.clear();
  for (size_t end = piece.size(); end > 0; end = path.back().begin) {
    path.push_back(scratch.nodes[end]);
  }
  size_t unknown_from = piece.size();  // where a run of unknown characters begins
  for (size_t i = path.size(); i-- > 0;) {
    if (path[i].token == options_.unknown) {
      unknown_from = std::min(unknown_from, path[i].begin);
      continue;
    }
    if (unknown_from < path[i].begin) {
      put_unknown(piece.substr(unknown_from, path[i].begin - unknown_from), ids);
    }
    unknown_from = piece.size();
    ids.push_back(path[i].token);
  }
  if (unknown_from < piece.size()) put_unknown(piece.substr(unknown_from), ids);
}

}  // namespace awq
