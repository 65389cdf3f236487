// A model ready to run: every weight in the backend's packed layout.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "kernels/ops.h"
#include "model/arch.h"
#include "model/float_block.h"
#include "model/tensor_reader.h"

namespace awq {

struct LinearWeights {
  std::unique_ptr<PackedWeight> weight;
  DeviceBuffer bias;  ///< f32 [out], or empty
};

struct NormWeights {
  DeviceBuffer weight, bias;  ///< f32 [dim]; bias may be empty
};

struct BlockWeights {
  SlotTable<LinearWeights> linears;
  SlotTable<NormWeights> norms;
  DeviceBuffer activation_factor;  ///< f32 [ffn], 1 / the scale of Slot::act; or empty
  LinearWeights& linear(Slot slot) { return linears[slot]; }
  const LinearWeights& linear(Slot slot) const { return linears[slot]; }
  NormWeights& norm(Slot slot) { return norms[slot]; }
  const NormWeights& norm(Slot slot) const { return norms[slot]; }
};

/// What a way to attend (Attention::kinds) looks up at each step.
struct PositionTables {
  std::vector<float> inverse_frequency;  ///< RoPE, [rotary_dim / 2] of a short sequence
  std::vector<float> alibi_slopes;       ///< [heads]
};

struct Model {
  Arch arch;
  Ops ops;
  LinearWeights embed, lm_head;  ///< lm_head is empty when tied
  NormWeights final_norm;
  LinearWeights position_table, project_in, project_out;  ///< where the Arch has them
  NormWeights embed_norm;
  std::vector<BlockWeights> blocks;
  std::vector<PositionTables> positions;  ///< of each of Attention::kinds
  DeviceBuffer ones;                      ///< f32 [head_dim], for heads with weights of their own
  std::optional<QuantFormat> quantization;

  const PackedWeight& head() const { return arch.tied_head ? *embed.weight : *lm_head.weight; }
  /// Weight bytes that one decoded token reads.
  uint64_t bytes_per_token() const;
};

/// Fills what is derived from the Arch alone: `positions` and `ones`.
void prepare_tables(Model& model);

/// GGUF blocks are decoded to half precision (to f32 where that overflows), floats are kept as
/// stored, packed integers stay packed. `ops` is copied; its device must outlive the model.
Result<Model> load_model(const TensorReader& reader, const Ops& ops);

/// Which of the vocabulary's tables a frame holds: calibration has no use for logits.
enum class Tables { both, embedding };

/// What lies outside the blocks only (blocks empty): quantization streams the blocks.
Result<Model> load_frame(const TensorReader& reader, const Ops& ops,
                         Tables tables = Tables::both);

/// A float block in the backend's layout (f32).
BlockWeights pack_block(const Arch& arch, const FloatBlock& block, const Ops& ops);

DeviceBuffer upload_floats(Device& device, const std::vector<float>& values);
/// 1 / each of `scale`; empty when it is.
DeviceBuffer upload_inverse(Device& device, const FloatTensor& scale);

}  // namespace awq
