// GGUF vocabularies: "gpt2" is byte-level BPE with its merges written out; "llama" is SentencePiece
// BPE, whose merges follow from the scores: the adjacent pair that is a piece with the highest
// score is merged, leftmost on ties.
#include <algorithm>
#include <cmath>

#include "base/base64.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer_impl.h"
#include "text/unicode.h"

namespace awq {
namespace {

constexpr size_t kMaxPiece = 512;  // merges are looked for at every place in a piece
constexpr std::string_view kMarker = "\xE2\x96\x81";

enum TokenType : int32_t { normal = 1, unknown, control, user_defined, unused, byte };

class Reader {
 public:
  Reader(const GgufVocabulary& source, const TokenTable& vocabulary, std::string_view origin,
         const SentencePieceModel* model)
      : source_(source), vocabulary_(vocabulary), origin_(origin), model_(model) {}

  Result<GgufParts> run() {
    AWQ_TRY(check_types());
    parts_.frame["version"] = "1.0";
    parts_.frame["truncation"] = nullptr;
    parts_.frame["padding"] = nullptr;
    parts_.frame["added_tokens"] = added_tokens();
    if (source_.model == "gpt2") {
      AWQ_TRY(read_gpt2());
    } else if (source_.model == "llama") {
      AWQ_TRY(read_llama());
    } else {
      return error("model", cat("\"", printable(source_.model),
                                "\" is not supported; gpt2 and llama are"));
    }
    return std::move(parts_);
  }

 private:
  Error error(std::string_view field, std::string_view what) const {
    return bad_input(cat(origin_, model_ == nullptr ? ": tokenizer.ggml." : ": ", field, ": ", what));
  }
  size_t count() const { return source_.tokens.size(); }
  std::string_view text(size_t id) const { return source_.tokens[id]; }
  int32_t type(size_t id) const {
    return source_.token_types.empty() ? TokenType::normal : source_.token_types[id];
  }

  Status check_types() const {
    const auto& types = source_.token_types;
    if (!types.empty() && types.size() != count()) {
      return error("token_type", cat(types.size(), " types for ", count(), " tokens"));
    }
    for (size_t id = 0; id < types.size(); ++id) {
      if (types[id] < TokenType::normal || types[id] > TokenType::byte) {
        return error("token_type", cat("token ", id, " has type ", types[id], ", expected 1 to 6"));
      }
    }
    return {};
  }

  Json added_tokens() const {
    Json list = Json::array();
    for (size_t id = 0; id < count(); ++id) {
      const int32_t kind = type(id);
      if (kind != unknown && kind != control && kind != user_defined) continue;
      Json token = Json::object();
      token["id"] = id;
      token["content"] = std::string(text(id));
      token["single_word"] = false;
      token["lstrip"] = false;
      token["rstrip"] = false;
      // SentencePiece looks for the user's pieces in the normalized text, llama.cpp in the raw one.
      token["normalized"] = model_ != nullptr && kind == user_defined;
      token["special"] = kind != user_defined;
      list.push_back(std::move(token));
    }
    return list;
  }

  Json post_processor(bool add_bos, bool add_eos) const {
    Json single = Json::array(), tokens = Json::object();
    const auto put = [&](TokenId id) {
      const std::string name(text(id));
      single.push_back({{"SpecialToken", {{"id", name}, {"type_id", 0}}}});
      tokens[name] = {{"id", name}, {"ids", Json::array({id})}, {"tokens", Json::array({name})}};
    };
    if (add_bos) put(source_.bos);
    single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
    if (add_eos) put(source_.eos);
    Json pair = single;
    for (Json piece : single) {
      Json& fields = piece.begin().value();
      fields["type_id"] = 1;
      if (piece.contains("Sequence")) fields["id"] = "B";
      pair.push_back(std::move(piece));
    }
    Json out = Json::object();
    out["type"] = "TemplateProcessing";
    out["single"] = std::move(single);
    out["pair"] = std::move(pair);
    out["special_tokens"] = std::move(tokens);
    return out;
  }

