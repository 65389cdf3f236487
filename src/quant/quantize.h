// Quantizes a model block by block: read one block in float, calibrate, search scales, fold,
// search clips, round, pack, write. At no time are more than two float blocks held.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "checkpoint/writer.h"
#include "model/tensor_reader.h"
#include "model/weights.h"
#include "quant/journal.h"
#include "quant/method.h"
#include "quant/quantized_writer.h"

namespace awq {

struct QuantizeProgress {
  int64_t layer = 0, layers = 0;
  double loss_rounding = 0, loss_choice = 0;  ///< mean over the layer's fold groups
};

using LayerProgress = std::function<void(const QuantizeProgress&)>;

/// Takes a finished block: folded and clipped, with the linears that are rounded already; the others
/// are to be rounded to nearest. Called in order. `beside`: beside a GPU it may be called from
/// another thread, while the device works on the next block; the pool is its own.
using BlockSink = std::function<Status(int64_t layer, const FloatBlock& block,
                                       const RoundedBlock& rounded, ThreadPool& pool)>;

/// Asked after every block: true stops the run.
using StopRequest = std::function<bool()>;

/// What happens to the blocks.
struct BlockRun {
  BlockSink sink;
  bool beside = false;
  LayerProgress on_layer;
  StopRequest stop;
  /// Blocks that an earlier run finished, and what they are now: as given to the sink, linears as
  /// their codes are worth.
  int64_t done = 0;
  std::function<Result<FloatBlock>(int64_t layer)> read_done;
  /// The sink is through with block `layer`; `entries`: its entries of the report.
  std::function<Status(int64_t layer, Json entries)> on_done;
};

/// Quantizes every block. `tokens`: calibration ids, cut into sequences of
/// options.calibration_length; unused for RTN. Returns the report's "groups", "linears", of a
/// mixture of experts "experts" and "starved_experts", and "seconds". Stopped: a runtime error that says after which layer.
Result<Json> quantize_blocks(const TensorReader& reader, const Ops& ops,
                             std::span<const int32_t> tokens, const QuantizeOptions& options,
                             const BlockRun& run);

/// The same, into the weights and config.json in `output` (not committed), noted in `journal` after
/// every block; blocks that it holds already are kept, and its tokens are those to give. The bytes
/// are those of a run that was not stopped.
Result<Json> quantize_model(const TensorReader& reader, const Ops& ops,
                            std::span<const int32_t> tokens, const QuantizeOptions& options,
                            const OutputDirectory& output, QuantizeJournal& journal,
                            const LayerProgress& on_layer = {}, const StopRequest& stop = {});

/// The same, packed and dropped: nothing is written. The report also has "output_bytes".
Result<Json> quantize_to_nothing(const TensorReader& reader, const Ops& ops,
                                 std::span<const int32_t> tokens, const QuantizeOptions& options,
                                 const LayerProgress& on_layer = {}, const StopRequest& stop = {});

/// The same, into a model that is ready to run on `ops`: nothing is written. `report`: where the
/// report goes, or null.
Result<Model> quantize_in_memory(const TensorReader& reader, const Ops& ops,
                                 std::span<const int32_t> tokens, const QuantizeOptions& options,
                                 Json* report = nullptr, const LayerProgress& on_layer = {});

}  // namespace awq
