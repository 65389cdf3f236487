// Typed reads from untrusted JSON: the type is checked before nlohmann is asked, so nothing throws,
// and an error names the field.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"

namespace awq {

/// Of sequences (of normalizers, pre-tokenizers, ...) in a tokenizer.json.
constexpr int kMaxNestedSequences = 8;

/// A value and where it is ("tokenizer.json: model.merges[3]"), for errors.
struct JsonField {
  const Json* json = nullptr;  ///< never null; absent fields are JSON null
  std::string path;

  bool null() const { return json->is_null(); }
  bool array() const { return json->is_array(); }
  bool string() const { return json->is_string(); }
  size_t size() const { return json->size(); }

  /// The member, or null when absent or when this is not an object.
  JsonField operator[](std::string_view name) const;
  JsonField at(size_t index) const;

  Error error(std::string_view what) const;
  Result<std::string_view> text() const;
  Result<int64_t> integer(int64_t low, int64_t high) const;
  Result<std::string_view> type() const;  ///< the text of member "type"

  // The default when absent, an error when of another type.
  Result<std::string_view> text_or(std::string_view fallback) const;
  Result<bool> boolean_or(bool fallback) const;
};

}  // namespace awq
