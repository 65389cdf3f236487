#include "quant/bit_allocation.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/progress.h"
#include "quant/awq_scale.h"
#include "quant/calibrate.h"
#include "quant/output_placement.h"
#include "quant/plan.h"
#include "quant/rounding_loss.h"

namespace awq {
namespace {

constexpr int64_t kJudged = 4;   // sequences of H: their mean varies less than the linears differ
constexpr size_t kFollowed = 1;  // the width whose errors are followed to the model's output
constexpr int64_t kLogitRows = 64;

// Bits that an item takes at a width, scales and zero points included.
double item_size(const Arch& arch, const BitItem& item, QuantFormat format, int bits) {
  double size = 0;
  for (const Slot slot : item.slots) {
    const Shape shape = linear_shape(arch, *find_linear(arch.block, slot));
    size += static_cast<double>(shape.elements()) * bits +
            static_cast<double>(shape[0] * format.groups(shape[1])) * (16 + bits);
  }
  return size;
}

struct Step {
  size_t item = 0, to = 0;  // width
  double gain = 0, size = 0;
};

class BlockBits {
 public:
  BlockBits(const Arch& arch, const Ops& ops, const QuantizeOptions& options, int64_t layer)
      : arch_(arch), ops_(ops), options_(options), layer_(layer) {}

  // tr(E H E^T) of `item` at every width; its linears in `weights` become the rounded ones.
  void measure(const FloatBlock& block, const BlockStatistics& statistics, BlockWeights& weights,
               BitItem& item) {
    for (const Slot slot : item.slots) {
      const InputStatistics* input = find_statistics(statistics, arch_.block, slot);
      if (input == nullptr) continue;  // a starved expert
      const FloatTensor& weight = block[slot].weight;
      QuantFormat format = *options_.formats.of(layer_, slot);
      format.bits = kBitWidths[kFollowed];
      RoundingLoss loss(ops_, input->gram, weight, format, options_.arithmetic);
      const std::vector<float> columns = choose_columns(*input, slot, loss);
      weights.linear(slot).weight = pack(rounded(weight, columns, format));
      for (size_t i = 0; i < kBitWidths.size(); ++i) {
        loss.set_bits(kBitWidths[i]);
        item.loss[i] += loss.total(columns);
      }
    }
  }

  void restore(const FloatBlock& block, BlockWeights& weights, const BitItem& item) {
    for (const Slot slot : item.slots) weights.linear(slot).weight = pack(block[slot].weight);
  }

 private:
  std::vector<float> choose_columns(const InputStatistics& input, Slot slot, RoundingLoss& loss) {
    std::vector<float> ones(static_cast<size_t>(input.width), 1.0f);
    if (!options_.scaled()) return ones;
    for (const FoldGroup& group : fold_groups(arch_, options_.fold)) {
      if (std::find(group.consumers.begin(), group.consumers.end(), slot) == group.consumers.end()) {
        continue;
      }
      std::vector<float> columns = expand_scale(
          arch_, group, scale_for_exponent(reduce_columns(arch_, group, input.mean_abs), 0.5));
      return loss.total(columns) < loss.total(ones) ? columns : ones;
    }
    return ones;
  }

  FloatTensor rounded(const FloatTensor& weight, const std::vector<float>& columns,
                      const QuantFormat& format) {
    FloatTensor result = weight;
    ops_.device->pool().parallel_for(weight.shape[0], 16, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        rounded_row(weight, row, columns, format, options_.arithmetic,
                    result.values.data() + row * weight.shape[1]);
      }
    });
    return result;
  }

  std::unique_ptr<PackedWeight> pack(const FloatTensor& values) {
    return ops_.pack_float(*ops_.device,
                           {values.values.data(), DType::f32, values.shape[0], values.shape[1]});
  }

  const Arch& arch_;
  const Ops& ops_;
  const QuantizeOptions& options_;
  int64_t layer_;
};

// KL divergence of the next token from that after hidden states `expected` [rows, hidden]; NaN where a logit is
// not finite.
class OutputError {
 public:
  OutputError(const Model& frame, Matrix expected)
      : frame_(frame), expected_(expected), workspace_(*frame.ops.device) {}

