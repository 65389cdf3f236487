// Tensors of a checkpoint by slot: names, shapes, fused or permuted layouts are normalised here, so
// that everything after sees canonical q, k, v, ... whatever the container.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "checkpoint/quantization.h"
#include "checkpoint/source.h"
#include "model/family.h"
#include "model/float_block.h"
#include "model/placement.h"

namespace awq {

class TensorReader {
 public:
  /// Reads config and names; checks that every tensor of the architecture is there with its shape.
  static Result<TensorReader> open(const Checkpoint& checkpoint);

  const Arch& arch() const { return arch_; }
  const Family& family() const { return *family_; }
  const Config& config() const { return config_; }
  const Checkpoint& checkpoint() const { return *checkpoint_; }
  const std::optional<QuantizationConfig>& quantization() const { return quantization_; }

  /// Whether this linear is stored as packed integers.
  bool is_quantized(Slot slot, int64_t layer) const;
  Result<QuantWeight> read_quantized_linear(const Linear& linear, int64_t layer) const;
  /// The same with its codes as they lie in the file; nothing where it is part of a fused tensor.
  Result<std::optional<PackedQuant>> read_packed_linear(const Linear& linear, int64_t layer) const;

  /// The weights and biases of a norm, [norm_size].
  Result<FloatWeights> read_norm(const Norm& norm, int64_t layer) const;
  /// The scale that the activation of a block is divided by, [ffn], as AutoAWQ's ScaledActivation
  /// stores it; empty when there is none.
  Result<FloatTensor> read_activation_scale(int64_t layer) const;
  /// The weight of a linear in f32, [out, in].
  Result<FloatTensor> read_weight(Slot slot, int64_t layer, const Shape& shape,
                                  ThreadPool& pool) const;
  /// The weight of a linear in half precision, [out, in], decoded without a copy in f32; empty when
  /// half precision cannot hold some value.
  Result<std::vector<uint16_t>> read_half(const Linear& linear, int64_t layer,
                                          ThreadPool& pool) const;
  /// Empty when `present` is false.
  Result<FloatTensor> read_bias(Slot slot, int64_t layer, const Shape& shape, bool present) const;

  /// The stored weight when it can be used as it lies (plain floats that are this slot's alone, in
  /// order), else null. Its bytes may lie at any alignment.
  const TensorInfo* raw_weight(Slot slot, int64_t layer) const;

  /// The weight in the floats that it is stored in, [out, in], put in order; `dtype` is set. Empty
  /// when it is stored otherwise.
  Result<std::vector<std::byte>> read_plain(const Linear& linear, int64_t layer,
                                            DType& dtype) const;

  /// Error naming the first tensor outside the blocks that holds NaN or infinity.
  Status check_frame_finite(ThreadPool& pool) const;

  /// A whole decoder block in f32, validated finite.
  Result<FloatBlock> read_block(int64_t layer, ThreadPool& pool) const;

  /// Pages of a block will not be needed again soon.
  void release_block(int64_t layer) const;

 private:
  TensorReader(const Checkpoint& checkpoint, Config config)
      : checkpoint_(&checkpoint), config_(std::move(config)) {}
  Status check_tensors() const;
  Status check_head();
  Status check_linear(const Linear& linear, int64_t layer) const;
  Status check_no_bias(Slot slot, int64_t layer) const;
  Status check_finite(const FloatTensor& tensor, Slot slot, int64_t layer, std::string_view part,
                      ThreadPool& pool) const;
  Status check_table_finite(const Linear& linear, ThreadPool& pool) const;
  Error not_finite(std::span<const float> values, int64_t columns, int64_t first, Slot slot,
                   int64_t layer, std::string_view part) const;
  Status check_norm(const Norm& norm, int64_t layer) const;
  Status read_divisors();
  Placement place(Slot slot, int64_t layer, int64_t outputs) const {
    return placement(*family_, checkpoint_->container(), arch_, slot, outputs, layer);
  }
  const TensorInfo* find(Slot slot, int64_t layer, std::string_view part) const {
    return find(cat(module_name(*family_, checkpoint_->container(), slot, layer), part));
  }
  const TensorInfo* find(const std::string& name) const;
  /// `shape` as stored; `keys`: what of the config it comes from.
  Result<const TensorInfo*> need(Slot slot, int64_t layer, std::string_view part,
                                 const Shape& shape, std::string_view keys = {}) const {
    return need(module_name(*family_, checkpoint_->container(), slot, layer), part, shape, keys);
  }
  Result<const TensorInfo*> need(const std::string& module, std::string_view part,
                                 const Shape& shape, std::string_view keys) const;

  const Checkpoint* checkpoint_;
  Config config_;
  const Family* family_ = nullptr;
  Arch arch_;
  std::optional<QuantizationConfig> quantization_;
};

}  // namespace awq
