#include "text/bpe.h"

#include <algorithm>

#include "text/byte_alphabet.h"
#include "text/unicode.h"

namespace awq {
namespace {

uint32_t hash_symbols(const TokenId* symbols, size_t count) {
  uint64_t hash = count * 0x9E3779B97F4A7C15ull;
  for (size_t i = 0; i < count; ++i) {
    hash = (hash ^ static_cast<uint32_t>(symbols[i])) * 0xD6E8FEB86659FD93ull;
    hash ^= hash >> 32;
  }
  return static_cast<uint32_t>(hash);
}

}  // namespace

Bpe::Bpe(const TokenTable& vocabulary, BpeOptions options, const std::vector<BpeMerge>& merges)
    : vocabulary_(&vocabulary), options_(options), low_characters_(0x10000, -1) {
  for (size_t id = 0; id < vocabulary.size(); ++id) {
    const std::string_view text = vocabulary.text(static_cast<TokenId>(id));
    if (text.empty() || text.size() > 4) continue;
    size_t end = 0;
    const char32_t character = next_character(text, end);
    if (end != text.size()) continue;
    if (character < 0x10000) {
      low_characters_[character] = static_cast<TokenId>(id);
    } else {
      high_characters_[character] = static_cast<TokenId>(id);
    }
  }
  has_byte_alphabet_ = true;
  for (int byte = 0; byte < 256; ++byte) {
    alphabet_[byte] = character_token(byte_character(static_cast<uint8_t>(byte)));
    if (alphabet_[byte] < 0) has_byte_alphabet_ = false;
    fallback_[byte] = vocabulary.find_model(fallback_token(static_cast<uint8_t>(byte)));
  }
  rules_.reserve(merges.size());
  for (const BpeMerge& merge : merges) {
    rules_.insert(merge.left, merge.right, Rule{merge.rank, merge.result});
  }
  find_joints(merges);
}

void Bpe::find_joints(const std::vector<BpeMerge>& merges) {
  joints_.reserve(merges.size());
  for (const BpeMerge& merge : merges) {
    const std::string_view left = vocabulary_->text(merge.left);
    const std::string_view right = vocabulary_->text(merge.right);
    // Tokens that are a symbol without being a character break the rule that a symbol is the
    // character at the joint.
    const bool odd = left.empty() || right.empty() || fallback_byte(left) >= 0 ||
                     fallback_byte(right) >= 0 || merge.left == options_.unknown ||
                     merge.right == options_.unknown;
    if (odd) return;
    size_t last = previous_character(left, left.size()), first = 0;
    const TokenId before = character_token(next_character(left, last));
    const TokenId after = character_token(next_character(right, first));
    if (before >= 0 && after >= 0) joints_.insert(before, after, 1);
  }
  joints_known_ = true;
}

TokenId Bpe::character_token(char32_t character) const {
  if (character < 0x10000) return low_characters_[character];
  const auto it = high_characters_.find(character);
  return it == high_characters_.end() ? -1 : it->second;
}

// False when some character has no token of its own. An unknown token that waits (to be fused)
// comes after byte tokens that follow it, as the reference has it.
bool Bpe::symbolize(std::string_view piece, std::vector<TokenId>& symbols) const {
  bool clean = true, waiting = false;
  for (size_t i = 0; i < piece.size();) {
    const size_t begin = i;
    const TokenId token = character_token(next_character(piece, i));
    if (token >= 0) {
      if (waiting) symbols.push_back(options_.unknown), waiting = false;
      symbols.push_back(token);
      continue;
    }
    clean = false;
    if (options_.byte_fallback) {
      const size_t start = symbols.size();
      bool all = true;
      for (size_t k = begin; k < i; ++k) {
        symbols.push_back(fallback_[static_cast<uint8_t>(piece[k])]);
        all = all && symbols.back() >= 0;
      }
      if (all) continue;
      symbols.resize(start);
    }
    if (options_.unknown < 0) continue;
    if (waiting && !options_.fuse_unknown) symbols.push_back(options_.unknown);
    waiting = true;
  }
  if (waiting) symbols.push_back(options_.unknown);
  return clean;
}

void Bpe::encode(std::string_view piece, BpeScratch& scratch, std::vector<TokenId>& ids) const {
  scratch.symbols.clear();
  const bool clean = symbolize(piece, scratch.symbols);
  encode_symbols(piece, false, clean, scratch, ids);
}

void Bpe::encode_bytes(std::string_view piece, BpeScratch& scratch,
                       std::vector<TokenId>& ids) const {
  scratch.symbols.resize(piece.size());
  for (size_t i = 0; i < piece.size(); ++i) {
    scratch.symbols[i] = alphabet_[static_cast<uint8_t>(piece[i])];
  }
  encode_symbols(piece, true, true, scratch, ids);
}

TokenId Bpe::whole(std::string_view piece, bool bytes, BpeScratch& scratch) const {
  if (!options_.ignore_merges) return -1;
  if (bytes) {
    scratch.text.clear();
    append_byte_characters(scratch.text, piece);
    piece = scratch.text;
  }
  const TokenId id = vocabulary_->find_model(piece);
  const bool special = id >= 0 && special_ != nullptr &&
                       static_cast<size_t>(id) < special_->size() && (*special_)[id];
  return special ? -1 : id;
}

void Bpe::encode_symbols(std::string_view piece, bool bytes, bool clean, BpeScratch& scratch,
                         std::vector<TokenId>& ids) const {
  const TokenId* symbols = scratch.symbols.data();
  const size_t count = scratch.symbols.size();
  if (count <= BpeScratch::kMaxSymbols && clean) {
    if (scratch.cache.empty()) scratch.cache.resize(BpeScratch::kSlots);
    auto& slot = scratch.cache[hash_symbols(symbols, count) & (BpeScratch::kSlots - 1)];
    if (slot.symbols == count && std::equal(symbols, symbols + count, slot.key.begin())) {
      ids.insert(ids.end(), slot.value.begin(), slot.value.begin() + slot.ids);
      return;
    }
    if (!options_.ignore_merges) return encode_chunk(symbols, count, -1, true, scratch, ids);
    return encode_chunk(symbols, count, whole(piece, bytes, scratch), true, scratch, ids);
  }
  if (const TokenId token = whole(piece, bytes, scratch); token >= 0) {
    ids.push_back(token);
    return;
  }
  // The cache holds whole pieces where those may be tokens regardless of merges, so parts stay out.
  size_t begin = 0;
  for (size_t i = 1; i <= count; ++i) {
    if (i < count && (!joints_known_ || joints_.find(symbols[i - 1], symbols[i]) != nullptr)) {
      continue;
    }
    encode_chunk(symbols + begin, i - begin, -1, !options_.ignore_merges, scratch, ids);
    begin = i;
  }
}

void Bpe::encode_chunk(const TokenId* symbols, size_t count, TokenId whole_token, bool cached,
                       BpeScratch& scratch, std::vector<TokenId>& ids) const {
  if (count == 0) return;
  const size_t start = ids.size();
  if (whole_token >= 0) {
    ids.push_back(whole_token);
  } else if (count == 1) {
    ids.push_back(symbols[0]);
    return;
  } else if (count > 4 * BpeScratch::kMaxSymbols) {
    merge_long(symbols, count, scratch, ids);
    return;
  }
  if (count > BpeScratch::kMaxSymbols) cached = false;
  BpeScratch::CacheEntry* slot = nullptr;
  if (cached) {
    if (scratch.cache.empty()) scratch.cache.resize(BpeScratch::kSlots);
    slot = &scratch.cache[hash_symbols(symbols, count) & (BpeScratch::kSlots - 1)];
    if (slot->symbols == count && std::equal(symbols, symbols + count, slot->key.begin())) {
      ids.resize(start);
      ids.insert(ids.end(), slot->value.begin(), slot->value.begin() + slot->ids);
      return;
    }
  }
  if (whole_token < 0) merge_short(symbols, count, ids);
  const size_t made = ids.size() - start;
  if (slot == nullptr || made > BpeScratch::kMaxIds) return;
  slot->symbols = static_cast<uint16_t>(count);
  slot->ids = static_cast<uint16_t>(made);
  std::copy(symbols, symbols + count, slot->key.begin());
  std::copy(ids.begin() + static_cast<ptrdiff_t>(start), ids.end(), slot->value.begin());
}

// A few dozen symbols at most: scanning beats a heap.
void Bpe::merge_short(const TokenId* symbols, size_t count, std::vector<TokenId>& ids) const {
  constexpr uint32_t kNone = 0xFFFFFFFFu;
  std::array<TokenId, 4 * BpeScratch::kMaxSymbols> token{}, result{};
  std::array<uint32_t, 4 * BpeScratch::kMaxSymbols> rank{};
  std::copy(symbols, symbols + count, token.begin());
  const auto look = [&](size_t i) {
    const Rule* rule = i + 1 < count ? rules_.find(token[i], token[i + 1]) : nullptr;
    rank[i] = rule != nullptr ? rule->rank : kNone;
    result[i] = rule != nullptr ? rule->result : -1;
  };
  for (size_t i = 0; i < count; ++i) look(i);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (rank[i] < rank[best]) best = i;
    }
    if (rank[best] == kNone) break;
    token[best] = result[best];
    for (size_t i = best + 1; i + 1 < count; ++i) {
      token[i] = token[i + 1], rank[i] = rank[i + 1], result[i] = result[i + 1];
    }
    --count;
    look(best);
    if (best > 0) look(best - 1);
  }
  ids.insert(ids.end(), token.begin(), token.begin() + static_cast<ptrdiff_t>(count));
}

