// Runs tokens through a model: batches of one or more sequences, each with its own KV cache.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "kernels/decode_step.h"
#include "kernels/sampling.h"
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
  static constexpr int64_t kChunk = 512;  ///< rows of one pass through the blocks, op by op
  static constexpr int64_t kPlannedChunk = 2048;  ///< by a plan of the backend, memory allowing

  explicit Engine(const Model& model)
      : model_(&model), workspace_(*model.ops.device) {}

  const Model& model() const { return *model_; }
  Device& device() const { return *model_->ops.device; }

  /// One pass; the returned rows [tokens, hidden] are the residual stream after the last block,
  /// valid until the next call. Caches must have room. Ids must be below the vocabulary's size.
  Matrix forward(std::span<const Feed> feeds);

  /// Prefill in chunks of prompt_chunk(); returns the last row [1, hidden].
  Matrix prefill(KvCache& cache, std::span<const int32_t> tokens);

  /// logits [rows, vocab] of residual rows, valid until the next call.
  Matrix logits(Matrix hidden);

  /// Appends one token and returns its logits [1, vocab], valid until the next call: by the
  /// backend's plan of a step where it has one, else op by op.
  Matrix decode(KvCache& cache, int32_t token);

  /// Appends to each cache what was drawn for it last, which may still be on its way; logits as of
  /// decode(). Where there is a plan, the host does not wait.
  Matrix decode(std::span<KvCache* const> caches, const TokenDraws& draws);

  /// Greedy decoding: appends `token`, then each answer but the last; ids[i] is the most likely
  /// token after the i-th of them.
  void greedy(KvCache& cache, int32_t token, std::span<int32_t> ids);

  /// The same for several sequences at once, tokens[i] of caches[i]: logits [sequences, vocab].
  Matrix decode(std::span<KvCache* const> caches, std::span<const int32_t> tokens);

  /// Greedy decoding of several sequences: ids [steps][sequences].
  void greedy(std::span<KvCache* const> caches, std::span<const int32_t> tokens,
              std::span<int32_t> ids);

  /// Rows of one forward() that the device is best used by: kChunk; kPlannedChunk where host code waits for every
  /// launch and memory lasts.
  int64_t pass_rows() const;

  /// Rows of one pass of prefill() into such a cache.
  int64_t prompt_chunk(const KvCache& cache, int64_t tokens);

  /// The plan that decode() of caches like these follows; empty: op by op.
  std::string_view batch_plan_name(const KvCache& cache) {
    const BatchStep* step = batch_plan(cache);
    return step != nullptr ? step->name() : std::string_view();
  }

  /// And of prefill().
  std::string_view prompt_plan_name(const KvCache& cache) {
    return batch_plan(cache) != nullptr ? "planned" : std::string_view();
  }

  /// The parts of a decode() of several sequences, or of a prefill() of one chunk, timed; empty
  /// without a plan. The caches do not grow.
  std::vector<PartTime> profile(std::span<KvCache* const> caches, std::span<const int32_t> tokens);
  std::vector<PartTime> profile_prompt(const KvCache& cache, std::span<const int32_t> tokens);

  /// The plan that decode() of this cache follows; empty: op by op.
  std::string_view plan_name(const KvCache& cache) {
    const DecodeStep* step = plan(cache);
    return step != nullptr ? step->name() : batch_plan_name(cache);
  }

  /// DecodeStep::profile of the plan of this cache.
  std::vector<PartTime> profile(const KvCache& cache) {
    DecodeStep* step = plan(cache);
    return step != nullptr ? step->profile() : std::vector<PartTime>();
  }

  /// The values of a matrix without gaps, in host memory; valid until the next call.
  std::span<const float> on_host(Matrix x);

 private:
  DecodeStep* plan(const KvCache& cache);
  BatchStep* batch_plan(const KvCache& cache);
  /// Of the caches, [layers][sequences].
  std::span<const KvView> views(std::span<const KvCache* const> caches);

  const Model* model_;
  Workspace workspace_;
  DeviceBuffer hidden_, logits_;
  std::vector<int32_t> ids_, positions_;
  std::vector<Segment> segments_;
  std::vector<int64_t> lengths_;
  std::vector<float> host_;
  std::unique_ptr<DecodeStep> plan_;  // of the cache below; null when the backend declined
  KvView planned_cache_;
  int64_t planned_capacity_ = 0;
  std::unique_ptr<BatchStep> batch_plan_;
  bool batch_planned_ = false;
  std::vector<KvView> views_;
  std::vector<int64_t> past_;
};

}  // namespace awq
