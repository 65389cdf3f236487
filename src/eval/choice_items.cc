// Items of zero-shot tasks from their files.
#include <charconv>

#include "base/json.h"
#include "eval/choice_tasks.h"

namespace awq {
namespace {

class ItemReader {
 public:
  ItemReader(const Json& json, std::string_view where) : json_(json), where_(where) {}

  bool has(const char* key) const { return json_.contains(key); }

  Result<std::string> text(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end() || !found->is_string()) return wrong(key, "a text");
    return found->get<std::string>();
  }

  Result<std::vector<std::string>> texts(const char* key) const {
    const auto found = json_.find(key);
    std::vector<std::string> list;
    if (found == json_.end() || !found->is_array()) return wrong(key, "a list of texts");
    for (const Json& one : *found) {
      if (!one.is_string()) return wrong(key, "a list of texts");
      list.push_back(one.get<std::string>());
    }
    if (list.size() < 2) return wrong(key, "two texts or more");
    return list;
  }

  Result<int> gold(size_t choices) const {
    const auto found = json_.find("gold");
    if (found == json_.end() || !found->is_number_unsigned() ||
        found->get<uint64_t>() >= choices) {
      return wrong("gold", cat("a number from 0 to ", choices - 1));
    }
    return static_cast<int>(found->get<uint64_t>());
  }

 private:
  Error wrong(const char* key, std::string_view expected) const {
    return bad_input(cat(where_, ": \"", key, "\": expected ", expected));
  }
  const Json& json_;
  std::string_view where_;
};

std::string without_trailing_space(std::string text) {
  while (!text.empty() && std::string_view(" \t\r\n").find(text.back()) != std::string_view::npos) {
    text.pop_back();
  }
  return text;
}

Result<ChoiceItem> item_of(const Json& json, std::string_view where) {
  if (!json.is_object()) return bad_input(cat(where, ": expected an object"));
  const ItemReader reader(json, where);
  ChoiceItem item;
  if (reader.has("context_options")) {
    AWQ_ASSIGN(item.contexts, reader.texts("context_options"));
    AWQ_ASSIGN(std::string continuation, reader.text("continuation"));
    item.continuations = {std::move(continuation)};
  } else if (reader.has("query")) {
    AWQ_ASSIGN(std::string query, reader.text("query"));
    item.contexts = {without_trailing_space(std::move(query)) + "\nAnswer:"};
    AWQ_ASSIGN(item.continuations, reader.texts("choices"));
  } else {
    AWQ_ASSIGN(std::string context, reader.text("context"));
    item.contexts = {std::move(context)};
    if (reader.has("choices")) {
      AWQ_ASSIGN(item.continuations, reader.texts("choices"));
    } else {
      AWQ_ASSIGN(std::string continuation, reader.text("continuation"));
      item.continuations = {std::move(continuation)};
    }
  }
  if (item.choices() > 1) {
    AWQ_ASSIGN(item.gold, reader.gold(item.choices()));
  }
  return item;
}

// Six lines an item: context, gold, four endings.
Result<std::vector<ChoiceItem>> six_line_items(const std::vector<std::string_view>& lines,
                                               std::string_view origin) {
  if (lines.size() % 6 != 0) {
    return bad_input(cat(origin, ": ", lines.size(), " lines, expected six an item: context, gold, "
                         "four endings; or one JSON object a line"));
  }
  std::vector<ChoiceItem> items;
  for (size_t i = 0; i < lines.size(); i += 6) {
    ChoiceItem item;
    item.contexts = {std::string(lines[i])};
    const std::string_view gold = lines[i + 1];
    const auto [end, code] = std::from_chars(gold.data(), gold.data() + gold.size(), item.gold);
    if (code != std::errc() || end != gold.data() + gold.size() || item.gold < 0 || item.gold > 3) {
      return bad_input(cat(origin, ": line ", i + 2, ": expected the right ending, 0 to 3"));
    }
    for (size_t k = 2; k < 6; ++k) item.continuations.emplace_back(lines[i + k]);
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace

Result<std::vector<ChoiceItem>> parse_choice_items(std::string_view text, std::string_view origin) {
  std::vector<std::string_view> lines;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) end = text.size();
    std::string_view line = text.substr(begin, end - begin);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    lines.push_back(line);
    begin = end + 1;
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  if (lines.empty()) return bad_input(cat(origin, ": no items"));
  if (lines.front().substr(0, 1) != "{") return six_line_items(lines, origin);
  std::vector<ChoiceItem> items;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    const std::string where = cat(origin, ": line ", i + 1);
    AWQ_ASSIGN(const Json json, parse_json(lines[i], where));
    AWQ_ASSIGN(ChoiceItem item, item_of(json, where));
    if (!items.empty() && (item.choices() == 1) != (items.front().choices() == 1)) {
      return bad_input(cat(where, ": an item of another kind than those before"));
    }
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace awq
