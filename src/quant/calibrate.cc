#include "quant/calibrate.h"

#include <algorithm>
#include <cmath>

namespace awq {

const InputStatistics* find_statistics(const BlockStatistics& statistics, const Block& block,
                                       Slot slot) {
  const auto found = statistics.find(input_slot(block, slot));
  const Slot of_first = expert_place(slot).of_first;
  if (of_first < Slot::expert_gate) return &found->second;
  if (found != statistics.end() && found->second.tokens >= kEnoughTokens) return &found->second;
  if (of_first == Slot::expert_down) return nullptr;
  return &statistics.at(ffn_input_slot(block));
}

namespace {

// A GPU needs more to be busy.
constexpr int64_t kHostBatchTokens = 2048, kDeviceBatchTokens = 8192;

int64_t batch_of(int64_t length, bool host) {
  return std::max<int64_t>(1, (host ? kHostBatchTokens : kDeviceBatchTokens) / length);
}

// Accumulates the statistics of each distinct input of a block on the device.
class Collector final : public Observer {
 public:
  explicit Collector(const Model& model) : model_(model) {}

  void on_linear_input(int64_t, Slot slot, const Matrix& x) override {
    if (input_slot(model_.arch.block, slot) != slot) return;
    Sums& sums = sums_[slot];
    Device& device = *model_.ops.device;
    const auto width = static_cast<size_t>(x.cols);
    if (sums.gram.data() == nullptr) {
      sums.gram = DeviceBuffer(device, width * width * sizeof(float));
      device.clear(sums.gram.data(), sums.gram.size());
      sums.abs_sum = DeviceBuffer(device, width * sizeof(double));
      device.clear(sums.abs_sum.data(), sums.abs_sum.size());
      sums.width = x.cols;
    }
    model_.ops.gram(device, x, sums.gram.as<float>());
    model_.ops.abs_sum(device, x, sums.abs_sum.as<double>());
    sums.tokens += x.rows;
  }

  Result<BlockStatistics> finish(int64_t layer) {
    BlockStatistics result;
    for (auto& [slot, sums] : sums_) {
      InputStatistics statistics;
      statistics.width = sums.width;
      statistics.tokens = sums.tokens;
      const auto width = static_cast<size_t>(sums.width);
      statistics.gram = std::move(sums.gram);
      std::vector<double> abs_sum(width), gram_sum(width, 0.0);
      Device& device = *model_.ops.device;
      device.download(abs_sum.data(), sums.abs_sum.data(), sums.abs_sum.size());
      device.clear(sums.abs_sum.data(), sums.abs_sum.size());
      model_.ops.abs_sum(device, {statistics.gram.as<float>(), sums.width, sums.width},
                         sums.abs_sum.as<double>());
      device.download(gram_sum.data(), sums.abs_sum.data(), sums.abs_sum.size());
      for (size_t i = 0; i < width; ++i) {
        const double mean = abs_sum[i] / static_cast<double>(sums.tokens);
        statistics.mean_abs.push_back(static_cast<float>(mean));
        if (std::isfinite(mean) && std::isfinite(gram_sum[i])) continue;
        return runtime_error(cat("layer ", layer, ": the input of ", slot_name(slot),
                                 " is not finite in channel ", i,
                                 "; the checkpoint overflows on this calibration text"));
      }
      result.emplace(slot, std::move(statistics));
    }
    return result;
  }

