// Runs tokens through a model: batches of one or more sequences, each with its own KV cache.
#pragma once

#include <span>
#include <vector>

#include "model/forward.h"
#include "runtime/kv_cache.h"

namespace awq {

/// Tokens to append to one sequence.
struct Feed {
  KvCache* cache = nullptr;
  std::span<const int32_t> tokens;
};

class Engine {
 public:
  static constexpr int64_t kChunk = 512;  ///< rows of one pass through the blocks

  explicit Engine(const Model& model)
      : model_(&model), workspace_(*model.ops.device) {}

  const Model& model() const { return *model_; }
  Device& device() const { return *model_->ops.device; }

  /// One pass; the returned rows [tokens, hidden] are the residual stream after the last block,
  /// valid until the next call. Caches must have room. Ids must be below the vocabulary's size.
  Matrix forward(std::span<const Feed> feeds);

  /// Prefill in chunks of kChunk; returns the last row [1, hidden].
  Matrix prefill(KvCache& cache, std::span<const int32_t> tokens);

  /// logits [rows, vocab] of residual rows, valid until the next call.
  Matrix logits(Matrix hidden);

 private:
  const Model* model_;
  Workspace workspace_;
  DeviceBuffer hidden_, normed_, logits_;
  std::vector<int32_t> ids_, positions_;
  std::vector<Segment> segments_;
};

}  // namespace awq
