#include "text/post_processor.h"

namespace awq {
namespace {

constexpr size_t kMaxPieces = 64;  // each is looked up in a list of the file's choosing

Result<TokenId> known_id(const JsonField& field, const TokenTable& vocabulary) {
  AWQ_ASSIGN(const int64_t id, field.integer(0, TokenTable::kMaxTokens - 1));
  if (!vocabulary.contains(static_cast<TokenId>(id))) {
    return field.error(cat("token ", id, " is not in the vocabulary"));
  }
  return static_cast<TokenId>(id);
}

Status add_template(const JsonField& field, const TokenTable& vocabulary, PostProcessor& out) {
  const JsonField single = field["single"];
  if (!single.array()) return single.error("expected an array");
  if (single.size() > kMaxPieces) return single.error(cat("more than ", kMaxPieces, " pieces"));
  std::vector<TokenId> before, after;
  bool seen = false;
  for (size_t i = 0; i < single.size(); ++i) {
    const JsonField piece = single.at(i);
    if (!piece["Sequence"].null()) {
      if (seen) return piece.error("a second sequence in the template of a single one");
      seen = true;
      continue;
    }
    AWQ_ASSIGN(const std::string_view name, piece["SpecialToken"]["id"].text());
    const JsonField ids = field["special_tokens"][name]["ids"];
    if (!ids.array()) return ids.error("expected an array");
    for (size_t k = 0; k < ids.size(); ++k) {
      AWQ_ASSIGN(const TokenId id, known_id(ids.at(k), vocabulary));
      (seen ? after : before).push_back(id);
    }
  }
  if (!seen) return single.error("the template has no sequence");
  out.before.insert(out.before.begin(), before.begin(), before.end());
  out.after.insert(out.after.end(), after.begin(), after.end());
  return {};
}

// ["token", id]
Result<TokenId> read_pair(const JsonField& field, const TokenTable& vocabulary) {
  if (!field.array() || field.size() != 2) return field.error("expected a token and its id");
  return known_id(field.at(1), vocabulary);
}

Status add(const JsonField& field, const TokenTable& vocabulary, int depth, PostProcessor& out) {
  if (field.null()) return {};
  AWQ_ASSIGN(const std::string_view type, field.type());
  if (type == "ByteLevel") return {};  // adjusts offsets only
  if (type == "TemplateProcessing") return add_template(field, vocabulary, out);
  if (type == "RobertaProcessing" || type == "BertProcessing") {
    AWQ_ASSIGN(const TokenId before, read_pair(field["cls"], vocabulary));
    AWQ_ASSIGN(const TokenId after, read_pair(field["sep"], vocabulary));
    out.before.insert(out.before.begin(), before);
    out.after.push_back(after);
    return {};
  }
  if (type != "Sequence") {
    return field["type"].error(
        cat("the post-processor \"", printable(type), "\" is not supported"));
  }
  const JsonField list = field["processors"];
  if (!list.array()) return list.error("expected an array");
  if (depth >= kMaxNestedSequences) return field.error("sequences nested too deeply");
  for (size_t i = 0; i < list.size(); ++i) AWQ_TRY(add(list.at(i), vocabulary, depth + 1, out));
  return {};
}

}  // namespace

Result<PostProcessor> PostProcessor::from_json(const JsonField& field,
                                               const TokenTable& vocabulary) {
  PostProcessor processor;
  AWQ_TRY(add(field, vocabulary, 0, processor));
  return processor;
}

}  // namespace awq
