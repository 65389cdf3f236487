#include "quant/quantize.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <future>
#include <optional>

#include "base/file.h"
#include "base/progress.h"
#include "quant/block_quantizer.h"
#include "quant/quantized_config.h"
#include "quant/quantized_writer.h"

namespace awq {
namespace {

// A block in the backend's layout: what a checkpoint of it would be loaded as.
BlockWeights pack_rounded(const Arch& arch, int64_t layer, const FloatBlock& block,
                          const RoundedBlock& rounded, const QuantizeOptions& options,
                          const Ops& ops, ThreadPool& pool) {
  BlockWeights result;
  for (const Norm& norm : block_norms(arch.block)) {
    result.norm(norm.slot) = {upload_floats(*ops.device, block[norm.slot].weight.values),
                              upload_floats(*ops.device, block[norm.slot].bias.values)};
  }
  for (const Linear& linear : block_linears(arch.block)) {
    const FloatTensor& weight = block[linear.slot].weight;
    LinearWeights& packed = result.linear(linear.slot);
    packed.bias = upload_floats(*ops.device, block[linear.slot].bias.values);
    if (const auto format = options.formats.of(layer, linear.slot)) {
      const auto ready = rounded.find(linear.slot);
      packed.weight = ops.pack_quant(
          *ops.device, ready != rounded.end()
                           ? ready->second
                           : round_weight(weight, *format, pool, options.arithmetic));
    } else {
      packed.weight = ops.pack_float(
          *ops.device, {weight.values.data(), DType::f32, weight.shape[0], weight.shape[1]});
    }
  }
  result.activation_factor = upload_inverse(*ops.device, block[Slot::act].weight);
  return result;
}

// Weights whose steps half precision can hold; scales are stored in it.
Status check_range(const TensorReader& reader, const QuantizeOptions& options, int64_t layer,
                   const FloatBlock& block, ThreadPool& pool) {
  const auto beyond = [](float value) { return std::fabs(value) > 65504; };
  for (const Linear& linear : block_linears(reader.arch().block)) {
    if (!options.formats.of(layer, linear.slot)) continue;
    const std::vector<float>& values = block[linear.slot].weight.values;
    std::atomic<bool> within = true;
    pool.parallel_for(static_cast<int64_t>(values.size()), 1 << 16, [&](int64_t begin, int64_t end) {
      if (std::any_of(values.begin() + begin, values.begin() + end, beyond)) within = false;
    });
    if (within) continue;
    return bad_input(cat(printable(reader.checkpoint().path()), ": ", slot_name(linear.slot), " of layer ", layer,
                         " holds ", *std::find_if(values.begin(), values.end(), beyond),
                         ", beyond half precision, in which scales are stored; --keep ", layer, ".",
                         slot_name(linear.slot), " leaves it in float if it is in order"));
  }
  return {};
}

class Quantizer {
 public:
  Quantizer(const TensorReader& reader, const Ops& ops, const QuantizeOptions& options)
      : reader_(reader),
        arch_(reader.arch()),
        ops_(ops),
        options_(options),
        blocks_(arch_, ops, options) {}

  Status run(std::span<const int32_t> tokens, const BlockRun& run) {
    std::optional<Model> frame;
    std::optional<Calibration> calibration;
    if (options_.calibrated() && run.done < arch_.sizes.layers) {
      AWQ_ASSIGN(frame, load_frame(reader_, ops_, Tables::embedding));
      calibration.emplace(*frame, tokens, options_.calibration_length);
      frame->embed = {};  // the tokens are hidden states now
      AWQ_TRY(pass_done_blocks(*calibration, run));
    }
    AWQ_TRY(run_blocks(run, calibration));
    return reader_.checkpoint().check_unchanged();
  }

  Json report() const {
    Json report = blocks_.report();
    report["seconds"] = {{"read", read_seconds_},
                         {"calibrate", blocks_.calibrate_seconds},
                         {"search", blocks_.search_seconds},
                         {"clip", blocks_.clip_seconds},
                         {"compensate", blocks_.round_seconds},
                         {"round_and_write", write_seconds_}};
    return report;
  }

 private:
  // The hidden states go through the blocks of an earlier run as they did then: through the float
  // ones, or through what they were quantized to.
  Status pass_done_blocks(Calibration& calibration, const BlockRun& run) {
    for (int64_t layer = 0; layer < run.done; ++layer) {
      AWQ_ASSIGN(const FloatBlock block, options_.compensated()
                                             ? run.read_done(layer)
                                             : read(layer, ops_.device->pool()));
      calibration.advance(pack_block(arch_, block, ops_), layer);
    }
    return {};
  }

