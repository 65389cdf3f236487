// What a calibrated method does to one decoder block: search and fold scales, search clips, round.
#pragma once

#include "base/json.h"
#include "quant/awq_scale.h"
#include "quant/method.h"
#include "quant/quantized_writer.h"

namespace awq {

struct BlockLoss {
  double rounding = 0, choice = 0;  ///< mean over the block's fold groups, or linears
};

class BlockQuantizer {
 public:
  /// All outlive this.
  BlockQuantizer(const Arch& arch, const Ops& ops, const QuantizeOptions& options)
      : arch_(arch), ops_(ops), options_(options) {}

  /// Works on `block` in place and moves the calibration's hidden states to the next block: through
  /// the float block (awq), or through the quantized one, so that later blocks see what they will be
  /// given (gptq). Returns the linears that are rounded already; the rest is to be rounded to nearest.
  Result<RoundedBlock> run(int64_t layer, Calibration& calibration, FloatBlock& block);

  BlockLoss last_loss() const { return loss_; }
  /// Entries of all blocks given, in that order: {"groups", "linears"}; of a mixture of experts also
  /// "experts", how many tokens each saw, and "starved_experts", those that saw too few.
  Json report() const;
  /// The same of one layer.
  Json entries_of(int64_t layer) const;

  double calibrate_seconds = 0, search_seconds = 0, clip_seconds = 0, round_seconds = 0;

 private:
  template <class F>
  Json parts(F&& of) const;  // of each kind of entries that there is

  using Keeps = std::map<Slot, std::vector<float>>;  // [out, groups] of each clipped linear

  /// What the sequences of calibration say of a block's inputs; `judge` is empty where none is held
  /// out.
  struct Seen {
    BlockStatistics fit, judge;
  };

  Result<Seen> observe(int64_t layer, Calibration& calibration, const BlockWeights& weights);
  void search_scales(int64_t layer, Calibration& calibration,
                     const Calibration::ModuleInputs& modules, Seen& seen, FloatBlock& block);
  Keeps search_clips(int64_t layer, const BlockStatistics& statistics, const FloatBlock& block);
  Result<RoundedBlock> compensate(int64_t layer, const Seen& seen, const FloatBlock& block,
                                  const Keeps& keeps);
  void note_experts(int64_t layer, const BlockStatistics& statistics);
  /// Of linears that read `input`.
  struct Attempt;
  Status round_attempts(int64_t layer, Slot input, const Seen& seen, std::vector<Attempt>& attempts,
                        RoundedBlock& rounded);
  /// The entry of `linears` for this linear.
  Json& entry(int64_t layer, const Linear& linear);

  const Arch& arch_;
  const Ops& ops_;
  const QuantizeOptions& options_;
  Json groups_ = Json::array(), linears_ = Json::array();
  Json experts_ = Json::array(), starved_ = Json::array();
  BlockLoss loss_;
};

}  // namespace awq
