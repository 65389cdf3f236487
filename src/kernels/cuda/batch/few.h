// A decoder's blocks for 1 to 8 sequences by the products of few_product.h, which leave norms and
// activations to each other.
#pragma once

#include "kernels/cuda/batch/inputs.cuh"
#include "kernels/cuda/device.h"
#include "kernels/decode_step.h"

namespace awq::cuda::batch {

class FewRows {
 public:
  FewRows(CudaDevice& device, const DecodeSpec& spec) : device_(device), spec_(spec) {}

  /// Whether steps of so many sequences can go this way.
  bool fits(int64_t rows) const;
  /// For so many; true when memory moved.
  bool reserve(int64_t rows);

  /// x, the embeddings, as the first product reads them.
  void begin(Matrix x) const;
  /// The products of layer `l`, in this order.
  void qkv(size_t l, Matrix q, Matrix k, Matrix v) const;
  /// Where the attention leaves what o() reads.
  Inputs attended(size_t l, int64_t rows) const;
  void o(size_t l, Matrix x) const;
  void gate_up(size_t l, int64_t rows) const;
  void down(size_t l, Matrix x) const;

 private:
  FewArgs args(std::span<const PackedWeight* const> weights,
               std::span<const PackedWeight* const> next, FewEnd end, const __half* x,
               int64_t rows) const;
  int clusters_of(const PackedWeight* weight, int64_t rows) const;
  void run(const PackedWeight& first, const FewArgs& a) const;
  void add_residual(FewArgs& a, Matrix x, const float* norm, const float* power) const;
  /// `parts`: of the squares that the product before left.
  void set_norm(FewArgs& a, int parts, const float* power, float* next_power) const;
  int parts() const { return static_cast<int>(spec_.hidden / kTileRows); }  ///< at most
  __half* wide() const { return wide_.as<__half>(); }
  __half* normed() const { return normed_.as<__half>(); }
  float* squares() const { return facts_.as<float>(); }
  float* attn_power() const { return facts_.as<float>() + kFewTokens * parts(); }  ///< of qkv's inputs
  float* ffn_power() const { return attn_power() + kFewTokens; }                   ///< of gate_up's

  CudaDevice& device_;
  const DecodeSpec& spec_;
  DeviceBuffer wide_;    // what the attention and the activation leave
  DeviceBuffer normed_;  // what follows a norm
  DeviceBuffer facts_;   // squares [tokens][parts], powers [2][tokens]
};

}  // namespace awq::cuda::batch
