#include "base/json.h"

#include <unordered_set>
#include <vector>

#include "base/file.h"

namespace awq {
namespace {

// Builds the value bottom-up, so that depth and duplicate keys are judged while reading.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view origin, JsonLimits limits) : origin_(origin), limits_(limits) {}

  bool null() override { return add(Json(nullptr)); }
  bool boolean(bool value) override { return add(Json(value)); }
  bool number_integer(number_integer_t value) override { return add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return add(Json(value)); }
  bool number_float(number_float_t value, const string_t&) override { return add(Json(value)); }
  bool string(string_t& value) override { return add(Json(std::move(value))); }
  bool binary(binary_t&) override { return false; }

  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    if (!stack_.back().keys.insert(name).second) {
      return fail(cat("duplicate key \"", printable(name), "\""));
    }
    stack_.back().key = std::move(name);
    return true;
  }

  bool parse_error(size_t offset, const std::string&,
                   const nlohmann::detail::exception& error) override {
    std::string_view reason = error.what();
    if (const size_t colon = reason.find(": "); colon != std::string_view::npos) {
      reason.remove_prefix(colon + 2);
    }
    return fail(cat("not valid JSON at byte ", offset, ": ", printable(reason)));
  }

  Result<Json> take(bool parsed) {
    if (parsed && error_.empty()) return std::move(root_);
    return bad_input(cat(origin_, ": ", error_.empty() ? "not valid JSON" : error_));
  }

 private:
  struct Level {
    Json value;
    std::string key;
    std::unordered_set<std::string> keys;
  };

  bool fail(std::string message) {
    if (error_.empty()) error_ = std::move(message);
    return false;
  }

  bool open(Json value) {
    if (static_cast<int>(stack_.size()) >= limits_.depth) {
      return fail(cat("nested deeper than ", limits_.depth, " levels"));
    }
    stack_.push_back({std::move(value), {}, {}});
    return true;
  }

  bool close() {
    Json value = std::move(stack_.back().value);
    stack_.pop_back();
    return add(std::move(value));
  }

  bool add(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
    } else if (Level& level = stack_.back(); level.value.is_array()) {
      level.value.push_back(std::move(value));
    } else {
      // The key is new (see key()), so append without ordered_map's linear search.
      auto& object = level.value.get_ref<Json::object_t&>();
      object.std::vector<Json::object_t::value_type, Json::object_t::allocator_type>::emplace_back(
          std::move(level.key), std::move(value));
    }
    return true;
  }

  std::string_view origin_;
  JsonLimits limits_;
  std::vector<Level> stack_;
  Json root_;
  std::string error_;
};

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view origin, JsonLimits limits) {
  if (text.size() > limits.bytes) {
    return bad_input(cat(origin, ": ", text.size(), " bytes of JSON, the limit is ", limits.bytes));
  }
  Builder builder(origin, limits);
  const bool parsed = Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take(parsed);
}

Result<Json> read_json_file(const std::string& path, JsonLimits limits) {
  AWQ_ASSIGN(const std::string text, read_file(path, limits.bytes));
  return parse_json(text, path, limits);
}

std::string dump_json(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace awq
