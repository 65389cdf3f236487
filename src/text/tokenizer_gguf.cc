// Tokenizer::from_gguf and the export of tokenizer.json.
#include "text/tokenizer_impl.h"
#include "text/unicode.h"

namespace awq {
namespace {

// Appends without ordered_map's linear search; the caller knows that the key is new.
void append_member(Json& object, std::string key, Json value) {
  auto& members = object.get_ref<Json::object_t&>();
  members.std::vector<Json::object_t::value_type, Json::object_t::allocator_type>::emplace_back(
      std::move(key), std::move(value));
}

Status check_id(TokenId id, size_t count, std::string_view name, std::string_view origin) {
  if (id >= -1 && id < static_cast<int64_t>(count)) return {};
  return bad_input(cat(origin, ": tokenizer.ggml.", name, " is ", id, ", the vocabulary has ",
                       count, " tokens"));
}

void replace_added(Json& list, const std::vector<Json>& added) {
  for (const Json& token : added) {
    bool known = false;
    for (Json& entry : list) {
      if (entry["content"] != token["content"]) continue;
      entry = token;
      known = true;
    }
    if (!known) list.push_back(token);
  }
}

}  // namespace

Result<Tokenizer> Tokenizer::from_gguf(GgufVocabulary source, std::string_view origin) {
  AWQ_ASSIGN(auto impl, Impl::from_arrays(source, nullptr, {}, origin));
  return Tokenizer(std::move(impl));
}

Result<std::unique_ptr<Tokenizer::Impl>> Tokenizer::Impl::from_arrays(
    const GgufVocabulary& source, const SentencePieceModel* model, const std::vector<Json>& added,
    std::string_view origin) {
  const size_t count = source.tokens.size();
  if (count == 0) return bad_input(cat(origin, ": tokenizer.ggml.tokens is empty"));
  AWQ_TRY(check_id(source.bos, count, "bos_token_id", origin));
  AWQ_TRY(check_id(source.eos, count, "eos_token_id", origin));
  AWQ_TRY(check_id(source.eot, count, "eot_token_id", origin));
  AWQ_TRY(check_id(source.unknown, count, "unknown_token_id", origin));
  AWQ_TRY(check_id(source.padding, count, "padding_token_id", origin));
  std::vector<std::pair<std::string, int64_t>> entries;
  entries.reserve(count);
  for (size_t id = 0; id < count; ++id) {
    if (!is_utf8(source.tokens[id])) {
      return bad_input(cat(origin, ": tokenizer.ggml.tokens[", id, "] is not valid UTF-8"));
    }
    entries.emplace_back(source.tokens[id], static_cast<int64_t>(id));
  }
  auto impl = std::make_unique<Impl>();
  const std::string where = cat(origin, model == nullptr ? ": tokenizer.ggml.tokens" : ": pieces");
  AWQ_ASSIGN(impl->vocabulary, TokenTable::create(std::move(entries), where));
  AWQ_ASSIGN(GgufParts parts, read_gguf_vocabulary(source, impl->vocabulary, origin, model));
  if (!parts.unigram) impl->bpe = Bpe(impl->vocabulary, parts.options, parts.rules);
  replace_added(parts.frame["added_tokens"], added);
  AWQ_TRY(impl->finish(JsonField{&parts.frame, cat(origin, ": ")}, {}, model != nullptr));
  if (parts.unigram) {
    impl->set_unigram(*model, {parts.options.unknown, parts.options.byte_fallback, true});
  }
  impl->bos = source.bos;
  impl->eos = source.eos;
  impl->document = dump_json(parts.frame);
  impl->merges = std::move(parts.merges);
  return impl;
}

Json Tokenizer::export_tokenizer_json() const {
  auto parsed = parse_json(impl_->document, "tokenizer.json");
  AWQ_CHECK(parsed.ok(), parsed.error().message);
  Json document = *std::move(parsed);
  if (impl_->document_complete) return document;
  const TokenTable& tokens = impl_->vocabulary;
  if (!impl_->unigram.empty()) {
    Json list = Json::array();
    for (size_t id = 0; id < impl_->unigram.scores().size(); ++id) {
      list.push_back({std::string(tokens.text(static_cast<TokenId>(id))), impl_->unigram.scores()[id]});
    }
    document["model"]["vocab"] = std::move(list);
    return document;
  }
  Json vocabulary = Json::object(), merges = Json::array();
  for (size_t id = 0; id < tokens.size(); ++id) {
    append_member(vocabulary, std::string(tokens.text(static_cast<TokenId>(id))), id);
  }
  // "a b" is what every version of the reference reads, but cannot hold a token with a space.
  bool spaces = false;
  for (const auto& [left, right] : impl_->merges) {
    spaces = spaces || tokens.text(left).find(' ') != std::string_view::npos ||
             tokens.text(right).find(' ') != std::string_view::npos;
  }
  for (const auto& [left, right] : impl_->merges) {
    const std::string_view a = tokens.text(left), b = tokens.text(right);
    if (spaces) {
      merges.push_back(Json::array({std::string(a), std::string(b)}));
    } else {
      merges.push_back(cat(a, " ", b));
    }
  }
  document["model"]["vocab"] = std::move(vocabulary);
  document["model"]["merges"] = std::move(merges);
  return document;
}

Json Tokenizer::export_tokenizer_config() const {
  Json config = Json::object();
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  config["clean_up_tokenization_spaces"] = false;
  config["model_max_length"] = 1000000000;
  if (bos() >= 0) config["bos_token"] = std::string(token_text(bos()));
  if (eos() >= 0) config["eos_token"] = std::string(token_text(eos()));
  return config;
}

}  // namespace awq
