#include "session/vocabulary.h"

#include <algorithm>
#include <array>

#include "base/file.h"

namespace awq {
namespace {

constexpr std::array<std::string_view, 9> kCarriedFiles = {
    "tokenizer.json",          "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json",       "tokenizer.model",       "chat_template.jinja",
    "generation_config.json",  "LICENSE",               "chat_template.json"};
constexpr size_t kTemplateLimit = size_t{1} << 20;

void add_stop(std::vector<int32_t>& ids, int64_t id, int64_t vocab) {
  if (id < 0 || id >= vocab) return;
  const auto value = static_cast<int32_t>(id);
  if (std::find(ids.begin(), ids.end(), value) == ids.end()) ids.push_back(value);
}

// "eos_token_id" is a number or a list of numbers.
Status add_stops(std::vector<int32_t>& ids, const Json& config, int64_t vocab,
                 std::string_view origin) {
  const auto found = config.find("eos_token_id");
  if (found == config.end() || found->is_null()) return {};
  const Json list = found->is_array() ? *found : Json::array({*found});
  for (const Json& id : list) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= vocab) {
      return bad_input(cat(origin, ": \"eos_token_id\" ", printable(dump_json(id), 40),
                           " is not an id below the vocabulary's ", vocab));
    }
    add_stop(ids, id.get<int64_t>(), vocab);
  }
  return {};
}

Result<Json> read_optional_json(const std::string& directory, std::string_view name) {
  const std::string path = path_join(directory, name);
  if (!file_exists(path)) return Json();
  return read_json_file(path);
}

// "chat_template" is a string or a list of {name, template}; "default" is the one for chat.
std::optional<std::string> template_of(const Json& config) {
  const auto found = config.find("chat_template");
  if (found == config.end()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_array()) return std::nullopt;
  for (const Json& entry : *found) {
    if (!entry.is_object()) continue;
    const auto name = entry.find("name"), text = entry.find("template");
    if (name != entry.end() && *name == "default" && text != entry.end() && text->is_string()) {
      return text->get<std::string>();
    }
  }
  return std::nullopt;
}

Result<Vocabulary> load_directory(const Checkpoint& checkpoint, int64_t vocab) {
  const std::string& directory = checkpoint.path();
  const std::string path = path_join(directory, "tokenizer.json");
  if (!file_exists(path)) {
    return bad_input(cat(printable(path), ": not found; the tokenizer is read from "
                         "tokenizer.json, which transformers' save_pretrained writes"));
  }
  AWQ_ASSIGN(const Json tokenizer_json, read_json_file(path));
  AWQ_ASSIGN(const Json config, read_optional_json(directory, "tokenizer_config.json"));
  AWQ_ASSIGN(const Json generation, read_optional_json(directory, "generation_config.json"));
  AWQ_ASSIGN(Tokenizer tokenizer,
             Tokenizer::from_json(tokenizer_json, config, printable(path)));
  Vocabulary result{std::move(tokenizer), template_of(config), {}};
  const std::string jinja = path_join(directory, "chat_template.jinja");
  if (file_exists(jinja)) {
    AWQ_ASSIGN(result.chat_template, read_file(jinja, kTemplateLimit));
  }
  AWQ_TRY(add_stops(result.stop_ids, checkpoint.config(), vocab, "config.json"));
  AWQ_TRY(add_stops(result.stop_ids, generation, vocab, "generation_config.json"));
  add_stop(result.stop_ids, result.tokenizer.eos(), vocab);
  return result;
}

template <class T>
const T* meta(const Metadata& metadata, std::string_view key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? nullptr : std::get_if<T>(&found->second);
}

int32_t meta_id(const Metadata& metadata, std::string_view key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return -1;
  if (const auto* value = std::get_if<uint64_t>(&found->second)) {
    return *value < (1u << 30) ? static_cast<int32_t>(*value) : -1;
  }
  if (const auto* value = std::get_if<int64_t>(&found->second)) {
    return *value >= 0 && *value < (1 << 30) ? static_cast<int32_t>(*value) : -1;
  }
  return -1;
}

bool meta_flag(const Metadata& metadata, std::string_view key, bool fallback) {
  const auto* value = meta<bool>(metadata, key);
  return value == nullptr ? fallback : *value;
}