  Status finish_frame(bool bos_by_custom, Json decoder) {
    const bool add_bos = source_.add_bos_given ? source_.add_bos : bos_by_custom;
    if (add_bos && source_.bos < 0) return error("bos_token_id", "missing, but to be added");
    if (source_.add_eos && source_.eos < 0) return error("eos_token_id", "missing, but to be added");
    Json& frame = parts_.frame;
    frame["post_processor"] = add_bos || source_.add_eos
                                  ? post_processor(add_bos, source_.add_eos)
                                  : Json();
    frame["decoder"] = std::move(decoder);
    Json model = Json::object();
    if (parts_.unigram) {
      model["type"] = "Unigram";
      model["unk_id"] = parts_.options.unknown;
      model["byte_fallback"] = parts_.options.byte_fallback;
      frame["model"] = std::move(model);
      return {};
    }
    model["type"] = "BPE";
    model["dropout"] = nullptr;
    model["unk_token"] = parts_.options.unknown >= 0
                             ? Json(std::string(text(parts_.options.unknown)))
                             : Json();
    model["continuing_subword_prefix"] = nullptr;
    model["end_of_word_suffix"] = nullptr;
    model["fuse_unk"] = parts_.options.fuse_unknown;
    model["byte_fallback"] = parts_.options.byte_fallback;
    model["ignore_merges"] = parts_.options.ignore_merges;
    frame["model"] = std::move(model);
    return {};
  }

  Status read_gpt2() {
    AWQ_ASSIGN(GgufPretokenizer pre, gguf_pretokenizer(source_.pre, origin_));
    parts_.options.ignore_merges = pre.ignore_merges;
    for (size_t i = 0; i < source_.merges.size(); ++i) AWQ_TRY(read_merge(i));
    parts_.frame["normalizer"] = std::move(pre.normalizer);
    parts_.frame["pre_tokenizer"] = std::move(pre.pre_tokenizer);
    Json decoder = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true},
                    {"use_regex", true}};
    return finish_frame(pre.add_bos && source_.bos >= 0, std::move(decoder));
  }

  Status read_merge(size_t index) {
    const std::string_view merge = source_.merges[index];
    const std::string field = cat("merges[", index, "]");
    // The first token is not empty, and a token itself may begin with a space.
    const size_t space = merge.empty() ? std::string_view::npos : merge.find(' ', 1);
    if (space == std::string_view::npos) {
      return error(field, cat("\"", printable(merge), "\" is not two tokens"));
    }
    const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
    BpeMerge rule;
    rule.left = vocabulary_.find_model(left);
    rule.right = vocabulary_.find_model(right);
    rule.result = vocabulary_.find_model(cat(left, right));
    if (rule.left < 0 || rule.right < 0 || rule.result < 0) {
      return error(field, cat("\"", printable(merge),
                              "\" refers to a token that is not in the vocabulary"));
    }
    rule.rank = static_cast<uint32_t>(index);
    parts_.rules.push_back(rule);
    parts_.merges.emplace_back(rule.left, rule.right);
    return {};
  }

  bool mergeable(TokenId id) const {
    return id >= 0 && (type(id) == normal || (type(id) == unused));
  }

  Status read_llama() {
    if (source_.scores.size() != count()) {
      return error("scores", cat(source_.scores.size(), " scores for ", count(), " tokens"));
    }
    if (source_.token_types.empty()) return error("token_type", "missing");
    for (size_t id = 0; id < count(); ++id) {
      if (!std::isfinite(source_.scores[id])) {
        return error("scores", cat("token ", id, " has no finite score"));
      }
      if (type(id) == byte && fallback_byte(text(id)) < 0) {
        return error("tokens", cat("byte token ", id, " is \"", printable(text(id)),
                                   "\", expected <0x00> to <0xFF>"));
      }
    }
    parts_.options.byte_fallback = model_ == nullptr || model_->byte_fallback;
    parts_.options.fuse_unknown = true;
    parts_.options.unknown = source_.unknown;
    for (size_t id = 0; id < count() && parts_.options.unknown < 0; ++id) {
      if (type(id) == unknown) parts_.options.unknown = static_cast<TokenId>(id);
    }
    parts_.unigram = model_ != nullptr && model_->kind == SentencePieceModel::Kind::unigram;
    if (!parts_.unigram) AWQ_TRY(merges_from_scores());
    parts_.frame["normalizer"] = model_ != nullptr ? sentencepiece_normalizer() : llama_normalizer();
    parts_.frame["pre_tokenizer"] = nullptr;
    return finish_frame(source_.bos >= 0, llama_decoder());
  }