  // Beside a GPU the host reads the next block and writes the last one while the device works on
  // this one; a CPU does one after the other and holds one block.
  Status run_blocks(const BlockRun& run, std::optional<Calibration>& calibration) {
    const bool beside = !ops_.device->host_visible(), write_beside = beside && run.beside;
    const auto policy_of = [](bool other_thread) {
      return other_thread ? std::launch::async : std::launch::deferred;
    };
    std::optional<ThreadPool> own_read, own_write;
    if (beside) own_read.emplace();
    if (write_beside) own_write.emplace();
    ThreadPool& read_pool = beside ? *own_read : ops_.device->pool();
    ThreadPool& write_pool = write_beside ? *own_write : ops_.device->pool();
    const int64_t layers = arch_.sizes.layers;
    std::future<Result<FloatBlock>> next;
    std::future<Status> written;
    const auto start_read = [&](int64_t layer) {
      if (layer >= layers) return;
      next = std::async(policy_of(beside), [this, layer, &read_pool] { return read(layer, read_pool); });
    };
    const auto finish_write = [&](int64_t layer) -> Status {
      if (!written.valid()) return {};
      AWQ_TRY(written.get());
      return run.on_done ? run.on_done(layer, blocks_.entries_of(layer)) : Status();
    };
    start_read(run.done);
    for (int64_t layer = run.done; layer < layers; ++layer) {
      QuantizeProgress progress{layer + 1, layers};
      AWQ_ASSIGN(FloatBlock read_block, next.get());
      auto block = std::make_shared<FloatBlock>(std::move(read_block));
      start_read(layer + 1);
      auto rounded = std::make_shared<RoundedBlock>();
      if (calibration) {
        AWQ_ASSIGN(*rounded, blocks_.run(layer, *calibration, *block));
        progress.loss_rounding = blocks_.last_loss().rounding;
        progress.loss_choice = blocks_.last_loss().choice;
      }
      AWQ_TRY(finish_write(layer - 1));
      written = std::async(policy_of(write_beside), [this, layer, block, rounded, &run, &write_pool] {
        const Timer timer;
        const Status status = run.sink(layer, *block, *rounded, write_pool);
        write_seconds_ += timer.seconds();
        return status;
      });
      block.reset();
      rounded.reset();
      if (!write_beside) AWQ_TRY(finish_write(layer));
      if (run.on_layer) run.on_layer(progress);
      if (run.stop && run.stop() && layer + 1 < layers) {
        AWQ_TRY(finish_write(layer));
        return runtime_error(cat("stopped after layer ", layer + 1, " of ", layers));
      }
    }
    return finish_write(layers - 1);
  }

  Result<FloatBlock> read(int64_t layer, ThreadPool& pool) {
    const Timer timer;
    AWQ_TRY(reader_.checkpoint().check_unchanged());
    AWQ_ASSIGN(FloatBlock block, reader_.read_block(layer, pool));
    reader_.release_block(layer);
    AWQ_TRY(check_range(reader_, options_, layer, block, pool));
    read_seconds_ += timer.seconds();
    return block;
  }

  const TensorReader& reader_;
  const Arch& arch_;
  const Ops& ops_;
  const QuantizeOptions& options_;
  BlockQuantizer blocks_;
  double read_seconds_ = 0, write_seconds_ = 0;
};

}  // namespace

Result<Json> quantize_blocks(const TensorReader& reader, const Ops& ops,
                             std::span<const int32_t> tokens, const QuantizeOptions& options,
                             const BlockRun& run) {
  AWQ_TRY(check_formats(reader, options.formats));
  if (reader.quantization()) {
    return bad_input(cat(printable(reader.checkpoint().path()), ": already quantized to ",
                         format_name(reader.quantization()->format),
                         "; quantize the float checkpoint it was made from"));
  }
  Quantizer quantizer(reader, ops, options);
  AWQ_TRY(quantizer.run(tokens, run));
  return quantizer.report();
}

// What a journal says is a file's word: nothing may follow from it that a run could not have written.
static Status check_resumed(const Arch& arch, const QuantizeOptions& options,
                            std::span<const int32_t> tokens, int64_t done) {
  constexpr std::string_view kAgain = "; leave --resume out to begin again";
  if (done > arch.sizes.layers) {
    return bad_input(cat("--resume: the journal has ", done, " blocks, the model ", arch.sizes.layers,
                         kAgain));
  }
  if (tokens.empty() && options.method != Method::rtn) {
    return bad_input(cat("--resume: the calibration's tokens are gone", kAgain));
  }
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] >= 0 && tokens[i] < arch.sizes.vocab) continue;
    return bad_input(cat("--resume: token ", i, " of the calibration is ", tokens[i],
                         ", the vocabulary has ", arch.sizes.vocab, kAgain));
  }
  return {};
}

// A block that the journal has, if it is what the run wrote.
static Status keep_block(QuantizedWriter& writer, const QuantizeJournal& journal, int64_t layer) {
  writer.keep_block(layer);
  AWQ_ASSIGN(const std::string sum, writer.block_sum(layer));
  const Json& entries = journal.blocks()[static_cast<size_t>(layer)];
  if (const auto was = entries.find("sum"); was != entries.end() && *was == sum) return {};
  return bad_input(cat("--resume: layer ", layer, " is not what the stopped run wrote (checksum ", sum,
                       "); leave --resume out to begin again"));
}