Result<Vocabulary> load_gguf(const Checkpoint& checkpoint, int64_t vocab) {
  const Metadata& metadata = checkpoint.metadata();
  const std::string origin = printable(checkpoint.path());
  GgufVocabulary gguf;
  const auto* model = meta<std::string>(metadata, "tokenizer.ggml.model");
  const auto* tokens = meta<std::vector<std::string>>(metadata, "tokenizer.ggml.tokens");
  if (model == nullptr || tokens == nullptr) {
    return bad_input(cat(origin, ": no vocabulary (tokenizer.ggml.model, tokenizer.ggml.tokens)"));
  }
  gguf.model = *model;
  gguf.tokens = *tokens;
  if (const auto* pre = meta<std::string>(metadata, "tokenizer.ggml.pre")) gguf.pre = *pre;
  if (const auto* merges = meta<std::vector<std::string>>(metadata, "tokenizer.ggml.merges")) {
    gguf.merges = *merges;
  }
  if (const auto* scores = meta<std::vector<double>>(metadata, "tokenizer.ggml.scores")) {
    gguf.scores.assign(scores->begin(), scores->end());
  }
  if (const auto* types = meta<std::vector<int64_t>>(metadata, "tokenizer.ggml.token_type")) {
    gguf.token_types.assign(types->begin(), types->end());
  }
  gguf.bos = meta_id(metadata, "tokenizer.ggml.bos_token_id");
  gguf.eos = meta_id(metadata, "tokenizer.ggml.eos_token_id");
  gguf.eot = meta_id(metadata, "tokenizer.ggml.eot_token_id");
  gguf.unknown = meta_id(metadata, "tokenizer.ggml.unknown_token_id");
  gguf.padding = meta_id(metadata, "tokenizer.ggml.padding_token_id");
  gguf.add_bos_given = metadata.count("tokenizer.ggml.add_bos_token") > 0;
  gguf.add_bos = meta_flag(metadata, "tokenizer.ggml.add_bos_token", false);
  gguf.add_eos = meta_flag(metadata, "tokenizer.ggml.add_eos_token", false);
  gguf.add_space_prefix = meta_flag(metadata, "tokenizer.ggml.add_space_prefix", true);
  const int32_t eos = gguf.eos, eot = gguf.eot;
  AWQ_ASSIGN(Tokenizer tokenizer, Tokenizer::from_gguf(std::move(gguf), origin));
  Vocabulary result{std::move(tokenizer), std::nullopt, {}};
  if (const auto* text = meta<std::string>(metadata, "tokenizer.chat_template")) {
    result.chat_template = *text;
  }
  add_stop(result.stop_ids, eos, vocab);
  add_stop(result.stop_ids, eot, vocab);
  return result;
}

// tokenizer_config.json and generation_config.json of a model that came as GGUF.
Status write_from_gguf(const Vocabulary& vocabulary, const std::string& directory) {
  const Tokenizer& tokenizer = vocabulary.tokenizer;
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false}};
  Json generation = Json::object();
  if (tokenizer.bos() >= 0) {
    config["bos_token"] = std::string(tokenizer.token_text(tokenizer.bos()));
    generation["bos_token_id"] = tokenizer.bos();
  }
  if (tokenizer.eos() >= 0) {
    config["eos_token"] = std::string(tokenizer.token_text(tokenizer.eos()));
  }
  if (!vocabulary.stop_ids.empty()) generation["eos_token_id"] = vocabulary.stop_ids;
  if (vocabulary.chat_template) config["chat_template"] = *vocabulary.chat_template;
  AWQ_TRY(write_file(path_join(directory, "tokenizer.json"),
                     dump_json(tokenizer.export_tokenizer_json(), 1) + "\n"));
  AWQ_TRY(write_file(path_join(directory, "tokenizer_config.json"), dump_json(config, 2) + "\n"));
  return write_file(path_join(directory, "generation_config.json"),
                    dump_json(generation, 2) + "\n");
}

}  // namespace

Result<Vocabulary> load_vocabulary(const Checkpoint& checkpoint, int64_t vocab) {
  const bool gguf = checkpoint.container() == Container::gguf;
  AWQ_ASSIGN(Vocabulary result,
             gguf ? load_gguf(checkpoint, vocab) : load_directory(checkpoint, vocab));
  for (const int32_t id : {result.tokenizer.bos(), result.tokenizer.eos()}) {
    if (id >= vocab) {
      return bad_input(cat(printable(checkpoint.path()), ": special token id ", id,
                           " is outside the model's vocabulary of ", vocab));
    }
  }
  return result;
}

Status write_vocabulary(const Checkpoint& checkpoint, const Vocabulary& vocabulary,
                        const std::string& directory) {
  if (checkpoint.container() == Container::gguf) return write_from_gguf(vocabulary, directory);
  for (const std::string_view name : kCarriedFiles) {
    const std::string path = path_join(checkpoint.path(), name);
    if (!file_exists(path)) continue;
    AWQ_ASSIGN(const std::string text, read_file(path, size_t{256} << 20));
    AWQ_TRY(write_file(path_join(directory, name), text));
  }
  return {};
}

}  // namespace awq
