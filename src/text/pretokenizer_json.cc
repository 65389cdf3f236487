// The "pre_tokenizer" object of tokenizer.json.
#include "text/pretokenizer.h"

namespace awq {
namespace {

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

Result<SplitBehavior> read_behavior(const JsonField& field, std::string_view fallback) {
  AWQ_ASSIGN(const std::string_view name, field.text_or(fallback));
  if (name == "Removed") return SplitBehavior::removed;
  if (name == "Isolated") return SplitBehavior::isolated;
  if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
  if (name == "Contiguous") return SplitBehavior::contiguous;
  return field.error(cat("the split behavior \"", printable(name), "\" is not known"));
}

Result<char32_t> read_character(const JsonField& field, std::string_view fallback) {
  AWQ_ASSIGN(const std::string_view text, field.text_or(fallback));
  if (text.empty() || !is_utf8(text)) return field.error("expected one character");
  size_t end = 0;
  const char32_t character = next_character(text, end);
  if (end != text.size()) return field.error("expected one character");
  return character;
}

}  // namespace

Result<Pretokenizer> Pretokenizer::from_json(const JsonField& field) {
  Pretokenizer pretokenizer;
  AWQ_TRY(pretokenizer.add(field, 0));
  return pretokenizer;
}

void Pretokenizer::add_simple(Kind kind, SplitBehavior behavior) {
  Step step;
  step.kind = kind;
  step.behavior = behavior;
  step.invert = kind == Kind::words;
  steps_.push_back(std::move(step));
}

Status Pretokenizer::add(const JsonField& field, int depth) {
  if (field.null()) return {};
  AWQ_ASSIGN(const std::string_view type, field.type());
  if (type == "Sequence") {
    const JsonField list = field["pretokenizers"];
    if (!list.array()) return list.error("expected an array");
    if (depth >= kMaxNestedSequences) return field.error("sequences nested too deeply");
    for (size_t i = 0; i < list.size(); ++i) AWQ_TRY(add(list.at(i), depth + 1));
    return {};
  }
  if (type == "ByteLevel") return add_byte_level(field);
  if (type == "Metaspace") return add_metaspace(field);
  if (type == "Split") return add_split(field);
  if (type == "Digits") {
    AWQ_ASSIGN(const bool individual, field["individual_digits"].boolean_or(false));
    add_simple(Kind::digits, individual ? SplitBehavior::isolated : SplitBehavior::contiguous);
  } else if (type == "Punctuation") {
    AWQ_ASSIGN(const SplitBehavior behavior, read_behavior(field["behavior"], "Isolated"));
    add_simple(Kind::punctuation, behavior);
  } else if (type == "WhitespaceSplit") {
    add_simple(Kind::spaces, SplitBehavior::removed);
  } else if (type == "Whitespace") {
    add_simple(Kind::words, SplitBehavior::removed);
  } else if (type == "BertPreTokenizer") {
    add_simple(Kind::spaces, SplitBehavior::removed);
    add_simple(Kind::punctuation, SplitBehavior::isolated);
  } else if (type == "CharDelimiterSplit") {
    AWQ_ASSIGN(const char32_t character, read_character(field["delimiter"], ""));
    add_simple(Kind::character, SplitBehavior::removed);
    steps_.back().character = character;
  } else {
    return field["type"].error(
        cat("the pre-tokenizer \"", printable(type), "\" is not supported"));
  }
  return {};
}

Status Pretokenizer::add_byte_level(const JsonField& field) {
  AWQ_ASSIGN(const bool prefix, field["add_prefix_space"].boolean_or(true));
  AWQ_ASSIGN(const bool split, field["use_regex"].boolean_or(true));
  if (prefix) add_simple(Kind::prefix_space, SplitBehavior::isolated);
  if (split) {
    add_simple(Kind::pattern, SplitBehavior::isolated);
    AWQ_ASSIGN(steps_.back().pattern.regex, Regex::compile(kGpt2Pattern, field.path));
  }
  add_simple(Kind::bytes, SplitBehavior::isolated);
  return {};
}

Status Pretokenizer::add_metaspace(const JsonField& field) {
  Step step;
  step.kind = Kind::metaspace;
  step.behavior = SplitBehavior::merged_with_next;
  AWQ_ASSIGN(const char32_t character, read_character(field["replacement"], "\xE2\x96\x81"));
  append_utf8(step.replacement, character);
  step.pattern.text = step.replacement;
  AWQ_ASSIGN(step.split, field["split"].boolean_or(true));
  AWQ_ASSIGN(const std::string_view scheme, field["prepend_scheme"].text_or("always"));
  AWQ_ASSIGN(const bool legacy, field["add_prefix_space"].boolean_or(true));
  if (scheme == "first") {
    step.prepend = Step::Prepend::first;
  } else if (scheme == "never" || (!legacy && field["prepend_scheme"].null())) {
    step.prepend = Step::Prepend::never;
  } else if (scheme != "always") {
    return field["prepend_scheme"].error(cat("\"", printable(scheme), "\" is not known"));
  }
  steps_.push_back(std::move(step));
  return {};
}

Status Pretokenizer::add_split(const JsonField& field) {
  Step step;
  AWQ_ASSIGN(step.pattern, Pattern::from_json(field["pattern"]));
  AWQ_ASSIGN(step.behavior, read_behavior(field["behavior"], ""));
  AWQ_ASSIGN(step.invert, field["invert"].boolean_or(false));
  steps_.push_back(std::move(step));
  return {};
}

}  // namespace awq
