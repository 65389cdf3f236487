// The tensors of a quantized checkpoint: packed linears, and everything else in float.
#pragma once

#include <map>

#include "checkpoint/quantization.h"
#include "checkpoint/writer.h"
#include "model/tensor_reader.h"
#include "quant/format_plan.h"
#include "quant/round.h"

namespace awq {

/// The linears of a block that were rounded already.
using RoundedBlock = std::map<Slot, QuantWeight>;

class QuantizedWriter {
 public:
  /// Declares (and reserves on disk) every tensor of the output. `resume`: an earlier run with the
  /// same formats wrote some of them there. `formats`: as check_formats() passes them.
  static Result<QuantizedWriter> create(const TensorReader& reader, const FormatPlan& formats,
                                        const OutputDirectory& output, bool resume = false);

  /// Packs everything and keeps nothing: for measurements.
  static QuantizedWriter discarding(const TensorReader& reader, const FormatPlan& formats);

  /// What lies outside the blocks.
  Status write_frame(ThreadPool& pool);
  /// Packs the linears of a (folded, clipped) block; those that are not in `rounded` are rounded to
  /// nearest.
  Status write_block(int64_t layer, const FloatBlock& block, const RoundedBlock& rounded,
                     Arithmetic arithmetic, ThreadPool& pool);
  /// What an earlier run wrote of the frame, or of a block, stays.
  void keep_frame();
  void keep_block(int64_t layer);
  /// Checksum of what was written since the last call; of such a frame or block as it is in the files.
  std::string take_sum() { return writer_.take_sum(); }
  Result<std::string> frame_sum() const;
  Result<std::string> block_sum(int64_t layer) const;
  /// Such a block, its linears as their codes are worth.
  Result<FloatBlock> read_block(int64_t layer, ThreadPool& pool);
  Status sync() { return writer_.sync(); }
  Status finish() { return writer_.finish(); }
  uint64_t bytes() const { return writer_.bytes(); }  ///< size of all files

 private:
  QuantizedWriter(const TensorReader& reader, const FormatPlan& formats, SafetensorsWriter writer)
      : reader_(&reader), formats_(formats), writer_(std::move(writer)) {}
  Status write_vector(const std::string& name, std::span<const float> values);
  Status write_table(const Linear& linear, ThreadPool& pool);
  Status write_head(ThreadPool& pool);
  Status write_norm(const Norm& norm, int64_t layer, const FloatWeights& values);
  Status write_linear(const Linear& linear, int64_t layer, const FloatBlock& block,
                      const RoundedBlock& rounded, Arithmetic arithmetic, ThreadPool& pool);
  Status write_float(const Linear& linear, int64_t layer, const Placement& place,
                     std::span<const float> values);
  Result<std::vector<float>> read_vector(const std::string& name, int64_t size);
  Result<FloatWeights> read_norm(const Norm& norm, int64_t layer);
  Result<FloatWeights> read_linear(const Linear& linear, int64_t layer, ThreadPool& pool);
  Result<std::vector<float>> read_float(const Linear& linear, const Placement& place, int64_t in);

  const TensorReader* reader_;
  FormatPlan formats_;
  SafetensorsWriter writer_;
};

}  // namespace awq
