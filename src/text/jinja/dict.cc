#include "text/jinja/dict.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "text/jinja/compare.h"

namespace awq::jinja {
namespace {

constexpr size_t kFewEntries = 8;

uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

}  // namespace

uint64_t hash_text(std::string_view text) { return mix(std::hash<std::string_view>()(text)); }

uint64_t hash_value(Heap& heap, const Value& value) {
  heap.step();
  switch (value.type()) {
    case Type::string: heap.step_bytes(value.text().size()); return hash_text(value.text());
    case Type::boolean:
    case Type::integer: return mix(static_cast<uint64_t>(value.as_integer()));
    case Type::real: {
      const double real = value.as_real();
      if (real >= -0x1p62 && real <= 0x1p62 && real == std::floor(real)) {
        return mix(static_cast<uint64_t>(static_cast<int64_t>(real)));
      }
      return mix(std::hash<double>()(real));
    }
    case Type::tuple: {
      Nesting nesting(heap);
      uint64_t hash = 7;
      for (const Value& item : value.items()) hash = mix(hash ^ hash_value(heap, item));
      return hash;
    }
    case Type::list:
    case Type::dict:
    case Type::view: fail("unhashable type: '", type_name(value), "'");
    case Type::undefined:
    case Type::none: return mix(static_cast<uint64_t>(value.type()));
    default: return mix(reinterpret_cast<uintptr_t>(value.object()));
  }
}

bool is_hashable(Heap& heap, const Value& value) {
  heap.step();
  if (!value.is(Type::tuple)) {
    return !value.is(Type::list) && !value.is(Type::dict) && !value.is(Type::view);
  }
  const Nesting nesting(heap);
  return std::all_of(value.items().begin(), value.items().end(),
                     [&](const Value& item) { return is_hashable(heap, item); });
}

template <class Same>
const Dict::Entry* Dict::probe(uint64_t hash, Same same) const {
  if (slots_.empty()) {
    for (const Entry& entry : entries) {
      if (entry.hash == hash && same(entry.key)) return &entry;
    }
    return nullptr;
  }
  const size_t mask = slots_.size() - 1;
  // A template may choose its keys so that they collide: every probe is a step.
  for (size_t slot = hash & mask; slots_[slot] != 0; slot = (slot + 1) & mask) {
    heap().step();
    const Entry& entry = entries[slots_[slot] - 1];
    if (entry.hash == hash && same(entry.key)) return &entry;
  }
  return nullptr;
}

const Value* Dict::find(const Value& key) const {
  const Entry* entry =
      probe(hash_value(heap(), key), [&](const Value& other) { return equal(heap(), key, other); });
  return entry == nullptr ? nullptr : &entry->value;
}

const Value* Dict::find_text(std::string_view key) const {
  heap().step_bytes(key.size());
  const Entry* entry = probe(
      hash_text(key), [&](const Value& other) { return other.is_string() && other.text() == key; });
  return entry == nullptr ? nullptr : &entry->value;
}

void Dict::index(size_t entry) {
  const size_t mask = slots_.size() - 1;
  size_t slot = entries[entry].hash & mask;
  while (slots_[slot] != 0) {
    heap().step();
    slot = (slot + 1) & mask;
  }
  slots_[slot] = static_cast<uint32_t>(entry + 1);
}

void Dict::insert(Value key, Value value, uint64_t hash) {
  heap().check_size(entries.size() + 1);
  charge(sizeof(Entry) + 2 * sizeof(uint32_t));
  entries.push_back({std::move(key), std::move(value), hash});
  if (entries.size() <= kFewEntries) return;
  if (entries.size() * 2 > slots_.size()) {
    slots_.assign(slots_.empty() ? 4 * kFewEntries : slots_.size() * 2, 0);
    for (size_t i = 0; i < entries.size(); ++i) index(i);
  } else {
    index(entries.size() - 1);
  }
}

void Dict::set(Value key, Value value) {
  const uint64_t hash = hash_value(heap(), key);
  const Entry* found = probe(hash, [&](const Value& other) { return equal(heap(), key, other); });
  if (found != nullptr) {
    const_cast<Entry*>(found)->value = std::move(value);
  } else {
    insert(std::move(key), std::move(value), hash);
  }
}

void Dict::set_text(std::string_view key, Value value) {
  heap().step_bytes(key.size());
  const uint64_t hash = hash_text(key);
  const Entry* found =
      probe(hash, [&](const Value& other) { return other.is_string() && other.text() == key; });
  if (found != nullptr) {
    const_cast<Entry*>(found)->value = std::move(value);
  } else {
    insert(make_text(heap(), std::string(key)), std::move(value), hash);
  }
}

}  // namespace awq::jinja
