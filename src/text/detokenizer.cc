#include "text/tokenizer.h"
#include "text/tokenizer_impl.h"

namespace awq {

std::string Detokenizer::push(TokenId id) {
  const Tokenizer::Impl& parts = *tokenizer_->impl_;
  const Decoder& decoder = parts.decoder;
  if (!parts.vocabulary.contains(id) || (skip_special_ && parts.is_special(id))) return {};
  if (decoder.streaming() == Decoder::Streaming::whole) {
    held_.push_back(id);
    return {};
  }
  bool is_byte = false;
  const std::string bytes = decoder.token_bytes(parts.vocabulary.text(id), first_, &is_byte);
  first_ = false;
  if (is_byte) {  // valid or not is known when the run ends
    pending_.append(bytes);
    return {};
  }
  if (decoder.streaming() != Decoder::Streaming::bytes) {
    std::string out = fallback_run_text(pending_).append(bytes);
    pending_.clear();
    return strip_start(std::move(out));
  }
  pending_.append(bytes);
  const size_t ready = pending_.size() - unfinished_bytes(pending_);
  std::string out = utf8_lossy(std::string_view(pending_).substr(0, ready));
  pending_.erase(0, ready);
  return strip_start(std::move(out));
}

std::string Detokenizer::flush() {
  const Decoder& decoder = tokenizer_->impl_->decoder;
  std::string out;
  if (decoder.streaming() == Decoder::Streaming::whole) {
    out = tokenizer_->decode(held_, skip_special_);
  } else if (decoder.streaming() == Decoder::Streaming::bytes) {
    out = strip_start(utf8_lossy(pending_));
  } else {
    out = strip_start(fallback_run_text(pending_));
  }
  held_.clear();
  pending_.clear();
  return out;
}

std::string Detokenizer::strip_start(std::string text) {
  const Decoder& decoder = tokenizer_->impl_->decoder;
  size_t begin = 0;
  while (stripping_ && begin < text.size()) {
    size_t next = begin;
    if (stripped_ == decoder.strip_start() ||
        next_character(text, next) != decoder.strip_character()) {
      stripping_ = false;
    } else {
      begin = next;
      ++stripped_;
    }
  }
  return begin == 0 ? text : text.substr(begin);
}

}  // namespace awq
