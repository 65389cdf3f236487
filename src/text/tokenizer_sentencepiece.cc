// Tokenizer::from_sentencepiece: a tokenizer.model and what lies beside it, as the arrays of a "llama"
// vocabulary. Sources: SentencePiece; for the special tokens, transformers' tokenizers of such models.
#include <algorithm>
#include <limits>

#include "text/tokenizer_impl.h"

namespace awq {
namespace {

constexpr size_t kMaxAdded = 4096;  // each is looked for among the others

// A special token of tokenizer_config.json: a text, or an object with "content"; else empty.
std::string special_text(const JsonField& config, std::string_view name) {
  const JsonField field = config[name];
  const JsonField text = field.string() ? field : field["content"];
  return text.string() ? text.json->get<std::string>() : std::string();
}

TokenId piece_id(const SentencePieceModel& model, const std::string& text, TokenId fallback) {
  const auto found = std::find(model.tokens.begin(), model.tokens.end(), text);
  return found == model.tokens.end() ? fallback
                                     : static_cast<TokenId>(found - model.tokens.begin());
}

Json added_entry(int64_t id, std::string content, bool special) {
  Json token = Json::object();
  token["id"] = id;
  token["content"] = std::move(content);
  for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"}) token[flag] = false;
  token["special"] = special;
  return token;
}

// added_tokens_decoder: {"32000": {"content": "<pad>", "lstrip": false, ...}}.
Status read_decoder(const JsonField& field, std::vector<Json>& out) {
  if (field.null()) return {};
  if (!field.json->is_object()) return field.error("expected an object");
  for (auto it = field.json->begin(); it != field.json->end(); ++it) {
    const JsonField entry{&it.value(), cat(field.path, ".", printable(it.key(), 40))};
    AWQ_ASSIGN(const std::string_view content, entry["content"].text());
    const std::string& key = it.key();
    const bool number = !key.empty() && key.size() < 8 &&
                        key.find_first_not_of("0123456789") == std::string::npos;
    if (!number) return entry.error("the key is not the id of a token");
    Json token = added_entry(std::stoll(key), std::string(content), false);
    for (const char* flag : {"single_word", "lstrip", "rstrip", "special"}) {
      AWQ_ASSIGN(token[flag], entry[flag].boolean_or(false));
    }
    out.push_back(std::move(token));
  }
  return {};
}

// added_tokens.json: {"<pad>": 32000}.
Status read_added(const JsonField& field, std::vector<Json>& out) {
  if (field.null()) return {};
  if (!field.json->is_object()) return field.error("expected an object");
  for (auto it = field.json->begin(); it != field.json->end(); ++it) {
    const JsonField entry{&it.value(), cat(field.path, printable(it.key(), 40))};
    AWQ_ASSIGN(const int64_t id, entry.integer(0, TokenTable::kMaxTokens - 1));
    const bool known = std::any_of(out.begin(), out.end(), [&](const Json& token) {
      return token["content"] == it.key();
    });
    if (!known) out.push_back(added_entry(id, it.key(), false));
  }
  return {};
}

}  // namespace

void Tokenizer::Impl::set_unigram(const SentencePieceModel& model, const UnigramOptions& options) {
  constexpr int32_t kNormal = 1, kUser = 4;
  // The highest begins at the smallest positive number, as there: user's pieces cost 0.1 as a rule.
  float lowest = std::numeric_limits<float>::max(), highest = std::numeric_limits<float>::min();
  for (size_t id = 0; id < model.tokens.size(); ++id) {
    if (model.types[id] != kNormal) continue;
    lowest = std::min(lowest, model.scores[id]);
    highest = std::max(highest, model.scores[id]);
  }
  std::vector<double> scores(model.scores.begin(), model.scores.end());
  std::vector<bool> usable(model.tokens.size());
  for (size_t id = 0; id < usable.size(); ++id) {
    usable[id] = model.types[id] == kNormal || model.types[id] == kUser;
    if (model.types[id] != kUser) continue;
    // The bonus that lets the user's pieces win.
    scores[id] = static_cast<float>(model.tokens[id].size()) * highest - 0.1;
  }
  unigram = Unigram(vocabulary, options, std::move(scores), usable, lowest);
}

Result<Tokenizer> Tokenizer::from_sentencepiece(std::string_view file,
                                                const SentencePieceFiles& beside,
                                                std::string_view origin) {
  AWQ_ASSIGN(const SentencePieceModel model, read_sentencepiece(file, origin));
  const JsonField config{&beside.config, "tokenizer_config.json: "};
  std::vector<Json> added;
  AWQ_TRY(read_decoder(config["added_tokens_decoder"], added));
  AWQ_TRY(read_added(JsonField{&beside.added, "added_tokens.json: "}, added));
  if (added.size() > kMaxAdded) {
    return bad_input(cat(origin, ": ", added.size(), " added tokens; the limit is ", kMaxAdded));
  }
  GgufVocabulary arrays;
  arrays.model = "llama";
  arrays.tokens = model.tokens;
  arrays.scores = model.scores;
  arrays.token_types = model.types;
  arrays.unknown = model.unknown;
  arrays.bos = piece_id(model, special_text(config, "bos_token"), model.bos);
  arrays.eos = piece_id(model, special_text(config, "eos_token"), model.eos);
  arrays.padding = model.padding;
  arrays.add_space_prefix = model.add_dummy_prefix;
  arrays.add_bos_given = true;
  AWQ_ASSIGN(arrays.add_bos, config["add_bos_token"].boolean_or(true));
  AWQ_ASSIGN(arrays.add_eos, config["add_eos_token"].boolean_or(false));
  arrays.add_bos = arrays.add_bos && arrays.bos >= 0;
  AWQ_ASSIGN(auto impl, Impl::from_arrays(arrays, &model, added, origin));
  for (const auto& [name, id] : {std::pair("bos_token", &impl->bos), {"eos_token", &impl->eos}}) {
    const std::string text = special_text(config, name);
    if (text.empty()) continue;
    *id = impl->vocabulary.find(text);
    if (*id < 0) {
      return bad_input(cat(origin, ": ", name, " \"", printable(text),
                           "\" of tokenizer_config.json is not in the vocabulary"));
    }
  }
  return Tokenizer(std::move(impl));
}

}  // namespace awq
