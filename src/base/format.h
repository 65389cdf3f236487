// Text assembly without locale: cat("row ", 3, " of ", 7.5). Numbers never take the locale's
// decimal comma, so that JSON, tables and error messages read alike everywhere.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace awq {

void append_text(std::string& out, std::string_view text);
void append_text(std::string& out, double value);
void append_text(std::string& out, int64_t value);
void append_text(std::string& out, uint64_t value);

template <class T>
void append_value(std::string& out, const T& value) {
  if constexpr (std::same_as<T, bool>) {
    append_text(out, value ? std::string_view("true") : std::string_view("false"));
  } else if constexpr (std::same_as<T, char>) {
    out.push_back(value);
  } else if constexpr (std::signed_integral<T>) {
    append_text(out, static_cast<int64_t>(value));
  } else if constexpr (std::unsigned_integral<T>) {
    append_text(out, static_cast<uint64_t>(value));
  } else if constexpr (std::floating_point<T>) {
    append_text(out, static_cast<double>(value));
  } else {
    append_text(out, std::string_view(value));
  }
}

/// Concatenates texts and numbers (shortest form that reads back equal).
template <class... Ts>
std::string cat(const Ts&... values) {
  std::string out;
  (append_value(out, values), ...);
  return out;
}

/// `value` with `digits` digits after the point: fixed(3.14159, 2) == "3.14".
std::string fixed(double value, int digits);

/// Bytes as people say them: "1.5 GiB", "720 B".
std::string human_bytes(uint64_t bytes);

/// Seconds as "4.1 s", "1:22", "2:03:07".
std::string human_seconds(double seconds);

/// Text for a log or an error: control characters, ESC and invalid UTF-8 escaped as \xHH, cut at
/// `limit` bytes. Names from files pass through this before they reach a terminal.
std::string printable(std::string_view text, size_t limit = 200);

/// Edit distance at most `limit` picks "did you mean": the nearest of `choices`, or empty.
template <class Range>
std::string_view nearest_name(std::string_view name, const Range& choices, int limit = 3);

/// Levenshtein distance between two short names.
int edit_distance(std::string_view a, std::string_view b);

template <class Range>
std::string_view nearest_name(std::string_view name, const Range& choices, int limit) {
  std::string_view best;
  int best_distance = limit + 1;
  for (const auto& choice : choices) {
    const int distance = edit_distance(name, choice);
    if (distance < best_distance) best = choice, best_distance = distance;
  }
  return best;
}

/// Appends to "a, b": the lists of messages that say what there is.
void append_item(std::string& list, std::string_view item);

}  // namespace awq
