#include "text/decoder.h"

#include <algorithm>

#include "text/byte_alphabet.h"
#include "text/unicode.h"

namespace awq {
namespace {

constexpr size_t kMaxSteps = 32;

std::string strip_token(std::string_view text, char32_t character, size_t start, size_t stop) {
  size_t begin = 0, end = text.size();
  for (size_t n = 0; n < start && begin < end; ++n) {
    size_t next = begin;
    if (next_character(text, next) != character) break;
    begin = next;
  }
  for (size_t n = 0; n < stop && end > begin; ++n) {
    const size_t last = previous_character(text, end);
    size_t next = last;
    if (next_character(text, next) != character) break;
    end = last;
  }
  return std::string(text.substr(begin, end - begin));
}

std::string from_metaspace(std::string_view text, char32_t marker, bool drop) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const char32_t character = next_character(text, i);
    if (character != marker) {
      append_utf8(out, character);
    } else if (!drop) {
      out.push_back(' ');
    }
  }
  return out;
}

void join_fallback_runs(std::vector<std::string>& tokens) {
  std::vector<std::string> out;
  std::string run;
  const auto flush = [&] {
    if (!run.empty()) out.push_back(fallback_run_text(run));
    run.clear();
  };
  for (std::string& token : tokens) {
    const int byte = fallback_byte(token);
    if (byte >= 0) {
      run.push_back(static_cast<char>(byte));
    } else {
      flush();
      out.push_back(std::move(token));
    }
  }
  flush();
  tokens = std::move(out);
}

std::string joined(const std::vector<std::string>& tokens, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) out.append(separator);
    out.append(tokens[i]);
  }
  return out;
}

}  // namespace

std::string byte_level_bytes(std::string_view token) {
  auto bytes = bytes_of_characters(token);
  return bytes ? std::move(*bytes) : std::string(token);
}

std::string fallback_run_text(std::string_view run) {
  if (is_utf8(run)) return std::string(run);
  std::string out;
  for (size_t i = 0; i < run.size(); ++i) out.append("\xEF\xBF\xBD");
  return out;
}

Result<Decoder> Decoder::from_json(const JsonField& field) {
  Decoder decoder;
  AWQ_TRY(decoder.add(field, 0));
  if (decoder.steps_.size() > kMaxSteps) return field.error("more than 32 steps");
  decoder.plan();
  return decoder;
}

Status Decoder::add(const JsonField& field, int depth) {
  if (field.null()) return {};
  AWQ_ASSIGN(const std::string_view type, field.type());
  Step step;
  if (type == "Sequence") {
    const JsonField list = field["decoders"];
    if (!list.array()) return list.error("expected an array");
    if (depth >= kMaxNestedSequences) return field.error("sequences nested too deeply");
    for (size_t i = 0; i < list.size(); ++i) AWQ_TRY(add(list.at(i), depth + 1));
    return {};
  }
  if (type == "ByteLevel") {
    step.kind = Kind::byte_level;
  } else if (type == "ByteFallback") {
    step.kind = Kind::fallback;
  } else if (type == "Fuse") {
    step.kind = Kind::fuse;
  } else if (type == "Replace") {
    step.kind = Kind::replace;
    AWQ_ASSIGN(step.pattern, Pattern::from_json(field["pattern"]));
    AWQ_ASSIGN(step.content, field["content"].text());
  } else if (type == "Strip" || type == "Metaspace") {
    const bool strip = type == "Strip";
    step.kind = strip ? Kind::strip : Kind::metaspace;
    AWQ_ASSIGN(const std::string_view text,
               field[strip ? "content" : "replacement"].text_or(strip ? " " : "\xE2\x96\x81"));
    size_t end = 0;
    if (!text.empty() && is_utf8(text)) step.character = next_character(text, end);
    if (end == 0 || end != text.size()) return field.error("expected one character");
    if (strip) {
      AWQ_ASSIGN(const int64_t start, field["start"].integer(0, INT32_MAX));
      AWQ_ASSIGN(const int64_t stop, field["stop"].integer(0, INT32_MAX));
      step.start = static_cast<size_t>(start), step.stop = static_cast<size_t>(stop);
    } else {
      AWQ_ASSIGN(const std::string_view scheme, field["prepend_scheme"].text_or("always"));
      AWQ_ASSIGN(const bool legacy, field["add_prefix_space"].boolean_or(true));
      step.prepended = scheme != "never" && (legacy || !field["prepend_scheme"].null());
    }
  } else {
    return field["type"].error(cat("the decoder \"", printable(type), "\" is not supported"));
  }
  steps_.push_back(std::move(step));
  return {};
}

// Decides whether tokens can be decoded one after another.
void Decoder::plan() {
  if (steps_.empty()) return;
  streaming_ = Streaming::plain;
  bool fused = false;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    if (step.kind == Kind::fuse) {
      fused = true;
    } else if (step.kind == Kind::byte_level && !fused && streaming_ == Streaming::plain) {
      streaming_ = Streaming::bytes;
      fused = true;
    } else if (step.kind == Kind::fallback && !fused && streaming_ == Streaming::plain) {
      streaming_ = Streaming::fallback_runs;
    } else if (!fused && streaming_ == Streaming::plain) {
      token_steps_ = i + 1;  // works on each token alone
    } else if (fused && step.kind == Kind::strip && step.stop == 0 && strip_start_ == 0) {
      strip_start_ = step.start;
      strip_character_ = step.character;
    } else {
      streaming_ = Streaming::whole;
      return;
    }
  }
}

std::string Decoder::apply_to_token(const Step& step, std::string token, bool first) {
  if (step.kind == Kind::strip) return strip_token(token, step.character, step.start, step.stop);
  if (step.kind == Kind::metaspace) {
    return from_metaspace(token, step.character, first && step.prepended);
  }
  if (step.kind != Kind::replace) return token;
  thread_local RegexScratch scratch;
  scratch.refill(token.size());
  auto replaced = replace_all(token, step.pattern, step.content, growth_limit(0), scratch);
  return replaced.ok() ? *std::move(replaced) : token;
}

void Decoder::apply(const Step& step, std::vector<std::string>& tokens) {
  if (step.kind == Kind::fuse) {
    tokens = {joined(tokens, "")};
  } else if (step.kind == Kind::byte_level) {
    std::string bytes;
    for (const std::string& token : tokens) bytes.append(byte_level_bytes(token));
    tokens = {utf8_lossy(bytes)};
  } else if (step.kind == Kind::fallback) {
    join_fallback_runs(tokens);
  } else {
    for (size_t i = 0; i < tokens.size(); ++i) {
      tokens[i] = apply_to_token(step, std::move(tokens[i]), i == 0);
    }
  }
}

std::string Decoder::decode(std::vector<std::string> tokens) const {
  for (const Step& step : steps_) apply(step, tokens);
  return joined(tokens, steps_.empty() ? " " : "");
}

std::string Decoder::token_bytes(std::string_view token, bool first, bool* is_byte) const {
  std::string text(token);
  for (size_t i = 0; i < token_steps_; ++i) text = apply_to_token(steps_[i], std::move(text), first);
  if (streaming_ == Streaming::bytes) return byte_level_bytes(text);
  if (streaming_ == Streaming::words && !first) return cat(" ", text);
  const int byte = streaming_ == Streaming::fallback_runs ? fallback_byte(text) : -1;
  if (is_byte != nullptr) *is_byte = byte >= 0;
  return byte < 0 ? text : std::string(1, static_cast<char>(byte));
}

}  // namespace awq
