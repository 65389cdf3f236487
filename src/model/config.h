// config.json as typed fields. Every getter names the key, what it found and what is allowed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "checkpoint/source.h"

namespace awq {

class Config {
 public:
  Config(Json json, std::string origin) : json_(std::move(json)), origin_(std::move(origin)) {}

  const Json& json() const { return json_; }
  const std::string& origin() const { return origin_; }

  /// The key is present and not null.
  bool has(std::string_view key) const;
  Result<int64_t> integer(std::string_view key, int64_t low, int64_t high) const;
  Result<int64_t> integer_or(std::string_view key, int64_t fallback, int64_t low,
                             int64_t high) const;
  Result<double> number_or(std::string_view key, double fallback, double low, double high) const;
  Result<bool> boolean_or(std::string_view key, bool fallback) const;
  Result<std::string> text_or(std::string_view key, std::string_view fallback) const;
  /// A list of numbers, each in [low, high].
  Result<std::vector<double>> numbers(std::string_view key, double low, double high) const;
  /// A list of strings; empty when absent or null.
  Result<std::vector<std::string>> texts(std::string_view key) const;
  /// A nested object, or nothing when absent or null.
  Result<std::optional<Config>> object(std::string_view key) const;

 private:
  const Json* find(std::string_view key) const;
  Error wrong(std::string_view key, std::string_view wanted) const;

  Json json_;
  std::string origin_;
};

/// config.json of a Hugging Face directory, or the same keys made from GGUF metadata.
Result<Config> read_config(const Checkpoint& checkpoint);

}  // namespace awq
