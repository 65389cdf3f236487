#include "text/added_tokens.h"

#include <algorithm>

#include "text/unicode.h"

namespace awq {
namespace {

// Matching is O(text x longest token), so the longest is bounded.
constexpr size_t kMaxContent = 1024;

bool word_before(std::string_view text, size_t at) {
  if (at == 0) return false;
  size_t begin = previous_character(text, at);
  return is_word(next_character(text, begin));
}

bool word_after(std::string_view text, size_t at) {
  return at < text.size() && is_word(next_character(text, at));
}

size_t spaces_before(std::string_view text, size_t at, size_t stop) {
  while (at > stop) {
    const size_t begin = previous_character(text, at);
    size_t next = begin;
    if (begin < stop || !is_white_space(next_character(text, next))) break;
    at = begin;
  }
  return at;
}

size_t spaces_after(std::string_view text, size_t at) {
  while (at < text.size()) {
    size_t next = at;
    if (!is_white_space(next_character(text, next))) break;
    at = next;
  }
  return at;
}

}  // namespace

int32_t TokenMatcher::child_of(int32_t node, char byte) const {
  int32_t child = nodes_[node].child;
  while (child >= 0 && nodes_[child].byte != byte) child = nodes_[child].sibling;
  return child;
}

void TokenMatcher::add(std::string_view content, const AddedToken& token) {
  int32_t node = 0;
  for (size_t i = 0; i < content.size(); ++i) {
    int32_t& root = roots_[static_cast<uint8_t>(content[0])];
    int32_t next = i == 0 ? root : child_of(node, content[i]);
    if (next < 0) {
      next = static_cast<int32_t>(nodes_.size());
      Node fresh;
      fresh.byte = content[i];
      if (i == 0) {
        root = next;
      } else {
        fresh.sibling = nodes_[node].child;
        nodes_[node].child = next;
      }
      nodes_.push_back(fresh);
    }
    node = next;
  }
  nodes_[node].token = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
  any_plain_ = any_plain_ || !token.special;
}

TokenMatcher::Found TokenMatcher::longest_at(std::string_view text, size_t at) const {
  Found found;
  int32_t node = roots_[static_cast<uint8_t>(text[at])];
  for (size_t i = at; node >= 0;) {
    ++i;
    if (nodes_[node].token >= 0) found = {i - at, &tokens_[nodes_[node].token]};
    node = i < text.size() ? child_of(node, text[i]) : -1;
  }
  return found;
}

void TokenMatcher::split(std::string_view text, bool special, std::vector<TextPart>& parts) const {
  size_t done = 0;
  const bool any = special ? !tokens_.empty() : any_plain_;
  for (size_t i = 0; any && i < text.size();) {
    if (roots_[static_cast<uint8_t>(text[i])] < 0) {
      ++i;
      continue;
    }
    const Found found = longest_at(text, i);
    if (found.token == nullptr) {
      ++i;
      continue;
    }
    size_t begin = i, end = i + found.length;
    i = end;
    if (found.token->special && !special) continue;
    if (found.token->single_word && (word_before(text, begin) || word_after(text, end))) continue;
    if (found.token->left_strip) begin = spaces_before(text, begin, done);
    if (found.token->right_strip) end = spaces_after(text, end);
    begin = std::max(begin, done);
    if (end <= done) continue;  // the token before swallowed it
    if (begin > done) parts.push_back({done, begin, -1});
    parts.push_back({begin, end, found.token->id});
    done = end;
  }
  if (done < text.size()) parts.push_back({done, text.size(), -1});
}

Result<std::vector<AddedToken>> AddedTokens::read(const JsonField& list, TokenTable& vocabulary) {
  std::vector<AddedToken> tokens;
  if (list.null()) return tokens;
  if (!list.array()) return list.error(cat("expected an array, found ", list.json->type_name()));
  for (size_t i = 0; i < list.size(); ++i) {
    const JsonField field = list.at(i);
    AddedToken token;
    AWQ_ASSIGN(token.content, field["content"].text());
    AWQ_ASSIGN(const int64_t id, field["id"].integer(0, TokenTable::kMaxTokens - 1));
    AWQ_ASSIGN(token.special, field["special"].boolean_or(false));
    AWQ_ASSIGN(token.normalized, field["normalized"].boolean_or(!token.special));
    AWQ_ASSIGN(token.left_strip, field["lstrip"].boolean_or(false));
    AWQ_ASSIGN(token.right_strip, field["rstrip"].boolean_or(false));
    AWQ_ASSIGN(token.single_word, field["single_word"].boolean_or(false));
    if (token.content.empty()) continue;  // the reference ignores these
    if (token.content.size() > kMaxContent) {
      return field["content"].error(cat(token.content.size(), " bytes, the limit is ", kMaxContent));
    }
    // The model's id wins over the one given here, as in the reference.
    token.id = vocabulary.find(token.content);
    if (token.id < 0) {
      AWQ_TRY(vocabulary.add(token.content, id, field.path));
      token.id = static_cast<TokenId>(id);
    }
    tokens.push_back(std::move(token));
  }
  return tokens;
}

Result<AddedTokens> AddedTokens::create(const std::vector<AddedToken>& tokens,
                                        const Normalizer& normalizer, RegexScratch& scratch) {
  AddedTokens added;
  for (const AddedToken& token : tokens) {
    if (!token.normalized || token.in_normal_form || normalizer.empty()) {
      (token.normalized ? added.normalized_ : added.raw_).add(token.content, token);
      continue;
    }
    AWQ_ASSIGN(const std::string content, normalizer.apply(token.content, scratch));
    if (!content.empty() && content.size() <= kMaxContent) added.normalized_.add(content, token);
  }
  return added;
}

}  // namespace awq
