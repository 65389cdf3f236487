// Dictionaries in insertion order, with Python's equality of keys (1 == 1.0 == True).
#pragma once

#include <string_view>
#include <vector>

#include "text/jinja/value.h"

namespace awq::jinja {

struct Dict : Object {
  struct Entry {
    Value key, value;
    uint64_t hash;
  };
  std::vector<Entry> entries;

  const Value* find(const Value& key) const;
  const Value* find_text(std::string_view key) const;
  /// Adds, or replaces the value of an equal key. Fails for a key that has no hash.
  void set(Value key, Value value);
  void set_text(std::string_view key, Value value);
  void clear() override { entries.clear(); }

 private:
  template <class Same>
  const Entry* probe(uint64_t hash, Same same) const;
  void index(size_t entry);
  void insert(Value key, Value value, uint64_t hash);

  std::vector<uint32_t> slots_;  ///< entry + 1, or 0; empty while there are few entries
};

/// What {% set ns.name = value %} writes to.
struct Namespace : Object {
  Ref<Dict> attributes;
  void clear() override { attributes = {}; }
};

uint64_t hash_text(std::string_view text);
/// Whether it can be a key: no list or dict, nor a tuple of such.
bool is_hashable(Heap& heap, const Value& value);
/// Fails with "unhashable type" for what cannot.
uint64_t hash_value(Heap& heap, const Value& value);

}  // namespace awq::jinja
