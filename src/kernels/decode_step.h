// A whole decode step planned by a backend: the op-by-op walk of model/forward.h stays the default
// and the oracle; a backend that knows better (a CUDA graph, one persistent kernel) offers a plan for
// the decoders it understands and declines the rest.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/ops.h"

namespace awq {

/// One block of a sequential decoder with RMS norms, RoPE and a gated feed-forward. Pointers are
/// device memory and outlive the plan.
struct DecodeLayer {
  const float* attn_norm = nullptr;  ///< [hidden]
  const float* ffn_norm = nullptr;   ///< [hidden]
  const PackedWeight *q = nullptr, *k = nullptr, *v = nullptr, *o = nullptr;
  const PackedWeight *gate = nullptr, *up = nullptr, *down = nullptr;
  KvView kv;  ///< of the one sequence
};

struct DecodeSpec {
  int64_t hidden = 0, heads = 0, kv_heads = 0, head_dim = 0, ffn = 0, vocab = 0;
  int64_t capacity = 0;  ///< positions of the KV cache
  float epsilon = 1e-5f, attention_scale = 0;
  Activation activation = Activation::silu;
  int64_t rotary_dim = 0;
  RopePairing pairing = RopePairing::half;
  std::span<const float> inverse_frequency;  ///< host, [rotary_dim / 2]; copied
  const PackedWeight* embed = nullptr;
  const PackedWeight* head = nullptr;
  const float* final_norm = nullptr;  ///< [hidden]
  std::vector<DecodeLayer> layers;
};

/// Time that went to a part of the steps.
struct StepPart {
  std::string_view name;
  double seconds = 0;
};

/// Steps of one sequence with the caches of the spec.
class DecodeStep {
 public:
  virtual ~DecodeStep() = default;
  virtual std::string_view name() const = 0;
  /// Appends `token` at position `past`; returns logits [1, vocab] on the device, valid until the
  /// next call.
  virtual Matrix step(int32_t token, int64_t past) = 0;
  /// Greedy: appends `token` at `past`, then its argmax, and so on; ids[i] is the argmax after step
  /// i. No host synchronization between the tokens.
  virtual void greedy(int32_t token, int64_t past, std::span<int32_t> ids) = 0;
  /// What the steps since the last call spent on each of their parts; the first call starts the clock.
  /// Empty where the backend cannot tell.
  virtual std::vector<StepPart> profile() { return {}; }
};

}  // namespace awq
