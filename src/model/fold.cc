#include "model/fold.h"

#include <algorithm>

namespace awq {

std::string FoldGroup::name() const {
  std::string text = cat(slot_name(producer), " -> ");
  for (size_t i = 0; i < consumers.size(); ++i) {
    const auto [of_first, expert] = expert_place(consumers[i]);
    if (consumers.size() > 1 && expert > 0) continue;  // all experts are in it
    text += cat(i == 0 ? "" : ", ", slot_name(consumers[i]));
  }
  return text;
}

// What reads the feed-forward module's input.
static std::vector<Slot> ffn_readers(const Ffn& ffn) {
  if (std::holds_alternative<GatedFfn>(ffn)) return {Slot::gate, Slot::up};
  const auto* moe = std::get_if<MoeFfn>(&ffn);
  if (moe == nullptr) return {Slot::up};
  std::vector<Slot> readers = {Slot::router};
  for (int64_t e = 0; e < moe->experts; ++e) {
    readers.push_back(expert_slot(Slot::expert_gate, e));
    readers.push_back(expert_slot(Slot::expert_up, e));
  }
  return readers;
}

std::vector<FoldGroup> fold_groups(const Arch& arch, FoldOptions options) {
  const Block& block = arch.block;
  const Residual wiring = block.residual;
  std::vector<FoldGroup> groups;

  // A norm absorbs a scale only if nothing but these linears reads it: not where its output is the
  // residual stream (post_norm), nor where the module reads the stream itself (no norm).
  const std::vector<Slot> fed = ffn_readers(block.ffn);
  const bool one_norm = wiring == Residual::parallel_one_norm;
  if (block.attn_norm && wiring != Residual::post_norm) {
    FoldGroup attention{FoldInto::norm, block.attn_norm->slot, {Slot::q, Slot::k, Slot::v}};
    if (one_norm) attention.consumers.insert(attention.consumers.end(), fed.begin(), fed.end());
    groups.push_back(std::move(attention));
  }

  const Sizes& sizes = arch.sizes;
  const Shape v = linear_shape(arch, block.attention.v), o = linear_shape(arch, block.attention.o);
  const bool linear_in_v = block.attention.clip == 0;  // a clamped v does not take a scale through
  if (linear_in_v && (!options.reference_groups || v == o)) {
    groups.push_back({FoldInto::linear, Slot::v, {Slot::o}, sizes.heads / sizes.kv_heads});
  }

  if (block.ffn_norm && !one_norm && wiring != Residual::post_norm) {
    groups.push_back({FoldInto::norm, block.ffn_norm->slot, fed});
  }
  if (const auto* moe = std::get_if<MoeFfn>(&block.ffn)) {
    for (int64_t e = 0; e < moe->experts; ++e) {
      groups.push_back({FoldInto::linear,
                        expert_slot(Slot::expert_up, e),
                        {expert_slot(Slot::expert_down, e)}});
    }
  } else if (keeps_activation_scale(block)) {
    groups.push_back({FoldInto::activation, Slot::act, {Slot::down}});
  } else {  // behind a gate, or a positively homogeneous activation
    groups.push_back({FoldInto::linear, Slot::up, {Slot::down}});
  }
  return groups;
}

int64_t fold_channels(const Arch& arch, const FoldGroup& group) {
  if (group.into == FoldInto::norm) return arch.sizes.hidden;
  if (group.into == FoldInto::activation) return arch.sizes.ffn;
  return linear_shape(arch, *find_linear(arch.block, group.producer))[0];
}

// Consumer column (head h, i) takes the channel (kv head h / heads_per_channel, i).
static int64_t channel_of(const Arch& arch, const FoldGroup& group, int64_t column) {
  if (group.heads_per_channel == 1) return column;
  const int64_t dim = arch.sizes.head_dim;
  return column / dim / group.heads_per_channel * dim + column % dim;
}

std::vector<float> expand_scale(const Arch& arch, const FoldGroup& group,
                                std::span<const float> scale) {
  const int64_t columns = static_cast<int64_t>(scale.size()) * group.heads_per_channel;
  std::vector<float> out(static_cast<size_t>(columns));
  for (int64_t i = 0; i < columns; ++i) {
    out[static_cast<size_t>(i)] = scale[static_cast<size_t>(channel_of(arch, group, i))];
  }
  return out;
}

std::vector<float> reduce_columns(const Arch& arch, const FoldGroup& group,
                                  std::span<const float> columns) {
  const auto count = static_cast<int64_t>(columns.size());
  std::vector<float> out(static_cast<size_t>(count / group.heads_per_channel), 0.0f);
  for (int64_t i = 0; i < count; ++i) {
    out[static_cast<size_t>(channel_of(arch, group, i))] += columns[static_cast<size_t>(i)];
  }
  for (float& value : out) value /= static_cast<float>(group.heads_per_channel);
  return out;
}

static void divide(std::vector<float>& values, std::span<const float> scale, float offset) {
  for (size_t i = 0; i < values.size(); ++i) values[i] = (values[i] + offset) / scale[i] - offset;
}

void apply_fold(const Arch& arch, const FoldGroup& group, std::span<const float> scale,
                FloatBlock& block) {
  AWQ_CHECK(static_cast<int64_t>(scale.size()) == fold_channels(arch, group), group.name());
  FloatWeights& producer = block[group.producer];
  if (group.into == FoldInto::activation && producer.weight.empty()) {
    producer.weight = {{arch.sizes.ffn}, std::vector<float>(scale.size(), 1.0f)};
  }
  divide(producer.bias.values, scale, 0);
  if (group.into == FoldInto::norm) {
    divide(producer.weight.values, scale, find_norm(arch.block, group.producer)->weight_offset);
  } else if (group.into == FoldInto::activation) {
    for (size_t i = 0; i < scale.size(); ++i) producer.weight.values[i] *= scale[i];
  } else {
    const int64_t in = producer.weight.shape[1];
    for (size_t row = 0; row < scale.size(); ++row) {
      float* w = producer.weight.values.data() + static_cast<int64_t>(row) * in;
      for (int64_t i = 0; i < in; ++i) w[i] /= scale[row];
    }
  }
  const std::vector<float> columns = expand_scale(arch, group, scale);
  for (const Slot slot : group.consumers) {
    FloatTensor& weight = block[slot].weight;
    AWQ_CHECK(weight.shape[1] == static_cast<int64_t>(columns.size()), group.name());
    for (int64_t row = 0; row < weight.shape[0]; ++row) {
      float* w = weight.values.data() + row * weight.shape[1];
      for (size_t i = 0; i < columns.size(); ++i) w[i] *= columns[i];
    }
  }
}

}  // namespace awq