 private:
  struct Sums {
    int64_t width = 0, tokens = 0;
    DeviceBuffer gram, abs_sum;
  };
  const Model& model_;
  std::map<Slot, Sums> sums_;
};

}  // namespace

template <class F>
void Calibration::for_batches(int64_t sequences, F&& f) const {
  for (int64_t first = 0; first < sequences; first += batch_) {
    f(first, std::min(batch_, sequences - first));
  }
}

Calibration::Calibration(const Model& frame, std::span<const int32_t> tokens, int64_t length)
    : model_(&frame), length_(length), sequences_(static_cast<int64_t>(tokens.size()) / length),
      batch_(batch_of(length, frame.ops.device->host_visible())),
      workspace_(*frame.ops.device) {
  AWQ_CHECK(sequences_ > 0, tokens.size(), " tokens, length ", length);
  Device& device = *frame.ops.device;
  const Sizes& sizes = frame.arch.sizes;
  hidden_ =
      DeviceBuffer(device, static_cast<size_t>(this->tokens() * sizes.hidden) * sizeof(float));
  // Halves where tensor cores attend.
  kv_type_ = device.host_visible() ? DType::f32 : DType::f16;
  const int64_t kv_values = 2 * batch_ * length * sizes.kv_heads * sizes.head_dim;
  kv_ = DeviceBuffer(device, dtype_bytes(kv_type_, static_cast<uint64_t>(kv_values)));
  for_batches(sequences_, [&](int64_t first, int64_t count) {
    const int64_t begin = first * length_, rows = count * length_;
    embed_tokens(frame, tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(rows)),
                 batch_rows(count).positions,
                 {hidden_.as<float>() + begin * sizes.hidden, rows, sizes.hidden}, workspace_);
  });
}

Rows Calibration::batch_rows(int64_t count) {
  const Sizes& sizes = model_->arch.sizes;
  const int64_t head_stride = length_ * sizes.head_dim;
  positions_.clear();
  segments_.clear();
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < length_; ++j) positions_.push_back(static_cast<int32_t>(j));
    const int64_t cache = sizes.kv_heads * head_stride;
    const auto at = [&](int64_t values) {
      return kv_.as<std::byte>() + dtype_bytes(kv_type_, static_cast<uint64_t>(values));
    };
    segments_.push_back({i * length_, length_, 0,
                         {at(2 * i * cache), at((2 * i + 1) * cache), kv_type_, head_stride}});
  }
  return {positions_, segments_};
}

Matrix Calibration::hidden_rows(int64_t first, int64_t count) const {
  const int64_t hidden = model_->arch.sizes.hidden;
  return {hidden_.as<float>() + first * length_ * hidden, count * length_, hidden};
}

Result<BlockStatistics> Calibration::run(const BlockWeights& weights, int64_t layer) {
  Collector collector(*model_);
  for_batches(sequences_, [&](int64_t first, int64_t count) {
    forward_block(*model_, weights, layer, hidden_rows(first, count), batch_rows(count), workspace_,
                  &collector);
  });
  return collector.finish(layer);
}

Result<BlockStatistics> Calibration::observe(const BlockWeights& weights, int64_t layer,
                                             int64_t begin, int64_t sequences) {
  AWQ_CHECK(begin + sequences <= sequences_, begin, " + ", sequences, " of ", sequences_);
  Collector collector(*model_);
  Device& device = *model_->ops.device;
  for_batches(sequences, [&](int64_t first, int64_t count) {
    const Matrix from = hidden_rows(begin + first, count);
    moved_.reserve(device, static_cast<size_t>(from.rows * from.cols) * sizeof(float));
    const Matrix x(moved_.as<float>(), from.rows, from.cols);
    device.clear(x.data, static_cast<size_t>(x.rows * x.cols) * sizeof(float));
    model_->ops.add(device, from, x);
    forward_block(*model_, weights, layer, x, batch_rows(count), workspace_, &collector);
  });
  return collector.finish(layer);
}

void Calibration::advance(const BlockWeights& weights, int64_t layer, int64_t begin,
                          int64_t sequences) {
  AWQ_CHECK(begin + sequences <= sequences_, begin, " + ", sequences, " of ", sequences_);
  for_batches(sequences, [&](int64_t first, int64_t count) {
    forward_block(*model_, weights, layer, hidden_rows(begin + first, count), batch_rows(count),
                  workspace_);
  });
}

