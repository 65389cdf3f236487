// Bits by linear to a target size: a knapsack over what rounding to each width costs, tr(E H E^T),
// weighed by what that error does to the model's output.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "base/json.h"
#include "quant/quantize.h"

namespace awq {

inline constexpr std::array<int, 4> kBitWidths = {2, 3, 4, 8};

/// Linears of a layer that get one width: those that read one input (engines run q, k, v and gate, up
/// as one matrix), all experts' alike, and those that are written as one tensor.
struct BitItem {
  int64_t layer = 0;
  std::vector<Slot> slots;
  /// At each of kBitWidths: the KL divergence of the next token from the float model's, mean over
  /// tokens, when these linears alone are rounded.
  std::array<double, kBitWidths.size()> loss = {};
};

/// The items of a layer that `formats` quantizes, without losses.
std::vector<BitItem> bit_items(const TensorReader& reader, const FormatPlan& formats, int64_t layer);

/// Of every layer, with the group and symmetry of options.formats, in the float model. The divergence
/// is measured at 3 bits on the first calibration sequence, which is run once more for each item from
/// its layer on; at the other widths it is taken to follow tr(E H E^T), as it does for small errors,
/// with H of the first few sequences. Methods that scale are measured with exponent 1/2 where that
/// loses less.
Result<std::vector<BitItem>> measure_bit_losses(const TensorReader& reader, const Ops& ops,
                                                std::span<const int32_t> tokens,
                                                const QuantizeOptions& options,
                                                const LayerProgress& on_layer = {});

/// The plan of at most `bits_per_weight` (as FormatPlan counts) with about the least sum of losses:
/// from the narrowest widths on, the step that gains most for its size first, while they fit. Linears
/// that `plan` keeps in float stay so. Usage error when even the narrowest widths are more.
Result<FormatPlan> allocate_bits(const Arch& arch, FormatPlan plan, std::span<const BitItem> items,
                                 double bits_per_weight);

/// The sum of the losses of a plan.
double total_loss(const FormatPlan& plan, std::span<const BitItem> items);

/// One of them is 0.
struct BitTarget {
  double bits_per_weight = 0;  ///< of the blocks' linears, scales and zero points included
  uint64_t bytes = 0;          ///< of all tensors that are written
};

/// Memory that choosing takes beside two blocks and what a plan counts for the search.
uint64_t bit_choice_bytes(const TensorReader& reader, const QuantizeOptions& options);

/// The usage error of choose_bits for a target that no widths reach, before anything is measured.
Status check_bit_target(const TensorReader& reader, const BitTarget& target,
                        const QuantizeOptions& options);

/// Measures and sets options.formats; `allocation` of the report: what was chosen, its loss, and that
/// of one width for all.
Result<Json> choose_bits(const TensorReader& reader, const Ops& ops,
                         std::span<const int32_t> tokens, const BitTarget& target,
                         QuantizeOptions& options, const LayerProgress& on_layer = {});

}  // namespace awq
