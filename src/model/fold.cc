#include "model/fold.h"

#include <algorithm>

namespace awq {

std::string FoldGroup::name() const {
  std::string text = cat(slot_name(producer), " -> ");
  for (size_t i = 0; i < consumers.size(); ++i) {
    text += cat(i == 0 ? "" : ", ", slot_name(consumers[i]));
  }
  return text;
}

std::vector<FoldGroup> fold_groups(const Arch& arch, FoldOptions options) {
  const Block& block = arch.block;
  std::vector<FoldGroup> groups;

  FoldGroup attention{FoldInto::norm, block.attn_norm.slot, {Slot::q, Slot::k, Slot::v}};
  FoldGroup ffn{FoldInto::norm, block.ffn_norm.slot, {Slot::up}};
  const auto* gated = std::get_if<GatedFfn>(&block.ffn);
  if (gated != nullptr) ffn.consumers = {Slot::gate, Slot::up};
  if (block.residual == Residual::parallel_one_norm) {
    attention.consumers.insert(attention.consumers.end(), ffn.consumers.begin(),
                               ffn.consumers.end());
    groups.push_back(attention);
  } else {
    groups.push_back(attention);
  }

  const Sizes& sizes = arch.sizes;
  const Shape v = linear_shape(arch, block.attention.v), o = linear_shape(arch, block.attention.o);
  if (!options.reference_groups || v == o) {
    groups.push_back({FoldInto::linear, Slot::v, {Slot::o}, sizes.heads / sizes.kv_heads});
  }

  if (block.residual != Residual::parallel_one_norm) groups.push_back(ffn);

  const bool homogeneous =
      gated != nullptr || std::get<PlainFfn>(block.ffn).activation == Activation::relu;
  if (homogeneous) groups.push_back({FoldInto::linear, Slot::up, {Slot::down}});
  return groups;
}

int64_t fold_channels(const Arch& arch, const FoldGroup& group) {
  if (group.into == FoldInto::norm) return arch.sizes.hidden;
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

static float norm_offset(const Block& block, Slot slot) {
  return slot == block.attn_norm.slot ? block.attn_norm.weight_offset
                                      : block.ffn_norm.weight_offset;
}

void apply_fold(const Arch& arch, const FoldGroup& group, std::span<const float> scale,
                FloatBlock& block) {
  AWQ_CHECK(static_cast<int64_t>(scale.size()) == fold_channels(arch, group), group.name());
  FloatWeights& producer = block[group.producer];
  divide(producer.bias.values, scale, 0);
  if (group.into == FoldInto::norm) {
    divide(producer.weight.values, scale, norm_offset(arch.block, group.producer));
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
