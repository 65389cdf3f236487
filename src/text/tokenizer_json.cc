// Tokenizer::from_json and what both loaders share.
#include <algorithm>

#include "text/tokenizer_impl.h"

namespace awq {
namespace {

Result<TokenTable> read_vocabulary(const JsonField& field) {
  if (!field.json->is_object()) {
    return field.error(cat("expected an object, found ", field.json->type_name()));
  }
  std::vector<std::pair<std::string, int64_t>> entries;
  entries.reserve(field.size());
  for (auto it = field.json->begin(); it != field.json->end(); ++it) {
    const JsonField id{&it.value(), field.path};
    if (!it.value().is_number_integer()) {
      return field.error(cat("token \"", printable(it.key()), "\" has no integer id"));
    }
    auto value = id.integer(0, TokenTable::kMaxTokens - 1);
    if (!value.ok()) {
      return field.error(cat("token \"", printable(it.key()), "\": id ",
                             printable(dump_json(it.value())), " is not from 0 to ",
                             TokenTable::kMaxTokens - 1));
    }
    entries.emplace_back(it.key(), *value);
  }
  return TokenTable::create(std::move(entries), field.path);
}

// A special token of tokenizer_config.json: a text, or an object with "content"; else empty.
std::string config_token(const Json& config, std::string_view name) {
  const JsonField field = JsonField{&config, "tokenizer_config.json"}[name];
  const JsonField text = field.string() ? field : field["content"];
  return text.string() ? text.json->get<std::string>() : std::string();
}

// BPE is the type when none is given, as in the first tokenizer.json files.
Result<bool> is_unigram(const JsonField& model) {
  if (!model.json->is_object()) return model.error("expected an object");
  AWQ_ASSIGN(const std::string_view type, model["type"].text_or("BPE"));
  if (type == "BPE") return false;
  if (type == "Unigram") return true;
  return model["type"].error(
      cat("the tokenizer model \"", printable(type), "\" is not supported; BPE and Unigram are"));
}

// What SentencePiece's character map leaves alone: the pieces that the user defined.
ByteTrie protected_texts(const std::vector<AddedToken>& tokens) {
  std::vector<ByteTrie::Key> keys;
  for (const AddedToken& token : tokens) {
    if (token.normalized) keys.emplace_back(token.content, token.id);
  }
  return ByteTrie(std::move(keys));
}

}  // namespace

Status Tokenizer::Impl::finish(const JsonField& root, const std::vector<std::string>& extra,
                               bool sentencepiece) {
  RegexScratch scratch;
  AWQ_ASSIGN(std::vector<AddedToken> tokens, AddedTokens::read(root["added_tokens"], vocabulary));
  for (const std::string& content : extra) {
    bool known = false;
    for (const AddedToken& token : tokens) known = known || token.content == content;
    const TokenId id = vocabulary.find(content);
    if (known || id < 0) continue;
    AddedToken token;
    token.content = content;
    token.id = id;
    token.special = true;
    tokens.push_back(std::move(token));
  }
  AWQ_ASSIGN(normalizer, Normalizer::from_json(root["normalizer"]));
  if (sentencepiece) {
    normalizer.map_longest(protected_texts(tokens));
    AWQ_ASSIGN(const bool scored, is_unigram(root["model"]));
    // Its unigram models weigh the user's pieces against all others.
    if (scored) std::erase_if(tokens, [](const AddedToken& token) { return token.normalized; });
    for (AddedToken& token : tokens) token.in_normal_form = true;
  }
  AWQ_ASSIGN(added, AddedTokens::create(tokens, normalizer, scratch));
  AWQ_ASSIGN(pretokenizer, Pretokenizer::from_json(root["pre_tokenizer"]));
  raw_bytes = bpe.has_byte_alphabet() && pretokenizer.defer_bytes();
  AWQ_ASSIGN(post_processor, PostProcessor::from_json(root["post_processor"], vocabulary));
  AWQ_ASSIGN(decoder, Decoder::from_json(root["decoder"]));
  special.assign(vocabulary.size(), false);
  for (const AddedToken& token : tokens) {
    if (token.special) special[token.id] = true;
  }
  bpe.set_special(&special);
  return {};
}

Result<Tokenizer> Tokenizer::from_json(const Json& tokenizer, const Json& config,
                                       std::string_view origin) {
  auto impl = std::make_unique<Impl>();
  if (!tokenizer.is_object()) return bad_input(cat(origin, ": expected a JSON object"));
  const JsonField root{&tokenizer, cat(origin, ": ")};
  const JsonField model = root["model"];
  AWQ_ASSIGN(const bool unigram, is_unigram(model));
  Unigram::File file;
  if (unigram) {
    AWQ_ASSIGN(file, Unigram::read_json(model));
    impl->vocabulary = std::move(file.vocabulary);
  } else {
    AWQ_ASSIGN(impl->vocabulary, read_vocabulary(model["vocab"]));
    AWQ_ASSIGN(impl->bpe, Bpe::from_json(model, impl->vocabulary));
  }
  std::vector<std::string> extra;
  for (const std::string_view name : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
    extra.push_back(config_token(config, name));
    if (extra.back().empty()) extra.pop_back();
  }
  AWQ_TRY(impl->finish(root, extra));
  if (unigram) {
    // Special tokens come from the added tokens alone, never from the user's text.
    std::vector<bool> usable = impl->special;
    usable.flip();
    const double lowest = *std::min_element(file.scores.begin(), file.scores.end());
    impl->unigram = Unigram(impl->vocabulary, file.options, std::move(file.scores), usable, lowest);
  }
  const std::string bos = config_token(config, "bos_token"), eos = config_token(config, "eos_token");
  if (!bos.empty()) {
    impl->bos = impl->vocabulary.find(bos);
  } else if (!impl->post_processor.before.empty()) {
    impl->bos = impl->post_processor.before.front();
  }
  if (!eos.empty()) {
    impl->eos = impl->vocabulary.find(eos);
    if (impl->eos < 0) {
      return bad_input(cat(origin, ": eos_token \"", printable(eos),
                           "\" of tokenizer_config.json is not in the vocabulary"));
    }
  }
  impl->document = dump_json(tokenizer);
  impl->document_complete = true;
  return Tokenizer(std::move(impl));
}

}  // namespace awq