  double of(Matrix hidden) {
    double sum = 0;
    for (int64_t row = 0; row < hidden.rows; row += kLogitRows) {
      const int64_t rows = std::min(kLogitRows, hidden.rows - row);
      const Ops& ops = frame_.ops;
      const std::vector<int32_t> targets(static_cast<size_t>(rows), 0);  // only sums count
      Matrix logits[2];
      std::vector<RowScore> scores[2];
      for (int m = 0; m < 2; ++m) {
        logits[m] = logits_of(m == 0 ? expected_ : hidden, row, rows, buffers_[m]);
        scores[m].resize(static_cast<size_t>(rows));
        ops.score(*ops.device, logits[m], targets, scores[m].data());
      }
      std::vector<double> kl(static_cast<size_t>(rows));
      ops.divergence(*ops.device, logits[0], logits[1], scores[0].data(), scores[1].data(), kl.data());
      for (const std::vector<RowScore>& of_model : scores) {
        for (const RowScore& score : of_model) {
          if (!std::isfinite(score.nll)) return NAN;  // no divergence says so
        }
      }
      for (const double one : kl) sum += one;
    }
    return sum / static_cast<double>(hidden.rows);
  }

 private:
  Matrix logits_of(Matrix hidden, int64_t row, int64_t rows, DeviceBuffer& buffer) {
    const int64_t vocab = frame_.arch.sizes.vocab;
    buffer.reserve(*frame_.ops.device, static_cast<size_t>(rows * vocab) * sizeof(float));
    const Matrix logits(buffer.as<float>(), rows, vocab);
    forward_head(frame_, hidden.slice_rows(row, rows), logits, workspace_);
    return logits;
  }

  const Model& frame_;
  Matrix expected_;
  Workspace workspace_;
  DeviceBuffer buffers_[2];
};

bool packable(const Arch& arch, const BitItem& item, QuantFormat format, int bits) {
  format.bits = bits;
  return std::all_of(item.slots.begin(), item.slots.end(), [&](Slot slot) {
    const Shape shape = linear_shape(arch, *find_linear(arch.block, slot));
    return check_packable(PackedFormat::gptq, format, shape[0], shape[1], "").ok();
  });
}

// The widths of one item on the lower convex hull of loss over size: each next one gains less for its
// size.
std::vector<size_t> hull(const Arch& arch, const QuantFormat& format, const BitItem& item) {
  std::vector<size_t> widths;
  const auto slope = [&](size_t a, size_t b) {
    return (item.loss[a] - item.loss[b]) / (item_size(arch, item, format, kBitWidths[b]) -
                                            item_size(arch, item, format, kBitWidths[a]));
  };
  for (size_t next = 0; next < kBitWidths.size(); ++next) {
    if (!packable(arch, item, format, kBitWidths[next])) continue;
    while (widths.size() >= 2 &&
           slope(widths[widths.size() - 2], widths.back()) < slope(widths.back(), next)) {
      widths.pop_back();
    }
    widths.push_back(next);
  }
  return widths;
}

void set_bits(FormatPlan& plan, const BitItem& item, int bits) {
  for (const Slot slot : item.slots) plan.set(item.layer, slot, bits);
}

double block_weights(const Arch& arch) {
  double weights = 0;
  for (const Linear& linear : block_linears(arch.block)) {
    weights += static_cast<double>(arch.sizes.layers * linear_shape(arch, linear).elements());
  }
  return weights;
}

uint64_t output_bytes(const TensorReader& reader, const QuantizeOptions& options) {
  return plan_quantize(reader, options, 0, 1).output_bytes;
}

// Bits per weight that fill `bytes` of output, what is not a block's linear taken off.
Result<double> bits_for_size(const TensorReader& reader, const QuantizeOptions& options,
                             uint64_t bytes) {
  const double weights = block_weights(reader.arch());
  const double other = static_cast<double>(output_bytes(reader, options)) -
                       options.formats.bits_per_weight(reader.arch()) * weights / 8;
  const double bits = (static_cast<double>(bytes) - other) * 8 / weights;
  if (bits > 0) return bits;
  return usage_error(cat("--target-size ", human_bytes(bytes), ": ",
                         human_bytes(static_cast<uint64_t>(other)),
                         " of the output are not weights of the blocks"));
}

Result<double> target_bits(const TensorReader& reader, const BitTarget& target,
                           const QuantizeOptions& options) {
  if (target.bytes > 0) return bits_for_size(reader, options, target.bytes);
  return target.bits_per_weight;
}

}  // namespace