void Bpe::merge_long(const TokenId* symbols, size_t count, BpeScratch& scratch,
                     std::vector<TokenId>& ids) const {
  constexpr uint32_t kEnd = 0xFFFFFFFFu;
  std::vector<TokenId> token(symbols, symbols + count);
  auto& next = scratch.next;
  auto& previous = scratch.previous;
  auto& heap = scratch.heap;
  next.resize(count), previous.resize(count), heap.clear();
  for (size_t i = 0; i < count; ++i) {
    next[i] = i + 1 < count ? static_cast<uint32_t>(i + 1) : kEnd;
    previous[i] = i > 0 ? static_cast<uint32_t>(i - 1) : kEnd;
  }
  const auto candidate = [&](uint32_t at) -> const Rule* {
    return next[at] == kEnd ? nullptr : rules_.find(token[at], token[next[at]]);
  };
  const auto order = [](const Rule& rule, uint32_t at) {
    return (static_cast<uint64_t>(rule.rank) << 32) | at;
  };
  for (uint32_t i = 0; i + 1 < count; ++i) {
    if (const Rule* rule = candidate(i)) heap.push_back({order(*rule, i), rule->result});
  }
  std::make_heap(heap.begin(), heap.end());
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const auto [position, result] = heap.back();
    heap.pop_back();
    const auto at = static_cast<uint32_t>(position);
    if (token[at] < 0) continue;  // merged into its left neighbour meanwhile
    const Rule* rule = candidate(at);
    if (rule == nullptr || rule->result != result) continue;
    const uint32_t gone = next[at];
    token[at] = result;
    token[gone] = -1;
    next[at] = next[gone];
    if (next[gone] != kEnd) previous[next[gone]] = at;
    for (const uint32_t left : {at, previous[at]}) {
      const Rule* fresh = left == kEnd ? nullptr : candidate(left);
      if (fresh == nullptr) continue;
      heap.push_back({order(*fresh, left), fresh->result});
      std::push_heap(heap.begin(), heap.end());
    }
  }
  for (uint32_t at = 0; at != kEnd; at = next[at]) ids.push_back(token[at]);
}

}  // namespace awq
