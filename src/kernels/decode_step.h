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

/// What the parts of a pass took, all layers together.
struct PartTime {
  std::string_view name;  ///< of a literal
  int64_t calls = 0;      ///< 0: not counted
  double microseconds = 0;
  double bytes = 0;  ///< of weights, keys and values that it read; 0: not counted
};

/// Steps of one sequence with the caches of the spec.
class DecodeStep {
 public:
  virtual ~DecodeStep() = default;
  virtual std::string_view name() const = 0;
  /// Appends `token` at position `past`; returns logits [1, vocab] on the device, valid until the
  /// next call.
  virtual Matrix step(int32_t token, int64_t past) = 0;
  /// The same with the token in device memory, which may yet be being written: the host does not wait.
  virtual Matrix step_from(const int32_t* token, int64_t past) = 0;
  /// Greedy: appends `token` at `past`, then its argmax, and so on; ids[i] is the argmax after step
  /// i. No host synchronization between the tokens.
  virtual void greedy(int32_t token, int64_t past, std::span<int32_t> ids) = 0;
  /// What the steps since the last call spent on each of their parts; the first call starts the clock.
  /// Empty where the backend cannot tell.
  virtual std::vector<PartTime> profile() { return {}; }
};

/// Passes of a decoder over several sequences, or over many rows of one. The caches come with each
/// call: [layers][sequences]; those of the spec do not count.
class BatchStep {
 public:
  virtual ~BatchStep() = default;
  virtual std::string_view name() const = 0;
  /// Whether the caches are of a kind that it knows.
  virtual bool takes(const KvView& cache) const = 0;
  /// Appends tokens[i] at position past[i] of sequence i; returns logits [sequences, vocab] on the
  /// device, valid until the next call.
  virtual Matrix step(std::span<const int32_t> tokens, std::span<const int64_t> past,
                      std::span<const KvView> caches) = 0;
  /// The same with the tokens [past.size()] in device memory, which may yet be being written: the host
  /// does not wait.
  virtual Matrix step_from(const int32_t* tokens, std::span<const int64_t> past,
                           std::span<const KvView> caches) = 0;
  /// Greedy: appends the tokens, then each sequence's argmax, and so on; ids [steps][sequences]: the
  /// argmax after each. No host synchronization between the steps.
  virtual void greedy(std::span<const int32_t> tokens, std::span<const int64_t> past,
                      std::span<const KvView> caches, std::span<int32_t> ids) = 0;
  /// The most rows of a prompt, up to `rows`, for which memory can be had.
  virtual int64_t prompt_rows(int64_t rows) const = 0;
  /// Appends tokens from position `past` on to one sequence, caches [layers]; returns the residual
  /// rows [tokens, hidden] after the last block, valid until the next call.
  virtual Matrix prompt(std::span<const int32_t> tokens, int64_t past,
                        std::span<const KvView> caches) = 0;
  /// One step() or prompt() with its parts timed. The times between events add up to more than an
  /// unobserved pass takes, whose kernels overlap.
  virtual std::vector<PartTime> profile_step(std::span<const int32_t> tokens,
                                             std::span<const int64_t> past,
                                             std::span<const KvView> caches) = 0;
  virtual std::vector<PartTime> profile_prompt(std::span<const int32_t> tokens, int64_t past,
                                               std::span<const KvView> caches) = 0;
};

}  // namespace awq
