#include "text/tokenizer.h"

#include <new>

#include "text/tokenizer_impl.h"

namespace awq {
namespace {

constexpr size_t kMaxText = 0x7FFFFFFF;
constexpr size_t kIdleScratch = 64;

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::unique_ptr<Tokenizer::Impl::Scratch> Tokenizer::Impl::borrow() const {
  const std::lock_guard lock(mutex);
  if (idle.empty()) return std::make_unique<Scratch>();
  auto scratch = std::move(idle.back());
  idle.pop_back();
  return scratch;
}

void Tokenizer::Impl::give_back(std::unique_ptr<Scratch> scratch) const {
  // A huge text must not keep its memory for good.
  constexpr size_t kMost = size_t{1} << 20;
  const Pretokenizer::Scratch& pieces = scratch->pieces;
  for (const size_t capacity :
       {scratch->bpe.symbols.capacity(), scratch->unigram.nodes.capacity(), pieces.front.pieces.capacity(),
        pieces.back.pieces.capacity(), scratch->parts.capacity(),
        scratch->normalized_parts.capacity()}) {
    if (capacity > kMost) return;
  }
  const std::lock_guard lock(mutex);
  if (idle.size() < kIdleScratch) idle.push_back(std::move(scratch));
}

Status Tokenizer::Impl::encode_text(std::string_view text, bool first, Scratch& scratch,
                                    std::vector<TokenId>& ids) const {
  AWQ_TRY(pretokenizer.split(text, first, scratch.pieces));
  const Pieces& pieces = scratch.pieces.front;
  for (const auto& piece : pieces.pieces) {
    if (!unigram.empty()) {
      unigram.encode(pieces.of(piece), scratch.unigram, ids);
    } else if (raw_bytes) {
      bpe.encode_bytes(pieces.of(piece), scratch.bpe, ids);
    } else {
      bpe.encode(pieces.of(piece), scratch.bpe, ids);
    }
  }
  return {};
}

Status Tokenizer::Impl::encode(std::string_view text, bool parse_special, Scratch& scratch,
                               std::vector<TokenId>& ids) const {
  scratch.parts.clear();
  added.raw().split(text, parse_special, scratch.parts);
  for (const TextPart& part : scratch.parts) {
    if (part.id >= 0) {
      ids.push_back(part.id);
      continue;
    }
    std::string_view rest = text.substr(part.begin, part.end - part.begin);
    std::string changed;
    if (!normalizer.empty()) {
      AWQ_ASSIGN(changed, normalizer.apply(rest, scratch.pieces.regex));
      rest = changed;
    }
    scratch.normalized_parts.clear();
    added.normalized().split(rest, parse_special, scratch.normalized_parts);
    for (const TextPart& inner : scratch.normalized_parts) {
      if (inner.id >= 0) {
        ids.push_back(inner.id);
        continue;
      }
      const bool first = part.begin == 0 && inner.begin == 0;
      AWQ_TRY(encode_text(rest.substr(inner.begin, inner.end - inner.begin), first, scratch, ids));
    }
  }
  return {};
}

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text,
                                               EncodeOptions options) const {
  if (text.size() > kMaxText) {
    return usage_error(cat("the text is too long to tokenize: ", text.size(),
                           " bytes, the limit is ", kMaxText));
  }
  try {
    std::string valid;
    if (!is_utf8(text)) {
      valid = utf8_lossy(text);
      text = valid;
    }
    std::vector<TokenId> ids;
    ids.reserve(text.size() / 4 + 4);
    const auto& processor = impl_->post_processor;
    if (options.add_special) ids = processor.before;
    auto scratch = impl_->borrow();
    scratch->pieces.regex.refill(text.size());
    AWQ_TRY(impl_->encode(text, options.parse_special, *scratch, ids));
    impl_->give_back(std::move(scratch));
    if (options.add_special) ids.insert(ids.end(), processor.after.begin(), processor.after.end());
    return ids;
  } catch (const std::bad_alloc&) {
    return resource_error(cat("out of memory while tokenizing ", text.size(), " bytes"));
  }
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const TokenId id : ids) {
    if (!impl_->vocabulary.contains(id) || (skip_special && is_special(id))) continue;
    tokens.emplace_back(impl_->vocabulary.text(id));
  }
  return impl_->decoder.decode(std::move(tokens));
}

std::string Tokenizer::token_bytes(TokenId id) const {
  if (!impl_->vocabulary.contains(id)) return {};
  return impl_->decoder.token_bytes(impl_->vocabulary.text(id), false);
}

std::string_view Tokenizer::token_text(TokenId id) const { return impl_->vocabulary.text(id); }
size_t Tokenizer::vocab_size() const { return impl_->vocabulary.size(); }
bool Tokenizer::is_special(TokenId id) const { return impl_->is_special(id); }
TokenId Tokenizer::find(std::string_view text) const { return impl_->vocabulary.find(text); }
TokenId Tokenizer::bos() const { return impl_->bos; }
TokenId Tokenizer::eos() const { return impl_->eos; }

}  // namespace awq