void Calibration::copy_sequence(int64_t from, int64_t to) {
  const Matrix source = hidden_rows(from, 1), copy = hidden_rows(to, 1);
  Device& device = *model_->ops.device;
  device.clear(copy.data, static_cast<size_t>(copy.rows * copy.cols) * sizeof(float));
  model_->ops.add(device, source, copy);
}

Calibration::ModuleInputs Calibration::capture_module_inputs(const BlockWeights& weights,
                                                             int64_t layer, int64_t limit) {
  // Sees the normed input of the attention (first linear: q) and of the feed-forward module.
  class Capture final : public Observer {
   public:
    Capture(const Model& model, ModuleInputs& inputs) : model_(model), inputs_(inputs) {}
    void on_linear_input(int64_t, Slot slot, const Matrix& x) override {
      if (slot == Slot::q) append(inputs_.attention, x);
      if (slot == ffn_input_slot(model_.arch.block)) append(inputs_.ffn, x);
    }

   private:
    void append(std::vector<float>& to, const Matrix& x) {
      const size_t old = to.size(), count = static_cast<size_t>(x.rows * x.cols);
      to.resize(old + count);
      model_.ops.device->download(to.data() + old, x.data, count * sizeof(float));
    }
    const Model& model_;
    ModuleInputs& inputs_;
  };

  ModuleInputs inputs;
  Capture capture(*model_, inputs);
  const int64_t hidden = model_->arch.sizes.hidden;
  for_batches(std::min(limit, sequences_), [&](int64_t first, int64_t count) {
    const int64_t rows = count * length_;
    std::vector<float> copy(static_cast<size_t>(rows * hidden));
    Device& device = *model_->ops.device;
    device.download(copy.data(), hidden_.as<float>() + first * length_ * hidden,
                    copy.size() * sizeof(float));
    const DeviceBuffer x = upload_floats(device, copy);
    forward_block(*model_, weights, layer, {x.as<float>(), rows, hidden}, batch_rows(count),
                  workspace_, &capture);
    inputs.tokens += rows;
  });
  return inputs;
}

std::vector<float> Calibration::run_module(const BlockWeights& weights, int64_t layer,
                                           bool attention, std::span<const float> normed) {
  const int64_t hidden = model_->arch.sizes.hidden;
  Device& device = *model_->ops.device;
  std::vector<float> out(normed.size());
  const int64_t sequences = static_cast<int64_t>(normed.size()) / (hidden * length_);
  for_batches(sequences, [&](int64_t first, int64_t count) {
    const int64_t rows = count * length_, offset = first * length_ * hidden;
    const std::vector<float> copy(normed.begin() + offset, normed.begin() + offset + rows * hidden);
    const DeviceBuffer x = upload_floats(device, copy);
    DeviceBuffer y(device, x.size());
    const Matrix in(x.as<float>(), rows, hidden), result(y.as<float>(), rows, hidden);
    if (attention) {
      forward_attention(*model_, weights, layer, in, batch_rows(count), result, workspace_);
    } else {
      forward_ffn(*model_, weights, layer, in, result, workspace_);
    }
    device.download(out.data() + offset, y.data(), y.size());
  });
  return out;
}

uint64_t Calibration::bytes(const Arch& arch, int64_t tokens, int64_t length) {
  const Sizes& sizes = arch.sizes;
  const int64_t batch_tokens = std::min(batch_of(length, true) * length, tokens);
  uint64_t grams = 0, largest = 0;
  for (const Linear& linear : block_linears(arch.block)) {
    if (input_slot(arch.block, linear.slot) != linear.slot) continue;
    const int64_t width = axis_size(sizes, linear.in_axis);
    const auto gram = static_cast<uint64_t>(width * width) * sizeof(float);
    grams += gram;
    largest = std::max(largest, gram);
  }
  return static_cast<uint64_t>(tokens * sizes.hidden) * sizeof(float) + grams + largest +
         Workspace::bytes(arch, batch_tokens) +
         static_cast<uint64_t>(2 * batch_tokens * sizes.kv_heads * sizes.head_dim) * sizeof(float);
}

}  // namespace awq
