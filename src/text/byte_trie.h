// All keys of a fixed set that a text begins with, found by one walk along the text.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "text/tokenizer.h"

namespace awq {

class ByteTrie {
 public:
  using Key = std::pair<std::string_view, TokenId>;

  ByteTrie() = default;

  /// Keys are not empty and differ from each other; they need not outlive the call.
  explicit ByteTrie(std::vector<Key> keys) {
    std::sort(keys.begin(), keys.end());
    // Breadth first, so that the children of a node lie side by side in the order of their bytes.
    struct Range {
      size_t begin, end, depth;
    };
    std::vector<Range> ranges = {{0, keys.size(), 0}};
    for (size_t node = 0; node < ranges.size(); ++node) {
      auto [begin, end, depth] = ranges[node];
      while (begin < end && keys[begin].first.size() == depth) {
        nodes_[node].value = keys[begin++].second;
      }
      nodes_[node].children = static_cast<uint32_t>(nodes_.size());
      while (begin < end) {
        const char byte = keys[begin].first[depth];
        size_t next = begin;
        while (next < end && keys[next].first[depth] == byte) ++next;
        ranges.push_back({begin, next, depth + 1});
        nodes_.push_back({0, -1, 0, static_cast<uint8_t>(byte)});
        ++nodes_[node].count;
        begin = next;
      }
    }
  }

  /// Calls `visit(length, value)` for every key that `text` begins with, the shortest first.
  template <class Visit>
  void for_each_prefix(std::string_view text, Visit&& visit) const {
    const Node* node = nodes_.data();
    for (size_t i = 0; i < text.size(); ++i) {
      node = child(*node, static_cast<uint8_t>(text[i]));
      if (node == nullptr) return;
      if (node->value >= 0) visit(i + 1, node->value);
    }
  }

 private:
  struct Node {
    uint32_t children = 0;  ///< where the first of them lies
    TokenId value = -1;
    uint16_t count = 0;
    uint8_t byte = 0;
  };

  const Node* child(const Node& node, uint8_t byte) const {
    const Node* first = nodes_.data() + node.children;
    const Node* last = first + node.count;
    first = std::lower_bound(first, last, byte,
                             [](const Node& a, uint8_t wanted) { return a.byte < wanted; });
    return first != last && first->byte == byte ? first : nullptr;
  }

  std::vector<Node> nodes_ = std::vector<Node>(1);
};

}  // namespace awq
