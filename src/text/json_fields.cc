#include "text/json_fields.h"

namespace awq {

JsonField JsonField::operator[](std::string_view name) const {
  static const Json absent;
  const bool dot = !path.empty() && path.back() != ' ';
  JsonField member{&absent, cat(path, dot ? "." : "", name)};
  if (!json->is_object()) return member;
  for (auto it = json->begin(); it != json->end(); ++it) {
    if (it.key() == name) member.json = &it.value();
  }
  return member;
}

JsonField JsonField::at(size_t index) const { return {&(*json)[index], cat(path, "[", index, "]")}; }

Error JsonField::error(std::string_view what) const { return bad_input(cat(path, ": ", what)); }

Result<std::string_view> JsonField::text() const {
  if (!json->is_string()) return error(cat("expected a string, found ", json->type_name()));
  return std::string_view(json->get_ref<const std::string&>());
}

Result<int64_t> JsonField::integer(int64_t low, int64_t high) const {
  if (!json->is_number_integer()) {
    return error(cat("expected an integer, found ", json->type_name()));
  }
  const bool huge = json->is_number_unsigned() && json->get<uint64_t>() > uint64_t{INT64_MAX};
  const int64_t value = huge ? INT64_MAX : json->get<int64_t>();
  if (huge || value < low || value > high) {
    return error(cat("expected an integer from ", low, " to ", high, ", found ",
                     printable(dump_json(*json))));
  }
  return value;
}

Result<std::string_view> JsonField::type() const {
  if (!json->is_object()) return error(cat("expected an object, found ", json->type_name()));
  return (*this)["type"].text();
}

Result<std::string_view> JsonField::text_or(std::string_view fallback) const {
  if (null()) return fallback;
  return text();
}

Result<bool> JsonField::boolean_or(bool fallback) const {
  if (null()) return fallback;
  if (!json->is_boolean()) return error(cat("expected true or false, found ", json->type_name()));
  return json->get<bool>();
}

}  // namespace awq
