#include "text/token_table.h"

#include <algorithm>

namespace awq {

Result<TokenTable> TokenTable::create(std::vector<std::pair<std::string, int64_t>> entries,
                                      std::string_view where) {
  TokenTable vocabulary;
  vocabulary.ids_.reserve(entries.size());
  int64_t highest = -1;
  for (const auto& entry : entries) highest = std::max(highest, entry.second);
  if (highest < kMaxTokens) vocabulary.texts_.reserve(highest + 1);
  for (auto& [text, id] : entries) AWQ_TRY(vocabulary.put(std::move(text), id, Kind::model, where));
  return vocabulary;
}

Status TokenTable::put(std::string text, int64_t id, Kind kind, std::string_view where) {
  if (id < 0 || id >= kMaxTokens) {
    return bad_input(cat(where, ": token \"", printable(text), "\" has id ", id,
                         ", expected 0 to ", kMaxTokens - 1));
  }
  if (contains(static_cast<TokenId>(id))) {
    return bad_input(cat(where, ": tokens \"", printable(texts_[id]), "\" and \"",
                         printable(text), "\" both have id ", id));
  }
  const auto [it, fresh] = ids_.try_emplace(std::move(text), static_cast<TokenId>(id));
  if (!fresh) {
    return bad_input(cat(where, ": token \"", printable(it->first), "\" has both id ", it->second,
                         " and id ", id));
  }
  if (static_cast<size_t>(id) >= texts_.size()) {
    texts_.resize(id + 1);
    kinds_.resize(id + 1, Kind::gap);
  }
  texts_[id] = it->first;
  kinds_[id] = kind;
  return {};
}

Status TokenTable::add(std::string_view text, int64_t id, std::string_view where) {
  return put(std::string(text), id, Kind::added, where);
}

TokenId TokenTable::find(std::string_view text) const {
  const auto it = ids_.find(text);
  return it == ids_.end() ? -1 : it->second;
}

TokenId TokenTable::find_model(std::string_view text) const {
  const TokenId id = find(text);
  return id >= 0 && kinds_[id] == Kind::model ? id : -1;
}

std::string_view TokenTable::text(TokenId id) const {
  return contains(id) ? texts_[id] : std::string_view();
}

}  // namespace awq
