#include "session/vocabulary.h"

#include <algorithm>
#include <array>

#include "base/file.h"
#include "text/byte_level_document.h"

namespace awq {
namespace {

constexpr std::array<std::string_view, 11> kCarriedFiles = {
    "vocab.json",              "merges.txt",
    "tokenizer.json",          "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json",       "tokenizer.model",       "chat_template.jinja",
    "generation_config.json",  "LICENSE",               "chat_template.json"};
constexpr size_t kTemplateLimit = size_t{1} << 20, kModelLimit = size_t{64} << 20;

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

// vocab.json and merges.txt, with the end of text that GPT-2's tokenizer has where none is named.
Result<Tokenizer> load_byte_level(const std::string& directory, Json config) {
  const std::string path = path_join(directory, "vocab.json");
  AWQ_ASSIGN(Json vocabulary, read_json_file(path));
  AWQ_ASSIGN(const std::string merges, read_file(path_join(directory, "merges.txt"), kModelLimit));
  constexpr const char* kEnd = "<|endoftext|>";
  if (config.is_null()) config = Json::object();
  if (config.is_object() && !config.contains("eos_token") && vocabulary.is_object() &&
      vocabulary.contains(kEnd)) {
    config["eos_token"] = kEnd;
  }
  return Tokenizer::from_json(byte_level_document(std::move(vocabulary), merges, config), config,
                              printable(path));
}

// tokenizer.json, which says everything, else SentencePiece's tokenizer.model, else GPT-2's files.
Result<Tokenizer> load_tokenizer(const std::string& directory, const Json& config) {
  const std::string path = path_join(directory, "tokenizer.json");
  if (file_exists(path)) {
    AWQ_ASSIGN(const Json tokenizer_json, read_json_file(path));
    return Tokenizer::from_json(tokenizer_json, config, printable(path));
  }
  const std::string model = path_join(directory, "tokenizer.model");
  if (!file_exists(model)) {
    if (file_exists(path_join(directory, "merges.txt"))) return load_byte_level(directory, config);
    return bad_input(cat(printable(path), ": not found, nor are tokenizer.model, or vocab.json and "
                         "merges.txt; the tokenizer is read from one of these (transformers' "
                         "save_pretrained writes the first)"));
  }
  AWQ_ASSIGN(const std::string bytes, read_file(model, kModelLimit));
  SentencePieceFiles beside;
  beside.config = config;
  AWQ_ASSIGN(beside.added, read_optional_json(directory, "added_tokens.json"));
  return Tokenizer::from_sentencepiece(bytes, beside, printable(model));
}

Result<Vocabulary> load_directory(const Checkpoint& checkpoint, int64_t vocab) {
  const std::string& directory = checkpoint.path();
  AWQ_ASSIGN(const Json config, read_optional_json(directory, "tokenizer_config.json"));
  AWQ_ASSIGN(const Json generation, read_optional_json(directory, "generation_config.json"));
  AWQ_ASSIGN(Tokenizer tokenizer, load_tokenizer(directory, config));
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

// Typed reads of tokenizer.ggml.*; what is absent keeps its default, any other type is an error.
class GgufFields {
 public:
  GgufFields(const Metadata& metadata, std::string origin)
      : metadata_(metadata), origin_(std::move(origin)) {}

  const std::string& origin() const { return origin_; }
  bool has(std::string_view name) const { return find(name) != nullptr; }

  Error error(std::string_view name, std::string_view what) const {
    return bad_input(cat(origin_, ": tokenizer.ggml.", name, ": ", what));
  }

  template <class T>
  Status read(std::string_view name, T& out) const {
    const MetaValue* value = find(name);
    if (value == nullptr) return {};
    const T* typed = std::get_if<T>(value);
    if (typed == nullptr) return error(name, "the value is of an unexpected type");
    out = *typed;
    return {};
  }

  // -1 and its unsigned form mean that there is no such token.
  Status read_id(std::string_view name, TokenId& out) const {
    const MetaValue* value = find(name);
    if (value == nullptr) return {};
    int64_t id = 0;
    if (const auto* number = std::get_if<uint64_t>(value)) {
      id = static_cast<int64_t>(std::min<uint64_t>(*number, INT64_MAX));
    } else if (const auto* signed_number = std::get_if<int64_t>(value)) {
      id = *signed_number;
    } else {
      return error(name, "expected an integer");
    }
    if (id == UINT32_MAX) id = -1;
    if (id < -1 || id > INT32_MAX) return error(name, cat(id, " is not the id of a token"));
    out = static_cast<TokenId>(id);
    return {};
  }

 private:
  const MetaValue* find(std::string_view name) const {
    const auto found = metadata_.find(cat("tokenizer.ggml.", name));
    return found == metadata_.end() ? nullptr : &found->second;
  }

  const Metadata& metadata_;
  std::string origin_;
};

Result<GgufVocabulary> read_gguf_fields(const GgufFields& fields) {
  GgufVocabulary out;
  for (const std::string_view name : {"model", "tokens"}) {
    if (!fields.has(name)) return fields.error(name, "missing; the file has no vocabulary");
  }
  AWQ_TRY(fields.read("model", out.model));
  AWQ_TRY(fields.read("pre", out.pre));
  AWQ_TRY(fields.read("tokens", out.tokens));
  AWQ_TRY(fields.read("merges", out.merges));
  std::vector<double> scores;
  AWQ_TRY(fields.read("scores", scores));
  out.scores.assign(scores.begin(), scores.end());
  std::vector<int64_t> types;
  AWQ_TRY(fields.read("token_type", types));
  for (const int64_t type : types) {
    // What does not fit becomes 0, which is no type either.
    out.token_types.push_back(type == static_cast<int32_t>(type) ? static_cast<int32_t>(type) : 0);
  }
  AWQ_TRY(fields.read_id("bos_token_id", out.bos));
  AWQ_TRY(fields.read_id("eos_token_id", out.eos));
  AWQ_TRY(fields.read_id("eot_token_id", out.eot));
  AWQ_TRY(fields.read_id("unknown_token_id", out.unknown));
  AWQ_TRY(fields.read_id("padding_token_id", out.padding));
  out.add_bos_given = fields.has("add_bos_token");
  AWQ_TRY(fields.read("add_bos_token", out.add_bos));
  AWQ_TRY(fields.read("add_eos_token", out.add_eos));
  AWQ_TRY(fields.read("add_space_prefix", out.add_space_prefix));
  if (out.model == "gpt2" && !fields.has("merges")) return fields.error("merges", "missing");
  return out;
}

Result<Vocabulary> load_gguf(const Checkpoint& checkpoint, int64_t vocab) {
  const Metadata& metadata = checkpoint.metadata();
  const GgufFields fields(metadata, printable(checkpoint.path()));
  AWQ_ASSIGN(GgufVocabulary gguf, read_gguf_fields(fields));
  const TokenId eos = gguf.eos, eot = gguf.eot;
  AWQ_ASSIGN(Tokenizer tokenizer, Tokenizer::from_gguf(std::move(gguf), fields.origin()));
  Vocabulary result{std::move(tokenizer), std::nullopt, {}};
  const auto found = metadata.find("tokenizer.chat_template");
  if (found != metadata.end() && std::holds_alternative<std::string>(found->second)) {
    result.chat_template = std::get<std::string>(found->second);
  }
  add_stop(result.stop_ids, eos, vocab);
  add_stop(result.stop_ids, eot, vocab);
  return result;
}

// tokenizer_config.json and generation_config.json of a model that came as GGUF.
Status write_from_gguf(const Vocabulary& vocabulary, const std::string& directory) {
  const Tokenizer& tokenizer = vocabulary.tokenizer;
  Json config = tokenizer.export_tokenizer_config(), generation = Json::object();
  if (tokenizer.bos() >= 0) generation["bos_token_id"] = tokenizer.bos();
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
