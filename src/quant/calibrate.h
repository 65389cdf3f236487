// Streams calibration tokens through the float model block by block, collecting for each distinct
// linear input its Gram matrix H = X^T X and the mean magnitude per channel. H is accumulated once;
// every grid point, clip candidate and GPTQ use it instead of the tokens.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "model/forward.h"

namespace awq {

/// Of one linear input of `width` channels.
struct InputStatistics {
  int64_t width = 0, tokens = 0;
  DeviceBuffer gram;            ///< device f32 [width, width], X^T X summed over all tokens
  std::vector<float> mean_abs;  ///< [width]
};

/// By the slot that input_slot() names. Experts that saw no token have none.
using BlockStatistics = std::map<Slot, InputStatistics>;

/// An expert with fewer tokens is starved: a scale or a clip fitted to so few says nothing.
inline constexpr int64_t kEnoughTokens = 32;

/// Of the input of `slot`; of an expert that was starved, those of all tokens for its gate and up,
/// and nothing for its down.
const InputStatistics* find_statistics(const BlockStatistics& statistics, const Block& block,
                                       Slot slot);

class Calibration {
 public:
  /// `tokens` are cut into sequences of `length`; the remainder is dropped.
  Calibration(const Model& frame, std::span<const int32_t> tokens, int64_t length);

  int64_t sequences() const { return sequences_; }
  int64_t tokens() const { return sequences_ * length_; }

  /// Runs block `layer` (float weights) over all sequences: their hidden states move on to the next
  /// block. Error naming the layer and slot when an activation is not finite.
  Result<BlockStatistics> run(const BlockWeights& weights, int64_t layer);
  /// The same of sequences [first, first + count) without moving their hidden states.
  Result<BlockStatistics> observe(const BlockWeights& weights, int64_t layer, int64_t first,
                                  int64_t count);
  /// Moves the hidden states of all sequences through block `layer`.
  void advance(const BlockWeights& weights, int64_t layer) { advance(weights, layer, 0, sequences_); }
  /// Those of sequences [first, first + count) alone.
  void advance(const BlockWeights& weights, int64_t layer, int64_t first, int64_t count);
  /// Sequence `to` goes on from where sequence `from` is.
  void copy_sequence(int64_t from, int64_t to);
  /// The hidden states of a sequence [length, hidden], on the device.
  Matrix hidden(int64_t sequence) const { return hidden_rows(sequence, 1); }

  /// The normed input and output of a module on up to `limit` sequences, for a loss that inspects
  /// modules. Does not move the hidden states; call before run().
  struct ModuleInputs {
    std::vector<float> attention, ffn;  ///< [tokens, hidden], normed
    int64_t tokens = 0;
  };
  ModuleInputs capture_module_inputs(const BlockWeights& weights, int64_t layer, int64_t limit);

  /// Runs the attention (or feed-forward) module of `weights` on captured inputs.
  std::vector<float> run_module(const BlockWeights& weights, int64_t layer, bool attention,
                                std::span<const float> normed);

  /// Memory held for `tokens` tokens and the batches that run.
  static uint64_t bytes(const Arch& arch, int64_t tokens, int64_t length);

 private:
  /// Calls f(first sequence, count) for batches of some thousand tokens.
  template <class F>
  void for_batches(int64_t sequences, F&& f) const;
  Matrix hidden_rows(int64_t first, int64_t count) const;
  Rows batch_rows(int64_t count);

  const Model* model_;
  int64_t length_, sequences_, batch_;
  DeviceBuffer hidden_, kv_;
  DeviceBuffer moved_;  // a batch of hidden states that may be overwritten
  DType kv_type_ = DType::f32;
  std::vector<int32_t> positions_;
  std::vector<Segment> segments_;
  Workspace workspace_;
};

}  // namespace awq
