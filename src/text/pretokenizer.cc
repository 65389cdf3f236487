#include "text/pretokenizer.h"

#include <algorithm>

#include "text/byte_alphabet.h"

namespace awq {

bool Pretokenizer::defer_bytes() {
  if (steps_.empty() || steps_.back().kind != Kind::bytes) return false;
  steps_.pop_back();
  return true;
}

Status Pretokenizer::split(std::string_view text, bool first, Scratch& scratch) const {
  scratch.front.text = text;
  scratch.front.pieces.clear();
  if (!text.empty()) scratch.front.pieces.push_back({0, text.size(), first});
  for (const Step& step : steps_) {
    const bool rewrites = step.kind == Kind::bytes || step.kind == Kind::prefix_space ||
                          step.kind == Kind::metaspace;
    if (rewrites) AWQ_TRY(rewrite_step(step, growth_limit(text.size()), scratch));
    if (!rewrites || (step.kind == Kind::metaspace && step.split)) {
      AWQ_TRY(split_step(step, scratch));
    }
  }
  return {};
}

bool Pretokenizer::matches(const Step& step, char32_t character) {
  switch (step.kind) {
    case Kind::digits: return is_numeric(character);
    case Kind::spaces: return is_white_space(character);
    case Kind::punctuation: return is_punctuation(character);
    default: return character == step.character;
  }
}

// Cuts `text` into matches and what is between them, into scratch.cuts.
Status Pretokenizer::find_cuts(const Step& step, std::string_view text, Scratch& scratch) {
  auto& cuts = scratch.cuts;
  cuts.clear();
  size_t done = 0;
  const auto match = [&](size_t begin, size_t end) {
    if (begin > done) cuts.push_back({done, begin, step.invert});
    cuts.push_back({begin, end, !step.invert});
    done = end;
  };
  if (step.kind == Kind::pattern || step.kind == Kind::metaspace) {
    AWQ_TRY(step.pattern.for_each_match(text, scratch.regex, [&](const Span& found) -> Status {
      match(found.begin, found.end);
      return {};
    }));
  } else if (step.kind == Kind::words) {  // \w+|[^\w\s]+, its matches kept and the rest removed
    for (size_t i = 0; i < text.size();) {
      const size_t begin = i;
      const char32_t character = next_character(text, i);
      if (is_white_space(character)) continue;
      const bool word = is_word(character);
      for (size_t next = i; next < text.size(); i = next) {
        const char32_t other = next_character(text, next);
        if (is_word(other) != word || is_white_space(other)) break;
      }
      match(begin, i);
    }
  } else {
    for (size_t i = 0; i < text.size();) {
      const size_t begin = i;
      if (matches(step, next_character(text, i))) match(begin, i);
    }
  }
  if (done < text.size()) cuts.push_back({done, text.size(), step.invert});
  return {};
}

// Joins or drops the cuts as the step's behaviour says, and appends them as pieces.
void Pretokenizer::arrange(const Step& step, const Pieces::Piece& whole, Scratch& scratch,
                           std::vector<Pieces::Piece>& out) {
  auto& cuts = scratch.cuts;
  const size_t start = out.size();
  const auto push = [&](const Scratch::Cut& cut) {
    out.push_back({whole.begin + cut.begin, whole.begin + cut.end, false});
  };
  bool previous = false, any = false;
  switch (step.behavior) {
    case SplitBehavior::isolated:
      for (const auto& cut : cuts) push(cut);
      break;
    case SplitBehavior::removed:
      for (const auto& cut : cuts) {
        if (!cut.match) push(cut);
      }
      break;
    case SplitBehavior::contiguous:
      for (const auto& cut : cuts) {
        if (any && cut.match == previous) {
          out.back().end = whole.begin + cut.end;
        } else {
          push(cut);
        }
        previous = cut.match, any = true;
      }
      break;
    case SplitBehavior::merged_with_previous:
      for (const auto& cut : cuts) {
        if (cut.match && !previous && out.size() > start) {
          out.back().end = whole.begin + cut.end;
        } else {
          push(cut);
        }
        previous = cut.match;
      }
      break;
    case SplitBehavior::merged_with_next:
      for (size_t i = cuts.size(); i-- > 0;) {
        if (cuts[i].match && !previous && out.size() > start) {
          out.back().begin = whole.begin + cuts[i].begin;
        } else {
          push(cuts[i]);
        }
        previous = cuts[i].match;
      }
      std::reverse(out.begin() + static_cast<ptrdiff_t>(start), out.end());
      break;
  }
  for (size_t i = start; i < out.size(); ++i) {
    out[i].first = whole.first && out[i].begin == whole.begin;
  }
}

Status Pretokenizer::split_step(const Step& step, Scratch& scratch) {
  auto& out = scratch.back.pieces;
  out.clear();
  for (const auto& piece : scratch.front.pieces) {
    AWQ_TRY(find_cuts(step, scratch.front.of(piece), scratch));
    arrange(step, piece, scratch, out);
  }
  out.erase(std::remove_if(out.begin(), out.end(),
                           [](const auto& piece) { return piece.begin == piece.end; }),
            out.end());
  std::swap(scratch.front.pieces, out);
  return {};
}

Status Pretokenizer::rewrite_step(const Step& step, size_t limit, Scratch& scratch) {
  Pieces& in = scratch.front;
  Pieces& out = scratch.back;
  out.owned.clear();
  out.pieces.clear();
  for (const auto& piece : in.pieces) {
    const std::string_view text = in.of(piece);
    const size_t begin = out.owned.size();
    if (step.kind == Kind::bytes) {
      append_byte_characters(out.owned, text);
    } else if (step.kind == Kind::prefix_space) {
      if (text.front() != ' ') out.owned.push_back(' ');
      out.owned.append(text);
    } else {
      const bool wanted = step.prepend == Step::Prepend::always ||
                          (step.prepend == Step::Prepend::first && piece.first);
      const bool there = text.front() == ' ' ||
                         text.substr(0, step.replacement.size()) == step.replacement;
      if (wanted && !there) out.owned.append(step.replacement);
      for (const char c : text) {
        if (c == ' ') {
          out.owned.append(step.replacement);
        } else {
          out.owned.push_back(c);
        }
      }
    }
    out.pieces.push_back({begin, out.owned.size(), piece.first});
    if (out.owned.size() > limit) {
      return bad_input("the tokenizer's pre_tokenizer grows the text over 64 times");
    }
  }
  std::swap(in, out);
  in.text = in.owned;
  return {};
}

}  // namespace awq