  Status merges_from_scores() {
    auto& rules = parts_.rules;
    for (size_t id = 0; id < count(); ++id) {
      const std::string_view piece = text(id);
      if (model_ != nullptr && type(id) == unused) AWQ_TRY(check_unused(id));
      if (type(id) != normal) continue;
      if (piece.size() > kMaxPiece) {
        return error("tokens", cat("token ", id, " has ", piece.size(), " bytes, the limit is ",
                                   kMaxPiece));
      }
      for (size_t at = 0; at < piece.size();) {
        next_character(piece, at);
        if (at == piece.size()) break;
        BpeMerge rule;
        rule.left = vocabulary_.find_model(piece.substr(0, at));
        rule.right = vocabulary_.find_model(piece.substr(at));
        rule.result = static_cast<TokenId>(id);
        if (mergeable(rule.left) && mergeable(rule.right)) rules.push_back(rule);
      }
    }
    rank_by_score();
    // tokenizer.json needs a total order; transformers' converter breaks ties by length.
    std::vector<BpeMerge> ordered = rules;
    std::stable_sort(ordered.begin(), ordered.end(), [&](const BpeMerge& a, const BpeMerge& b) {
      if (a.rank != b.rank) return a.rank < b.rank;
      const size_t left_a = characters(a.left), left_b = characters(b.left);
      if (left_a != left_b) return left_a > left_b;
      return characters(a.right) > characters(b.right);
    });
    for (const BpeMerge& rule : ordered) parts_.merges.emplace_back(rule.left, rule.right);
    return {};
  }

  // SentencePiece merges to an unused piece and takes it apart again, which no list of merges says.
  Status check_unused(size_t id) const {
    const std::string_view piece = text(id);
    for (size_t at = 0; at < std::min(piece.size(), kMaxPiece);) {
      next_character(piece, at);
      if (at < piece.size() && mergeable(vocabulary_.find_model(piece.substr(0, at))) &&
          mergeable(vocabulary_.find_model(piece.substr(at)))) {
        return error("pieces", cat("piece ", id, " \"", printable(piece), "\" is unused, but may "
                                   "arise from merges, which is not supported"));
      }
    }
    return {};
  }

  // Pieces of the same score share a rank, so that the leftmost is merged first.
  void rank_by_score() {
    std::vector<float> scores = source_.scores;
    std::sort(scores.begin(), scores.end(), std::greater<>());
    scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
    for (BpeMerge& rule : parts_.rules) {
      const auto at = std::lower_bound(scores.begin(), scores.end(), source_.scores[rule.result],
                                       std::greater<>());
      rule.rank = static_cast<uint32_t>(at - scores.begin());
    }
  }

  size_t characters(TokenId id) const {
    size_t total = 0;
    for (const char c : text(id)) total += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    return total;
  }

  // The steps of SentencePiece's normalizer.cc, one after another: map characters, drop spaces, put
  // "▁" for them and before the text.
  Json sentencepiece_normalizer() const {
    Json list = Json::array();
    const auto replace = [&](std::string_view kind, std::string pattern, std::string_view content) {
      list.push_back({{"type", "Replace"}, {"pattern", {{std::string(kind), std::move(pattern)}}},
                      {"content", std::string(content)}});
    };
    if (!model_->character_map.empty()) {
      list.push_back({{"type", "Precompiled"},
                      {"precompiled_charsmap", encode_base64(model_->character_map)}});
    }
    const std::string marker(kMarker);
    if (model_->remove_extra_spaces) {
      replace("Regex", " {2,}", " ");
      replace("Regex", "\\A ", "");
    }
    replace("String", " ", marker);
    if (model_->remove_extra_spaces) {
      replace("Regex", cat("(?<!", marker, ")", marker, "+\\z"), "");
    }
    if (model_->add_dummy_prefix) list.push_back({{"type", "Prepend"}, {"prepend", marker}});
    return {{"type", "Sequence"}, {"normalizers", std::move(list)}};
  }

  Json llama_normalizer() const {
    Json replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}},
                    {"content", std::string(kMarker)}};
    if (!source_.add_space_prefix) return replace;
    Json prepend = {{"type", "Prepend"}, {"prepend", std::string(kMarker)}};
    Json list = Json::array();
    list.push_back(std::move(prepend));
    list.push_back(std::move(replace));
    return {{"type", "Sequence"}, {"normalizers", std::move(list)}};
  }

  Json llama_decoder() const {
    Json list = Json::array();
    list.push_back({{"type", "Replace"}, {"pattern", {{"String", std::string(kMarker)}}},
                    {"content", " "}});
    list.push_back({{"type", "ByteFallback"}});
    list.push_back({{"type", "Fuse"}});
    if (source_.add_space_prefix) {
      list.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    }
    return {{"type", "Sequence"}, {"decoders", std::move(list)}};
  }

  const GgufVocabulary& source_;
  const TokenTable& vocabulary_;
  std::string_view origin_;
  const SentencePieceModel* model_;
  GgufParts parts_;
};

}  // namespace

Result<GgufParts> read_gguf_vocabulary(const GgufVocabulary& source, const TokenTable& vocabulary,
                                       std::string_view origin, const SentencePieceModel* model) {
  return Reader(source, vocabulary, origin, model).run();
}

}  // namespace awq
