// The tensors of a quantized checkpoint: packed linears, and everything else in float.
#pragma once

#include "checkpoint/quantization.h"
#include "checkpoint/writer.h"
#include "model/tensor_reader.h"
#include "quant/round.h"

namespace awq {

class QuantizedWriter {
 public:
  /// Declares (and reserves on disk) every tensor of the output.
  static Result<QuantizedWriter> create(const TensorReader& reader, const QuantFormat& format,
                                        const OutputDirectory& output);

  /// What lies outside the blocks.
  Status write_frame(ThreadPool& pool);
  /// Rounds and packs the linears of a (folded, clipped) block.
  Status write_block(int64_t layer, const FloatBlock& block, Arithmetic arithmetic,
                     ThreadPool& pool);
  Status finish() { return writer_.finish(); }

 private:
  QuantizedWriter(const TensorReader& reader, const QuantFormat& format, SafetensorsWriter writer)
      : reader_(&reader), format_(format), writer_(std::move(writer)) {}
  Status write_vector(const std::string& name, std::span<const float> values);
  Status write_norm(const Norm& norm, int64_t layer, const FloatWeights& values);
  Status write_linear(const Linear& linear, int64_t layer, const FloatBlock& block,
                      Arithmetic arithmetic, ThreadPool& pool);
  Status write_table(const Linear& linear, ThreadPool& pool);

  const TensorReader* reader_;
  QuantFormat format_;
  SafetensorsWriter writer_;
};

}  // namespace awq
