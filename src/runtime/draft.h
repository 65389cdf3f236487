// Speculative decoding: cheap guesses at the next tokens, all checked by one pass of the model. What
// comes out is what would come out without: guesses only save passes. Two kinds: tokens that followed
// the same words earlier in the text (Saxena, "Prompt Lookup Decoding"), and a small model's (Leviathan
// et al., "Fast Inference from Transformers via Speculative Decoding", 2023).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "runtime/engine.h"

namespace awq {

/// With the token before them 8 rows: as many as the CPU tables treat as they treat a single one, so
/// that the same bits come out.
inline constexpr int64_t kMostGuesses = 7;

class Drafter {
 public:
  virtual ~Drafter() = default;
  /// At most `most` tokens that may follow `history` (which is not empty); none where it knows nothing.
  /// The answer is valid until the next call.
  virtual std::span<const int32_t> guess(std::span<const int32_t> history, int64_t most) = 0;
};

/// The tokens that followed the longest repeated end (of 4 to 2 tokens) of the history, where it
/// stood last.
class NgramDrafter : public Drafter {
 public:
  std::span<const int32_t> guess(std::span<const int32_t> history, int64_t most) override;
};

/// What a smaller model of the same vocabulary says.
class ModelDrafter : public Drafter {
 public:
  /// `capacity` positions, as many as the text may have.
  ModelDrafter(Engine& engine, int64_t capacity, DType kv)
      : engine_(engine), cache_(engine.device(), engine.model().arch, capacity, kv) {}
  std::span<const int32_t> guess(std::span<const int32_t> history, int64_t most) override;

 private:
  Engine& engine_;
  KvCache cache_;
  std::vector<int32_t> cached_;  // what the cache holds
  std::vector<int32_t> guesses_;
};

}  // namespace awq