std::vector<BitItem> bit_items(const TensorReader& reader, const FormatPlan& formats,
                               int64_t layer) {
  const Block& block = reader.arch().block;
  std::map<Slot, Slot> key;  // of each linear; equal ones are one item
  for (const Linear& linear : block_linears(block)) {
    key[linear.slot] = input_slot(block, expert_place(linear.slot).of_first);
  }
  for (const Linear& linear : block_linears(block)) {
    const Slot mine = key[linear.slot];
    for (const Slot other : output_placement(reader, linear, layer).sharers) {
      const auto found = key.find(other);
      if (found == key.end() || found->second == mine) continue;
      for (auto& [slot, of] : key) {
        if (of == found->second) of = mine;
      }
    }
  }
  std::vector<BitItem> items;
  std::map<Slot, size_t> at;
  for (const Linear& linear : block_linears(block)) {
    if (!formats.of(layer, linear.slot)) continue;
    const auto [place, added] = at.try_emplace(key[linear.slot], items.size());
    if (added) items.push_back({layer, {}, {}});
    items[place->second].slots.push_back(linear.slot);
  }
  return items;
}

Result<std::vector<BitItem>> measure_bit_losses(const TensorReader& reader, const Ops& ops,
                                                std::span<const int32_t> tokens,
                                                const QuantizeOptions& options,
                                                const LayerProgress& on_layer) {
  const Arch& arch = reader.arch();
  AWQ_ASSIGN(const Model frame, load_frame(reader, ops));
  const auto length = static_cast<size_t>(options.calibration_length);
  const size_t judged = std::min(tokens.size() / length, static_cast<size_t>(kJudged));
  std::vector<int32_t> ids(tokens.begin(), tokens.begin() + static_cast<int64_t>(judged * length));
  // Behind those: the first sequence once for each item.
  std::vector<std::vector<BitItem>> by_layer;
  for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
    by_layer.push_back(bit_items(reader, options.formats, layer));
    for (size_t i = 0; i < by_layer.back().size(); ++i) {
      ids.insert(ids.end(), tokens.begin(), tokens.begin() + static_cast<int64_t>(length));
    }
  }
  Calibration calibration(frame, ids, options.calibration_length);
  ThreadPool& pool = ops.device->pool();
  std::vector<BitItem> result;
  auto next = static_cast<int64_t>(judged);  // sequence
  for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
    AWQ_ASSIGN(const FloatBlock block, reader.read_block(layer, pool));
    reader.release_block(layer);
    BlockWeights weights = pack_block(arch, block, ops);
    AWQ_ASSIGN(const BlockStatistics statistics,
               calibration.observe(weights, layer, 0, static_cast<int64_t>(judged)));
    calibration.advance(weights, layer, static_cast<int64_t>(judged),
                        next - static_cast<int64_t>(judged));
    BlockBits bits(arch, ops, options, layer);
    for (BitItem& item : by_layer[static_cast<size_t>(layer)]) {
      bits.measure(block, statistics, weights, item);
      calibration.copy_sequence(0, next);
      calibration.advance(weights, layer, next, 1);
      bits.restore(block, weights, item);
      result.push_back(std::move(item));
      ++next;
    }
    calibration.advance(weights, layer, 0, static_cast<int64_t>(judged));
    if (on_layer) on_layer({layer + 1, arch.sizes.layers});
  }
  OutputError error(frame, calibration.hidden(0));
  for (size_t i = 0; i < result.size(); ++i) {
    const double reached = error.of(calibration.hidden(static_cast<int64_t>(judged + i)));
    if (!std::isfinite(reached)) {
      return runtime_error(cat("layer ", result[i].layer, ": ", slot_name(result[i].slots.front()),
                               " in INT3 leaves no finite logits to choose bits by"));
    }
    const double at = result[i].loss[kFollowed];
    for (double& loss : result[i].loss) loss = at > 0 ? loss / at * reached : 0;
  }
  return result;
}

Result<FormatPlan> allocate_bits(const Arch& arch, FormatPlan plan, std::span<const BitItem> items,
                                 double bits_per_weight) {
  std::vector<Step> steps;
  for (size_t i = 0; i < items.size(); ++i) {
    const std::vector<size_t> widths = hull(arch, plan.base(), items[i]);
    if (widths.empty()) {
      const std::string name = slot_name(items[i].slots.front());
      return usage_error(cat(name, " has no packed layout at any width; --keep ", name));
    }
    set_bits(plan, items[i], kBitWidths[widths.front()]);
    for (size_t k = 1; k < widths.size(); ++k) {
      const size_t from = widths[k - 1], to = widths[k];
      steps.push_back({i, to, items[i].loss[from] - items[i].loss[to],
                       item_size(arch, items[i], plan.base(), kBitWidths[to]) -
                           item_size(arch, items[i], plan.base(), kBitWidths[from])});
    }
  }
  const double least = plan.bits_per_weight(arch);
  if (least > bits_per_weight + 1e-9) {
    return usage_error(cat("a target of ", fixed(bits_per_weight, 3),
                           " bits per weight is not to be had: the narrowest widths take ",
                           fixed(least, 3), "; use larger groups"));
  }
  std::stable_sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) {
    return a.gain * b.size > b.gain * a.size;
  });
  double room = (bits_per_weight - least) * block_weights(arch) + 1e-3;
  std::vector<bool> closed(items.size(), false);  // an earlier step of it did not fit
  for (const Step& step : steps) {
    if (closed[step.item] || step.size > room) {
      closed[step.item] = true;
      continue;
    }
    room -= step.size;
    set_bits(plan, items[step.item], kBitWidths[step.to]);
  }
  plan.choose_base(arch);
  return plan;
}

