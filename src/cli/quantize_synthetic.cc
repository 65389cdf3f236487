#include "cli/quantize_synthetic.h"

#include "base/progress.h"
#include "model/random_checkpoint.h"
#include "model/synthetic.h"

namespace awq {
namespace {

// When each block was done, in seconds from the start.
class LayerTimes {
 public:
  explicit LayerTimes(const Timer& timer) : timer_(timer) {}
  void note() { done_.push_back(timer_.seconds()); }

  /// Of one more block; the first one's time holds what a run does once.
  double per_layer() const {
    if (done_.size() < 2) return done_.empty() ? 0 : done_.front();
    return (done_.back() - done_.front()) / static_cast<double>(done_.size() - 1);
  }

 private:
  const Timer& timer_;
  std::vector<double> done_;
};

std::vector<int32_t> random_tokens(const Arch& arch, int64_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<int32_t>((i * 7919 + i / 31) % static_cast<size_t>(arch.sizes.vocab));
  }
  return tokens;
}

Result<Json> measured_run(const TensorReader& reader, const Ops& ops, const QuantizeOptions& options,
                          const SyntheticRun& run, std::span<const int32_t> tokens,
                          const LayerProgress& on_layer, const StopRequest& stop) {
  if (run.out.empty()) return quantize_to_nothing(reader, ops, tokens, options, on_layer, stop);
  AWQ_ASSIGN(OutputDirectory output, OutputDirectory::create(run.out, run.overwrite));
  QuantizeJournal journal(output, {{"options", run.options}});
  AWQ_ASSIGN(Json report,
             quantize_model(reader, ops, tokens, options, output, journal, on_layer, stop));
  report["output_bytes"] = bytes_in(output.file(""));
  AWQ_TRY(output.commit());
  return report;
}

std::string text_of(const Json& result) {
  const auto seconds = [](const Json& value) { return cat(fixed(value.get<double>(), 1), " s"); };
  const int64_t layers = result["layers"].get<int64_t>();
  const int64_t all = result["layers_of_shape"].get<int64_t>();
  std::string text = cat(result["synthetic"].get<std::string>(), ", random weights: ", layers, " of ",
                         all, " layers, ", result["options"]["method"].get<std::string>(), " ",
                         result["options"]["format"].get<std::string>(), ", ",
                         result["calibration_tokens"].get<int64_t>(), " random tokens\n",
                         result["machine"].get<std::string>(), ", ",
                         result["backend"].get<std::string>(), "\n\n");
  for (const auto& [phase, value] : result["seconds"].items()) {
    if (phase == "total") continue;
    text += cat(phase, std::string(18 - std::min<size_t>(17, phase.size()), ' '), seconds(value), "\n");
  }
  text += cat("total             ", seconds(result["seconds"]["total"]),
              " (reading, rounding and packing go on beside a GPU's work)\n");
  if (layers < all) {
    text += cat("all ", all, " layers     about ", seconds(result["seconds_of_all_layers"]),
                " (extrapolated, ", fixed(result["seconds_per_layer"].get<double>(), 2),
                " s per layer)\n");
  }
  const auto device = result["peak_device_bytes"].get<uint64_t>();
  text += cat("peak memory       host ", human_bytes(result["peak_rss_bytes"].get<uint64_t>()),
              ", random weights included");
  if (device > 0) text += cat("; device ", human_bytes(device));
  return text + cat("\noutput            ", human_bytes(result["output_bytes"].get<uint64_t>()), ", ",
                    result["output"].is_null()
                        ? std::string("packed in memory and dropped")
                        : printable(result["output"].get<std::string>()),
                    "\n");
}

}  // namespace

Result<OpenCheckpoint> open_synthetic(const std::string& shape, int64_t layers, ThreadPool& pool) {
  AWQ_ASSIGN(const Json config, synthetic_config(shape, layers));
  OpenCheckpoint result;
  AWQ_ASSIGN(Checkpoint checkpoint, make_random_checkpoint(config, shape, pool));
  result.checkpoint = std::make_unique<Checkpoint>(std::move(checkpoint));
  AWQ_ASSIGN(TensorReader reader, TensorReader::open(*result.checkpoint));
  result.reader = std::make_unique<TensorReader>(std::move(reader));
  return result;
}

Status quantize_synthetic(const OpenCheckpoint& source, const Ops& ops,
                          const QuantizeOptions& options, const SyntheticRun& run,
                          const StopRequest& stop) {
  const Arch& arch = source.reader->arch();
  AWQ_ASSIGN(const Arch whole, synthetic_arch(run.shape, 0));
  const std::vector<int32_t> tokens =
      random_tokens(arch, options.calibrated() ? run.samples * options.calibration_length : 0);
  const Timer timer;
  LayerTimes times(timer);
  Result<Json> made = [&] {
    Progress progress(cat(run.shape, ", random weights, layer"), arch.sizes.layers);
    return measured_run(*source.reader, ops, options, run, tokens,
                        [&](const QuantizeProgress& layer) {
                          times.note();
                          progress.update(layer.layer, human_bytes(current_rss_bytes()));
                        },
                        stop);
  }();
  AWQ_ASSIGN(Json report, std::move(made));
  const double total = timer.seconds();
  report["seconds"]["total"] = total;
  const auto more = static_cast<double>(whole.sizes.layers - arch.sizes.layers);
  const Json result = {{"synthetic", run.shape},
                       {"weights", "random"},
                       {"parameters", parameter_count(whole)},
                       {"layers", arch.sizes.layers},
                       {"layers_of_shape", whole.sizes.layers},
                       {"options", run.options},
                       {"calibration_tokens", tokens.size()},
                       {"seconds", report["seconds"]},
                       {"seconds_per_layer", times.per_layer()},
                       {"seconds_of_all_layers", total + more * times.per_layer()},
                       {"peak_device_bytes", ops.device->peak_bytes()},
                       {"peak_rss_bytes", peak_rss_bytes()},
                       {"output_bytes", report["output_bytes"]},
                       {"output", run.out.empty() ? Json() : Json(run.out)},
                       {"machine", ops.device->description()},
                       {"backend", ops.name}};
  return run.json ? print_json(result) : print(text_of(result));
}

}  // namespace awq
