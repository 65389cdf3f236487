// One forward pass for every Arch. Every linear is applied in one place, where an Observer may see
// its input: calibration, dumps and cross-backend checks hang there.
#pragma once

#include <span>

#include "model/weights.h"

namespace awq {

class Observer {
 public:
  virtual ~Observer() = default;
  /// `x` [tokens, in]: what the linear `slot` of `layer` is about to be multiplied with.
  virtual void on_linear_input(int64_t layer, Slot slot, const Matrix& x) = 0;
};

/// Scratch of a forward pass; grows to the largest batch and is reused.
class Workspace {
 public:
  explicit Workspace(Device& device) : device_(&device) {}
  enum Part {
    kNormed, kQ, kK, kV, kAttention, kGate, kUp, kBranch, kSecondBranch, kRouter, kRouted, kExpert,
    kParts
  };
  Matrix matrix(Part part, int64_t rows, int64_t cols);
  /// Bytes of all parts for a batch of `tokens`.
  static uint64_t bytes(const Arch& arch, int64_t tokens);

 private:
  Device* device_;
  DeviceBuffer buffers_[kParts];
};

/// The rows of a step: consecutive tokens of one or more sequences.
struct Rows {
  std::span<const int32_t> positions;  ///< [tokens]
  std::span<const Segment> segments;   ///< KV of this layer for each sequence
  /// [segments]: positions that each sequence will have once its prompt is in, which scalings that
  /// look at the length go by; empty: those after this step.
  std::span<const int64_t> lengths = {};
};

/// x [tokens, hidden] goes through decoder block `layer` in place.
void forward_block(const Model& model, const BlockWeights& weights, int64_t layer, Matrix x,
                   const Rows& rows, Workspace& workspace, Observer* observer = nullptr);

/// The attention module alone, from its normed input: y = o(attention(q, k, v)). Overwrites the KV
/// rows of the segments.
void forward_attention(const Model& model, const BlockWeights& weights, int64_t layer,
                       Matrix normed, const Rows& rows, Matrix y, Workspace& workspace,
                       Observer* observer = nullptr);

/// The feed-forward module alone, from its normed input.
void forward_ffn(const Model& model, const BlockWeights& weights, int64_t layer, Matrix normed,
                 Matrix y, Workspace& workspace, Observer* observer = nullptr);

/// x [tokens, hidden] = what the first block gets for `ids` at `positions`.
void embed_tokens(const Model& model, std::span<const int32_t> ids,
                  std::span<const int32_t> positions, Matrix x, Workspace& workspace);

/// logits [rows, vocab] of the last block's output x [rows, hidden].
void forward_head(const Model& model, Matrix x, Matrix logits, Workspace& workspace);

}  // namespace awq
