// The tensors of a quantized checkpoint: packed linears, and everything else in float.
#pragma once

#include "checkpoint/quantization.h"
#include "checkpoint/writer.h"
#include "model/tensor_reader.h"
#include "quant/format_plan.h"
#include "quant/round.h"

namespace awq {

/// The linears of a block that were rounded already, by slot.
using RoundedBlock = std::array<std::optional<QuantWeight>, kSlots>;

class QuantizedWriter {
 public:
  /// Declares (and reserves on disk) every tensor of the output. `resume`: an earlier run with the
  /// same formats wrote some of them there.
  static Result<QuantizedWriter> create(const TensorReader& reader, const FormatPlan& formats,
                                        const OutputDirectory& output, bool resume = false);

  /// Embedding, head and final norm.
  Status write_frame(ThreadPool& pool);
  /// Packs the linears of a (folded, clipped) block; those that are not in `rounded` are rounded to
  /// nearest.
  Status write_block(int64_t layer, const FloatBlock& block, const RoundedBlock& rounded,
                     Arithmetic arithmetic, ThreadPool& pool);
  /// What an earlier run wrote of the frame, or of a block, stays.
  void keep_frame();
  void keep_block(int64_t layer);
  /// Such a block, its linears as their codes are worth.
  Result<FloatBlock> read_block(int64_t layer, ThreadPool& pool);
  Status sync() { return writer_.sync(); }
  Status finish() { return writer_.finish(); }

 private:
  QuantizedWriter(const TensorReader& reader, const FormatPlan& formats, SafetensorsWriter writer)
      : reader_(&reader), formats_(formats), writer_(std::move(writer)) {}
  Status write_vector(Slot slot, int64_t layer, std::string_view part, const FloatTensor& tensor);
  Status write_table(const Linear& linear, ThreadPool& pool);
  Status write_head(ThreadPool& pool);
  Result<FloatTensor> read_vector(Slot slot, int64_t layer, std::string_view part, int64_t size);
  Result<FloatTensor> read_matrix(const Linear& linear, int64_t layer, ThreadPool& pool);
  Status write_half(Slot slot, int64_t layer, const FloatTensor& tensor);

  const TensorReader* reader_;
  FormatPlan formats_;
  SafetensorsWriter writer_;
};

}  // namespace awq