Result<Json> quantize_model(const TensorReader& reader, const Ops& ops,
                            std::span<const int32_t> tokens, const QuantizeOptions& options,
                            const OutputDirectory& output, QuantizeJournal& journal,
                            const LayerProgress& on_layer, const StopRequest& stop) {
  const int64_t done = journal.layers();
  const bool resumed = journal.started();
  if (resumed) AWQ_TRY(check_resumed(reader.arch(), options, tokens, done));
  AWQ_ASSIGN(const Json config, quantized_config(reader, options.formats));
  AWQ_ASSIGN(QuantizedWriter writer,
             QuantizedWriter::create(reader, options.formats, output, resumed));
  ThreadPool& pool = ops.device->pool();
  if (resumed) {
    writer.keep_frame();
    AWQ_ASSIGN(const std::string frame, writer.frame_sum());
    AWQ_TRY(journal.agree("frame", frame));
    for (int64_t layer = 0; layer < done; ++layer) AWQ_TRY(keep_block(writer, journal, layer));
  } else {
    AWQ_TRY(writer.write_frame(pool));  // first: its tables need room
    AWQ_TRY(writer.sync());
    AWQ_TRY(journal.agree("frame", writer.take_sum()));
    AWQ_TRY(journal.start(tokens));
  }
  std::vector<std::string> sums(static_cast<size_t>(reader.arch().sizes.layers));
  BlockRun run;
  run.sink = [&](int64_t layer, const FloatBlock& block, const RoundedBlock& rounded,
                 ThreadPool& write_pool) -> Status {
    AWQ_TRY(writer.write_block(layer, block, rounded, options.arithmetic, write_pool));
    sums[static_cast<size_t>(layer)] = writer.take_sum();
    return writer.sync();
  };
  run.beside = true;
  run.on_layer = on_layer;
  run.stop = stop;
  run.done = done;
  run.read_done = [&](int64_t layer) { return writer.read_block(layer, pool); };
  run.on_done = [&](int64_t layer, Json entries) {
    entries["sum"] = sums[static_cast<size_t>(layer)];
    return journal.add(std::move(entries));
  };
  AWQ_ASSIGN(Json report, quantize_blocks(reader, ops, tokens, options, run));
  AWQ_TRY(writer.finish());
  AWQ_TRY(write_file(output.file("config.json"), dump_json(config, 2) + "\n"));
  for (const char* part : {"groups", "linears", "experts", "starved_experts"}) {
    Json all;
    for (const Json& block : journal.blocks()) {
      const auto entries = block.find(part);
      if (entries == block.end()) continue;
      if (all.is_null()) all = Json::array();
      for (const Json& entry : *entries) all.push_back(entry);
    }
    if (!all.is_null()) report[part] = std::move(all);
  }
  return report;
}

Result<Json> quantize_to_nothing(const TensorReader& reader, const Ops& ops,
                                 std::span<const int32_t> tokens, const QuantizeOptions& options,
                                 const LayerProgress& on_layer, const StopRequest& stop) {
  QuantizedWriter writer = QuantizedWriter::discarding(reader, options.formats);
  AWQ_TRY(writer.write_frame(ops.device->pool()));
  BlockRun run;
  run.sink = [&](int64_t layer, const FloatBlock& block, const RoundedBlock& rounded,
                 ThreadPool& pool) {
    return writer.write_block(layer, block, rounded, options.arithmetic, pool);
  };
  run.beside = true;
  run.on_layer = on_layer;
  run.stop = stop;
  AWQ_ASSIGN(Json report, quantize_blocks(reader, ops, tokens, options, run));
  AWQ_TRY(writer.finish());
  report["output_bytes"] = writer.bytes();
  return report;
}

Result<Model> quantize_in_memory(const TensorReader& reader, const Ops& ops,
                                 std::span<const int32_t> tokens, const QuantizeOptions& options,
                                 Json* report, const LayerProgress& on_layer) {
  AWQ_CHECK(!options.formats.head(), "the head of a model in memory stays in float");
  AWQ_ASSIGN(Model model, load_frame(reader, ops));
  model.quantization = options.formats.base();
  model.blocks.resize(static_cast<size_t>(reader.arch().sizes.layers));
  BlockRun run;
  run.sink = [&](int64_t layer, const FloatBlock& block, const RoundedBlock& rounded,
                 ThreadPool& pool) -> Status {
    model.blocks[static_cast<size_t>(layer)] =
        pack_rounded(reader.arch(), layer, block, rounded, options, ops, pool);
    return {};
  };
  run.on_layer = on_layer;
  AWQ_ASSIGN(Json made, quantize_blocks(reader, ops, tokens, options, run));
  if (report != nullptr) *report = std::move(made);
  return model;
}

}  // namespace awq
