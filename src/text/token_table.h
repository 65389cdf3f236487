// Token texts by id and ids by text.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace awq {

class TokenTable {
 public:
  /// Ids at or above this are refused: a single huge id must not allocate gigabytes.
  static constexpr int64_t kMaxTokens = int64_t{1} << 22;

  /// The model's tokens; ids may have gaps. Error when two texts share an id.
  static Result<TokenTable> create(std::vector<std::pair<std::string, int64_t>> entries,
                                   std::string_view where);

  TokenTable() = default;
  TokenTable(TokenTable&&) = default;
  TokenTable& operator=(TokenTable&&) = default;
  TokenTable(const TokenTable&) = delete;

  /// Adds a token that the model does not have. Error when the id is taken.
  Status add(std::string_view text, int64_t id, std::string_view where);

  TokenId find(std::string_view text) const;        ///< any token; -1 when absent
  TokenId find_model(std::string_view text) const;  ///< a token of the model; -1 when absent

  std::string_view text(TokenId id) const;  ///< empty when out of range or in a gap
  bool contains(TokenId id) const {
    return id >= 0 && static_cast<size_t>(id) < kinds_.size() && kinds_[id] != Kind::gap;
  }
  size_t size() const { return texts_.size(); }  ///< highest id + 1

 private:
  enum class Kind : uint8_t { gap, model, added };
  Status put(std::string text, int64_t id, Kind kind, std::string_view where);

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  // unordered_map never moves its keys, so texts_ may look at them.
  std::unordered_map<std::string, TokenId, Hash, std::equal_to<>> ids_;
  std::vector<std::string_view> texts_;
  std::vector<Kind> kinds_;
};

}  // namespace awq
