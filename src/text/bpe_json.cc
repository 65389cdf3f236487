// The "model" object of tokenizer.json, type BPE.
#include "text/bpe.h"

namespace awq {
namespace {

Result<BpeMerge> read_merge(const JsonField& list, size_t index, const TokenTable& vocabulary) {
  const JsonField field = list.at(index);
  std::string_view left, right;
  if (field.array()) {  // ["a", "b"]
    if (field.size() != 2) return field.error("a merge is two tokens");
    AWQ_ASSIGN(left, field.at(0).text());
    AWQ_ASSIGN(right, field.at(1).text());
  } else {  // "a b"
    AWQ_ASSIGN(const std::string_view text, field.text());
    const size_t space = text.find(' ');
    if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
      return field.error(cat("\"", printable(text), "\" is not two tokens with a space between"));
    }
    left = text.substr(0, space), right = text.substr(space + 1);
  }
  BpeMerge merge;
  merge.left = vocabulary.find_model(left);
  merge.right = vocabulary.find_model(right);
  const std::string joined = cat(left, right);
  merge.result = vocabulary.find_model(joined);
  for (const auto& [id, text] : {std::pair(merge.left, left), std::pair(merge.right, right),
                                 std::pair(merge.result, std::string_view(joined))}) {
    if (id < 0) {
      return field.error(cat("the merge refers to \"", printable(text),
                             "\", which is not in the vocabulary"));
    }
  }
  return merge;
}

Status refuse_unsupported(const JsonField& model) {
  for (const std::string_view name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    AWQ_ASSIGN(const std::string_view affix, model[name].text_or(""));
    if (!affix.empty()) return model[name].error("subword affixes are not supported");
  }
  const JsonField dropout = model["dropout"];
  if (dropout.null()) return {};
  if (!dropout.json->is_number()) return dropout.error("expected a number");
  if (dropout.json->get<double>() != 0.0) return dropout.error("random merges are not supported");
  return {};
}

}  // namespace

Result<Bpe> Bpe::from_json(const JsonField& model, const TokenTable& vocabulary) {
  AWQ_TRY(refuse_unsupported(model));
  BpeOptions options;
  AWQ_ASSIGN(options.byte_fallback, model["byte_fallback"].boolean_or(false));
  AWQ_ASSIGN(options.fuse_unknown, model["fuse_unk"].boolean_or(false));
  AWQ_ASSIGN(options.ignore_merges, model["ignore_merges"].boolean_or(false));
  if (!model["unk_token"].null()) {
    AWQ_ASSIGN(const std::string_view unknown, model["unk_token"].text());
    options.unknown = vocabulary.find_model(unknown);
    if (options.unknown < 0) {
      return model["unk_token"].error(cat("\"", printable(unknown), "\" is not in the vocabulary"));
    }
  }
  const JsonField list = model["merges"];
  if (!list.array()) return list.error(cat("expected an array, found ", list.json->type_name()));
  std::vector<BpeMerge> merges;
  merges.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    AWQ_ASSIGN(BpeMerge merge, read_merge(list, i, vocabulary));
    merge.rank = static_cast<uint32_t>(i);
    merges.push_back(merge);
  }
  return Bpe(vocabulary, options, merges);
}

}  // namespace awq
