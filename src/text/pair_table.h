// An open-addressing table from a pair of token ids to a small value, built once and read often.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "text/tokenizer.h"

namespace awq {

template <class Value>
class PairTable {
 public:
  void reserve(size_t count) {
    size_t slots = 16;
    bits_ = 4;
    while (slots < 2 * count + 2) slots *= 2, ++bits_;
    slots_.assign(slots, Slot{});
  }

  /// At most as many keys as were reserved; the last value of a key stays.
  void insert(TokenId left, TokenId right, Value value) {
    Slot& slot = slots_[locate(key(left, right))];
    slot.key = key(left, right);
    slot.value = value;
  }

  /// Null when absent; ids below 0 are never present.
  const Value* find(TokenId left, TokenId right) const {
    const Slot& slot = slots_[locate(key(left, right))];
    return slot.key == kEmpty ? nullptr : &slot.value;
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  struct Slot {
    uint64_t key = kEmpty;
    Value value{};
  };

  static uint64_t key(TokenId left, TokenId right) {
    return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) |
           static_cast<uint32_t>(right);
  }
  size_t locate(uint64_t wanted) const {
    size_t slot = (wanted * 0x9E3779B97F4A7C15ull) >> (64 - bits_);
    while (slots_[slot].key != wanted && slots_[slot].key != kEmpty) {
      slot = (slot + 1) & (slots_.size() - 1);
    }
    return slot;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(16);
  int bits_ = 4;
};

}  // namespace awq
