#include "model/config.h"

#include <cmath>

#include "base/file.h"
#include "model/gguf_config.h"

namespace awq {

const Json* Config::find(std::string_view key) const {
  const auto it = json_.find(std::string(key));
  return it == json_.end() || it->is_null() ? nullptr : &*it;
}

Error Config::wrong(std::string_view key, std::string_view wanted) const {
  const Json* value = find(key);
  return bad_input(cat(origin_, ": \"", key, "\" is ",
                       value == nullptr ? "missing" : printable(dump_json(*value), 60),
                       ", expected ", wanted));
}

bool Config::has(std::string_view key) const { return find(key) != nullptr; }

Result<int64_t> Config::integer(std::string_view key, int64_t low, int64_t high) const {
  const Json* value = find(key);
  const std::string wanted = cat("an integer from ", low, " to ", high);
  if (value == nullptr || !value->is_number_integer()) return wrong(key, wanted);
  if (value->is_number_unsigned() && value->get<uint64_t>() > uint64_t{INT64_MAX}) {
    return wrong(key, wanted);
  }
  const auto number = value->get<int64_t>();
  if (number < low || number > high) return wrong(key, wanted);
  return number;
}

Result<int64_t> Config::integer_or(std::string_view key, int64_t fallback, int64_t low,
                                   int64_t high) const {
  if (!has(key)) return fallback;
  return integer(key, low, high);
}

Result<double> Config::number_or(std::string_view key, double fallback, double low,
                                 double high) const {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_number()) return wrong(key, "a number");
  const double number = value->get<double>();
  if (!(number >= low && number <= high))
    return wrong(key, cat("a number from ", low, " to ", high));
  return number;
}

Result<bool> Config::boolean_or(std::string_view key, bool fallback) const {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) return wrong(key, "true or false");
  return value->get<bool>();
}

Result<std::string> Config::text_or(std::string_view key, std::string_view fallback) const {
  const Json* value = find(key);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) return wrong(key, "a string");
  return value->get<std::string>();
}

Result<std::vector<double>> Config::numbers(std::string_view key, double low, double high) const {
  const Json* value = find(key);
  const std::string wanted = cat("a list of numbers from ", low, " to ", high);
  if (value == nullptr || !value->is_array()) return wrong(key, wanted);
  std::vector<double> numbers;
  for (const Json& entry : *value) {
    if (!entry.is_number()) return wrong(key, wanted);
    numbers.push_back(entry.get<double>());
    if (!(numbers.back() >= low && numbers.back() <= high)) return wrong(key, wanted);
  }
  return numbers;
}

Result<std::vector<std::string>> Config::texts(std::string_view key) const {
  const Json* value = find(key);
  std::vector<std::string> texts;
  if (value == nullptr) return texts;
  if (!value->is_array()) return wrong(key, "a list of strings");
  for (const Json& entry : *value) {
    if (!entry.is_string()) return wrong(key, "a list of strings");
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

Result<std::optional<Config>> Config::object(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::optional<Config>();
  if (!value->is_object()) return wrong(key, "an object");
  return std::optional<Config>(Config(*value, cat(origin_, ": ", key)));
}

Result<Config> read_config(const Checkpoint& checkpoint) {
  if (checkpoint.container() == Container::gguf) return config_from_gguf(checkpoint);
  if (!checkpoint.config().is_object()) {
    return bad_input(cat(printable(checkpoint.path()), "/config.json: expected an object"));
  }
  return Config(checkpoint.config(), path_join(printable(checkpoint.path()), "config.json"));
}

}  // namespace awq
