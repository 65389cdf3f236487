#include "text/normalizer.h"

#include "text/byte_alphabet.h"

namespace awq {
namespace {

std::string strip(std::string_view text, bool left, bool right) {
  size_t begin = 0, end = text.size();
  while (left && begin < end) {
    size_t next = begin;
    if (!is_white_space(next_character(text, next))) break;
    begin = next;
  }
  while (right && end > begin) {
    const size_t last = previous_character(text, end);
    size_t next = last;
    if (!is_white_space(next_character(text, next))) break;
    end = last;
  }
  return std::string(text.substr(begin, end - begin));
}

}  // namespace

Result<Pattern> Pattern::from_json(const JsonField& field) {
  Pattern pattern;
  if (field["Regex"].null()) {
    AWQ_ASSIGN(pattern.text, field["String"].text());
    if (pattern.text.empty()) return field.error("the pattern is empty");
    return pattern;
  }
  AWQ_ASSIGN(const std::string_view expression, field["Regex"].text());
  AWQ_ASSIGN(pattern.regex, Regex::compile(expression, field.path));
  return pattern;
}

Result<std::optional<Span>> Pattern::find(std::string_view subject, size_t from,
                                          RegexScratch& scratch) const {
  if (regex) return regex->find(subject, from, scratch);
  const size_t at = subject.find(text, from);
  if (at == std::string_view::npos) return std::optional<Span>();
  return std::optional<Span>(Span{at, at + text.size()});
}

Result<std::string> replace_all(std::string_view text, const Pattern& pattern,
                                std::string_view content, size_t limit, RegexScratch& scratch) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  size_t done = 0;
  AWQ_TRY(pattern.for_each_match(text, scratch, [&](const Span& match) -> Status {
    out.append(text.substr(done, match.begin - done));
    out.append(content);
    done = match.end;
    if (out.size() <= limit) return {};
    return bad_input(cat("a replacement grew the text over ", limit, " bytes"));
  }));
  out.append(text.substr(done));
  return out;
}

Result<Normalizer> Normalizer::from_json(const JsonField& field) {
  Normalizer normalizer;
  AWQ_TRY(normalizer.add(field, 0));
  return normalizer;
}

Status Normalizer::add(const JsonField& field, int depth) {
  if (field.null()) return {};
  AWQ_ASSIGN(const std::string_view type, field.type());
  if (type == "Sequence") {
    const JsonField list = field["normalizers"];
    if (!list.array()) return list.error("expected an array");
    if (depth >= kMaxNestedSequences) return field.error("sequences nested too deeply");
    for (size_t i = 0; i < list.size(); ++i) AWQ_TRY(add(list.at(i), depth + 1));
    return {};
  }
  Step step;
  if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
    step.kind = Kind::form;
    step.form = type == "NFC"    ? NormalForm::nfc
                : type == "NFD"  ? NormalForm::nfd
                : type == "NFKC" ? NormalForm::nfkc
                                 : NormalForm::nfkd;
  } else if (type == "Lowercase") {
    step.kind = Kind::lowercase;
  } else if (type == "StripAccents") {
    step.kind = Kind::strip_accents;
  } else if (type == "Strip") {
    step.kind = Kind::strip;
    AWQ_ASSIGN(step.strip_left, field["strip_left"].boolean_or(true));
    AWQ_ASSIGN(step.strip_right, field["strip_right"].boolean_or(true));
  } else if (type == "Replace") {
    step.kind = Kind::replace;
    AWQ_ASSIGN(step.pattern, Pattern::from_json(field["pattern"]));
    AWQ_ASSIGN(step.content, field["content"].text());
  } else if (type == "Prepend") {
    step.kind = Kind::prepend;
    AWQ_ASSIGN(step.content, field["prepend"].text());
  } else if (type == "ByteLevel") {
    step.kind = Kind::bytes;
  } else if (type == "Precompiled") {
    const JsonField map = field["precompiled_charsmap"];
    if (map.null()) return {};  // as SentencePiece's identity is written
    AWQ_ASSIGN(const std::string_view text, map.text());
    if (text.empty()) return {};
    step.kind = Kind::map;
    AWQ_ASSIGN(step.map, CharsMap::parse_base64(text, map.path));
  } else {
    return field["type"].error(cat("the normalizer \"", printable(type), "\" is not supported"));
  }
  steps_.push_back(std::move(step));
  return {};
}

Result<std::string> Normalizer::apply(std::string_view text, RegexScratch& scratch) const {
  std::string out(text);
  for (const Step& step : steps_) {
    AWQ_TRY(apply_step(step, out, growth_limit(text.size()), scratch));
    if (out.size() > growth_limit(text.size())) {
      return bad_input("the tokenizer's normalizer grows the text over 64 times");
    }
  }
  return out;
}

Status Normalizer::apply_step(const Step& step, std::string& text, size_t limit,
                              RegexScratch& scratch) const {
  std::string out;
  switch (step.kind) {
    case Kind::form:
      text = normalize(text, step.form);
      return {};
    case Kind::strip:
      text = strip(text, step.strip_left, step.strip_right);
      return {};
    case Kind::prepend:
      if (!text.empty()) text.insert(0, step.content);
      return {};
    case Kind::replace: {
      AWQ_ASSIGN(text, replace_all(text, step.pattern, step.content, limit, scratch));
      return {};
    }
    case Kind::map:
      out = map_longest_ ? step.map.apply_longest(text, limit, kept_)
                         : step.map.apply_to_graphemes(text, limit);
      break;
    case Kind::bytes:
      append_byte_characters(out, text);
      break;
    case Kind::lowercase:
      for (size_t i = 0; i < text.size();) append_lowercase(out, next_character(text, i));
      break;
    case Kind::strip_accents:
      for (size_t i = 0; i < text.size();) {
        const char32_t character = next_character(text, i);
        if (!is_mark(character)) append_utf8(out, character);
      }
      break;
  }
  text = std::move(out);
  return {};
}

}  // namespace awq
