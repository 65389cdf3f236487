#include "runtime/draft.h"

#include <algorithm>

namespace awq {

std::span<const int32_t> NgramDrafter::guess(std::span<const int32_t> history, int64_t most) {
  constexpr size_t kLongest = 4, kShortest = 2;
  for (size_t length = std::min(kLongest, history.size() - 1); length >= kShortest; --length) {
    const auto end = history.last(length);
    for (size_t at = history.size() - length; at-- > 0;) {
      if (!std::equal(end.begin(), end.end(), history.begin() + static_cast<std::ptrdiff_t>(at))) {
        continue;
      }
      const auto rest = history.subspan(at + length);
      return rest.first(std::min(rest.size(), static_cast<size_t>(most)));
    }
  }
  return {};
}

std::span<const int32_t> ModelDrafter::guess(std::span<const int32_t> history, int64_t most) {
  const auto room = cache_.capacity() - static_cast<int64_t>(history.size());
  const auto count = static_cast<size_t>(std::max<int64_t>(0, std::min(most, room)));
  if (count == 0) return {};
  const auto same = static_cast<size_t>(
      std::mismatch(cached_.begin(), cached_.end(), history.begin(), history.end()).first -
      cached_.begin());
  const size_t keep = std::min(same, history.size() - 1);  // the last token always runs
  cache_.truncate(static_cast<int64_t>(keep));
  const auto missing = history.subspan(keep, history.size() - 1 - keep);
  if (!missing.empty()) engine_.prefill(cache_, missing);
  guesses_.resize(count);
  engine_.greedy(cache_, history.back(), guesses_);
  cached_.assign(history.begin(), history.end());
  cached_.insert(cached_.end(), guesses_.begin(), guesses_.end() - 1);
  return guesses_;
}

}  // namespace awq
