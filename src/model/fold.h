// AWQ scale folding (paper section 3.2), derived from an Arch: which producer absorbs the inverse of
// the scale that multiplies the columns of which linears.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/arch.h"
#include "model/float_block.h"

namespace awq {

/// What absorbs 1/s.
enum class FoldInto {
  norm,    ///< weight and bias of a norm
  linear,  ///< rows (outputs) of a linear whose output reaches the consumers linearly
  activation,  ///< nothing does: the activation's output is divided when the model runs
};

struct FoldGroup {
  FoldInto into;
  Slot producer;
  std::vector<Slot> consumers;
  /// Consumer columns that share one producer channel: query heads per kv head for v -> o under
  /// grouped-query attention, else 1.
  int64_t heads_per_channel = 1;

  std::string name() const;  ///< "attn_norm -> q, k, v"
};

struct FoldOptions {
  /// As llm-awq and AutoAWQ: v -> o only where the shapes of v and o are equal.
  bool reference_groups = false;
};

/// The groups of one block. Every consumer of a norm is in its group, a router too. up -> down needs a
/// gate or an activation with act(a x) = a act(x), a > 0 (ReLU). v -> o needs v unclamped.
std::vector<FoldGroup> fold_groups(const Arch& arch, FoldOptions options = {});

/// Channels of a group's scale: the producer's outputs.
int64_t fold_channels(const Arch& arch, const FoldGroup& group);

/// The scale per consumer column, from the scale per producer channel.
std::vector<float> expand_scale(const Arch& arch, const FoldGroup& group,
                                std::span<const float> scale);

/// The other way: the mean over the consumer columns that share a channel.
std::vector<float> reduce_columns(const Arch& arch, const FoldGroup& group,
                                  std::span<const float> columns);

/// Divides the producer and multiplies the consumers. `scale` [fold_channels], all > 0. The block
/// computes the same function afterwards.
void apply_fold(const Arch& arch, const FoldGroup& group, std::span<const float> scale,
                FloatBlock& block);

}  // namespace awq
