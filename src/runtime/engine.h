// Runs tokens through a model: batches of one or more sequences, each with its own KV cache.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "kernels/decode_step.h"
#include "model/forward.h"
#include "runtime/kv_cache.h"

namespace awq {

/// Tokens to append to one sequence.
struct Feed {
  KvCache* cache = nullptr;
  std::span<const int32_t> tokens;
  int64_t length = 0;  ///< positions once the whole prompt is in; 0: those after this step
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

  /// Appends one token and returns its logits [1, vocab], valid until the next call: by the
  /// backend's plan of a step where it has one, else op by op.
  Matrix decode(KvCache& cache, int32_t token);

  /// Greedy decoding: appends `token`, then each answer but the last; ids[i] is the most likely
  /// token after the i-th of them.
  void greedy(KvCache& cache, int32_t token, std::span<int32_t> ids);

  /// The plan that decode() of this cache follows; empty: op by op.
  std::string_view plan_name(const KvCache& cache) {
    const DecodeStep* step = plan(cache);
    return step != nullptr ? step->name() : std::string_view();
  }

  /// DecodeStep::profile of the plan of this cache.
  std::vector<StepPart> profile(const KvCache& cache) {
    DecodeStep* step = plan(cache);
    return step != nullptr ? step->profile() : std::vector<StepPart>();
  }

  /// The values of a matrix without gaps, in host memory; valid until the next call.
  std::span<const float> on_host(Matrix x);

 private:
  DecodeStep* plan(const KvCache& cache);

  const Model* model_;
  Workspace workspace_;
  DeviceBuffer hidden_, logits_;
  std::vector<int32_t> ids_, positions_;
  std::vector<Segment> segments_;
  std::vector<int64_t> lengths_;
  std::vector<float> host_;
  std::unique_ptr<DecodeStep> plan_;  // of the cache below; null when the backend declined
  KvView planned_cache_;
};

}  // namespace awq
