#include "text/byte_level_document.h"

#include <algorithm>
#include <string>

#include "text/json_fields.h"

namespace awq {
namespace {

// One merge a line, after a line "#version: 0.2".
Json merge_list(std::string_view text) {
  Json list = Json::array();
  bool first = true;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    const bool header = first && line.substr(0, 8) == "#version";
    first = false;
    if (!line.empty() && !header) list.push_back(std::string(line));
  }
  return list;
}

bool flag(const Json& config, std::string_view name) {
  const JsonField field = JsonField{&config, ""}[name];
  return field.json->is_boolean() && field.json->get<bool>();
}

std::string bos_of(const Json& config) {
  const JsonField field = JsonField{&config, ""}["bos_token"];
  const JsonField text = field.string() ? field : field["content"];
  return text.string() ? text.json->get<std::string>() : std::string();
}

Json bos_template(const std::string& bos, const Json& id) {
  Json token = {{"SpecialToken", {{"id", bos}, {"type_id", 0}}}};
  Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  Json ids = Json::object();
  ids[bos] = {{"id", bos}, {"ids", Json::array({id})}, {"tokens", Json::array({bos})}};
  return {{"type", "TemplateProcessing"}, {"single", Json::array({std::move(token), std::move(text)})},
          {"pair", Json::array()}, {"special_tokens", std::move(ids)}};
}

}  // namespace

Json byte_level_document(Json vocabulary, std::string_view merges, const Json& config) {
  Json document = Json::object();
  document["version"] = "1.0";
  document["added_tokens"] = Json::array();
  document["normalizer"] = nullptr;
  document["pre_tokenizer"] = {{"type", "ByteLevel"},
                               {"add_prefix_space", flag(config, "add_prefix_space")},
                               {"trim_offsets", true}, {"use_regex", true}};
  const std::string bos = bos_of(config);
  const bool put_bos = flag(config, "add_bos_token") && vocabulary.is_object() &&
                       vocabulary.contains(bos);
  document["post_processor"] = put_bos ? bos_template(bos, vocabulary[bos]) : Json();
  document["decoder"] = {{"type", "ByteLevel"}};
  document["model"] = {{"type", "BPE"}, {"merges", merge_list(merges)}};
  document["model"]["vocab"] = std::move(vocabulary);
  return document;
}

}  // namespace awq