double total_loss(const FormatPlan& plan, std::span<const BitItem> items) {
  double sum = 0;
  for (const BitItem& item : items) {
    const auto format = plan.of(item.layer, item.slots.front());
    for (size_t i = 0; i < kBitWidths.size(); ++i) {
      if (format && format->bits == kBitWidths[i]) sum += item.loss[i];
    }
  }
  return sum;
}

uint64_t bit_choice_bytes(const TensorReader& reader, const QuantizeOptions& options) {
  const Arch& arch = reader.arch();
  int64_t sequences = kJudged;
  for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
    sequences += static_cast<int64_t>(bit_items(reader, options.formats, layer).size());
  }
  const auto floats = static_cast<uint64_t>(
      (arch.tied_head ? 1 : 2) * arch.sizes.vocab * arch.sizes.hidden +
      2 * kLogitRows * arch.sizes.vocab);
  return Calibration::bytes(arch, sequences * options.calibration_length, options.calibration_length) +
         floats * sizeof(float);
}

Status check_bit_target(const TensorReader& reader, const BitTarget& target,
                        const QuantizeOptions& options) {
  AWQ_ASSIGN(const double bits, target_bits(reader, target, options));
  std::vector<BitItem> items;
  for (int64_t layer = 0; layer < reader.arch().sizes.layers; ++layer) {
    const std::vector<BitItem> more = bit_items(reader, options.formats, layer);
    items.insert(items.end(), more.begin(), more.end());
  }
  AWQ_TRY(allocate_bits(reader.arch(), options.formats, items, bits));
  return {};
}

Result<Json> choose_bits(const TensorReader& reader, const Ops& ops,
                         std::span<const int32_t> tokens, const BitTarget& asked,
                         QuantizeOptions& options, const LayerProgress& on_layer) {
  const Arch& arch = reader.arch();
  AWQ_ASSIGN(double target, target_bits(reader, asked, options));
  AWQ_ASSIGN(const std::vector<BitItem> items,
             measure_bit_losses(reader, ops, tokens, options, on_layer));
  Json uniform = Json::array();
  FormatPlan plan = options.formats;
  for (const int bits : kBitWidths) {
    for (const BitItem& item : items) set_bits(plan, item, bits);
    uniform.push_back({{"bits", bits},
                       {"bits_per_weight", plan.bits_per_weight(arch)},
                       {"loss", total_loss(plan, items)}});
  }
  for (;;) {
    AWQ_ASSIGN(options.formats, allocate_bits(arch, std::move(plan), items, target));
    if (asked.bytes == 0) break;
    const uint64_t output = output_bytes(reader, options);
    if (output <= asked.bytes) break;  // else what goes with a layout was not counted yet
    target -= std::max(1e-3, static_cast<double>(output - asked.bytes) * 8 / block_weights(arch));
    plan = options.formats;
  }
  AWQ_TRY(check_formats(reader, options.formats));
  Json chosen = Json::array();
  for (const BitItem& item : items) {
    std::string names;
    for (const Slot slot : item.slots) {
      if (expert_place(slot).expert == 0) append_item(names, slot_name(slot));
    }
    const int bits = options.formats.of(item.layer, item.slots.front())->bits;
    const auto width = std::find(kBitWidths.begin(), kBitWidths.end(), bits) - kBitWidths.begin();
    chosen.push_back({{"layer", item.layer},
                      {"linears", names},
                      {"bits", bits},
                      {"loss", item.loss[static_cast<size_t>(width)]},
                      {"losses", item.loss}});
  }
  return Json({{"target_bits_per_weight", target},
               {"bits_per_weight", options.formats.bits_per_weight(arch)},
               {"loss", total_loss(options.formats, items)},
               {"uniform", uniform},
               {"items", chosen}});
}

}  // namespace awq
