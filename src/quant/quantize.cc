#include "quant/quantize.h"

#include <future>
#include <optional>
#include <set>

#include "base/file.h"
#include "base/progress.h"
#include "quant/awq_clip.h"
#include "quant/awq_scale.h"
#include "quant/quantized_config.h"
#include "quant/quantized_writer.h"

namespace awq {
namespace {

struct Seconds {
  double read = 0, calibrate = 0, search = 0, clip = 0, round_and_write = 0;
};

// The input statistics seen by the scaled weights: x / s.
void unscale_statistics(const Ops& ops, InputStatistics& input, const std::vector<float>& columns) {
  const DeviceBuffer scale = upload_floats(*ops.device, columns);
  ops.unscale_gram(*ops.device, input.gram.as<float>(), scale.as<float>(), input.width);
  for (size_t i = 0; i < columns.size(); ++i) input.mean_abs[i] /= columns[i];
}

// The clip search leaves queries and keys alone: their product is a bilinear form that the linear's
// own error does not speak for (reference: names containing q_, k_, query, key).
bool may_clip(Slot slot) { return slot != Slot::q && slot != Slot::k; }

class Quantizer {
 public:
  Quantizer(const TensorReader& reader, const Ops& ops, const QuantizeOptions& options)
      : reader_(reader), arch_(reader.arch()), ops_(ops), options_(options) {}

  Status run(std::span<const int32_t> tokens, const OutputDirectory& output,
             const std::function<void(const QuantizeProgress&)>& on_layer) {
    AWQ_ASSIGN(const Json config, quantized_config(reader_, options_.format));
    AWQ_ASSIGN(QuantizedWriter writer, QuantizedWriter::create(reader_, options_.format, output));
    AWQ_TRY(writer.write_frame(ops_.device->pool()));  // first: its tables need room
    std::optional<Model> frame;
    std::optional<Calibration> calibration;
    if (options_.method == Method::awq) {
      AWQ_ASSIGN(frame, load_frame(reader_, ops_, Tables::embedding));
      calibration.emplace(*frame, tokens, options_.calibration_length);
      frame->embed = {};  // the tokens are hidden states now
    }
    AWQ_TRY(run_blocks(writer, calibration, on_layer));
    AWQ_TRY(reader_.checkpoint().check_unchanged());
    AWQ_TRY(writer.finish());
    return write_file(output.file("config.json"), dump_json(config, 2) + "\n");
  }

  Json report() const {
    Json report = common_report();
    if (experts_.empty()) return report;
    report["experts"] = experts_;
    report["starved_experts"] = starved_;
    return report;
  }

 private:
  Json common_report() const {
    return {{"groups", groups_},
            {"linears", linears_},
            {"seconds",
             {{"read", seconds_.read},
              {"calibrate", seconds_.calibrate},
              {"search", seconds_.search},
              {"clip", seconds_.clip},
              {"round_and_write", seconds_.round_and_write}}}};
  }

  // Beside a GPU the host reads the next block and writes the last one while the device works on
  // this one; a CPU does one after the other and holds one block.
  Status run_blocks(QuantizedWriter& writer, std::optional<Calibration>& calibration,
                    const std::function<void(const QuantizeProgress&)>& on_layer) {
    const bool beside = !ops_.device->host_visible();
    const auto policy = beside ? std::launch::async : std::launch::deferred;
    std::optional<ThreadPool> own_read, own_write;
    if (beside) own_read.emplace(), own_write.emplace();
    ThreadPool& read_pool = beside ? *own_read : ops_.device->pool();
    ThreadPool& write_pool = beside ? *own_write : ops_.device->pool();
    const auto start_read = [&](int64_t layer) {
      return std::async(policy, [this, layer, &read_pool] { return read(layer, read_pool); });
    };
    const int64_t layers = arch_.sizes.layers;
    std::future<Result<FloatBlock>> next = start_read(0);
    std::future<Status> written;
    for (int64_t layer = 0; layer < layers; ++layer) {
      QuantizeProgress progress{layer + 1, layers};
      AWQ_ASSIGN(FloatBlock read_block, next.get());
      auto block = std::make_shared<FloatBlock>(std::move(read_block));
      if (layer + 1 < layers) next = start_read(layer + 1);
      if (calibration) AWQ_TRY(fit(layer, *calibration, *block, progress));
      if (written.valid()) AWQ_TRY(written.get());
      written = std::async(policy, [this, layer, block, &writer, &write_pool] {
        const Timer timer;
        const Status status = writer.write_block(layer, *block, options_.arithmetic, write_pool);
        seconds_.round_and_write += timer.seconds();
        return status;
      });
      block.reset();
      if (!beside) AWQ_TRY(written.get());
      if (on_layer) on_layer(progress);
    }
    return written.valid() ? written.get() : Status();
  }

  Result<FloatBlock> read(int64_t layer, ThreadPool& pool) {
    const Timer timer;
    AWQ_TRY(reader_.checkpoint().check_unchanged());
    AWQ_ASSIGN(FloatBlock block, reader_.read_block(layer, pool));
    reader_.release_block(layer);
    seconds_.read += timer.seconds();
    return block;
  }

  // Calibrates one block and folds and clips it in place.
  Status fit(int64_t layer, Calibration& calibration, FloatBlock& block,
             QuantizeProgress& progress) {
    Timer timer;
    Calibration::ModuleInputs modules;
    BlockStatistics statistics;
    {
      const BlockWeights weights = pack_block(arch_, block, ops_);
      if (options_.search_loss == SearchLoss::module) {
        modules = calibration.capture_module_inputs(weights, layer, calibration.sequences());
      }
      AWQ_ASSIGN(statistics, calibration.run(weights, layer));
    }
    seconds_.calibrate += timer.seconds();
    timer = Timer();

    // All groups are searched on the unscaled block, then all are applied (as the reference does).
    const std::vector<FoldGroup> groups = fold_groups(arch_, options_.fold);
    std::vector<ScaleChoice> choices;
    for (const FoldGroup& group : groups) {
      if (find_statistics(statistics, arch_.block, group.consumers.front()) == nullptr) {
        const auto channels = static_cast<size_t>(fold_channels(arch_, group));
        choices.push_back({0, std::vector<float>(channels, 1.0f), 0, 0});
        continue;  // a starved expert is rounded as it is; note_experts() names it
      }
      const bool module = options_.search_loss == SearchLoss::module && inspects_module(group);
      const GroupLoss loss =
          module ? module_group_loss(arch_, group, block, layer, calibration, modules,
                                     options_.format, ops_, options_.arithmetic)
                 : hessian_group_loss(arch_, group, block, statistics, options_.format, ops_,
                                      options_.arithmetic);
      choices.push_back(search_scale(arch_, group, statistics, loss, options_.grid));
      note_group(layer, group, choices.back(), module, progress);
    }
    for (size_t i = 0; i < groups.size(); ++i) {
      apply_fold(arch_, groups[i], choices[i].scale, block);
      const std::vector<float> columns = expand_scale(arch_, groups[i], choices[i].scale);
      std::set<Slot> inputs;  // the experts of a group have inputs of their own
      for (const Slot slot : groups[i].consumers) inputs.insert(input_slot(arch_.block, slot));
      for (const Slot input : inputs) {
        const auto found = statistics.find(input);
        if (found != statistics.end()) unscale_statistics(ops_, found->second, columns);
      }
    }
    note_experts(layer, statistics);
    const auto count = static_cast<double>(groups.size());
    progress.loss_rounding /= count;
    progress.loss_choice /= count;
    seconds_.search += timer.seconds();
    timer = Timer();
    if (options_.clip) clip(layer, statistics, block);
    seconds_.clip += timer.seconds();
    return {};
  }

  void clip(int64_t layer, const BlockStatistics& statistics, FloatBlock& block) {
    for (const Linear& linear : block_linears(arch_.block)) {
      if (!may_clip(linear.slot)) continue;
      const InputStatistics* input = find_statistics(statistics, arch_.block, linear.slot);
      if (input == nullptr || linear.keep_float) continue;
      const ClipResult result = search_clip(block[linear.slot].weight, input->gram, options_.format,
                                            ops_, options_.arithmetic);
      linears_.push_back({{"layer", layer},
                          {"linear", slot_name(linear.slot)},
                          {"clip_share", result.clipped_share},
                          {"loss_unclipped", result.loss_before},
                          {"loss_clipped", result.loss_after}});
    }
  }

  // How many tokens each expert saw, and which of them too few.
  void note_experts(int64_t layer, const BlockStatistics& statistics) {
    const auto* moe = std::get_if<MoeFfn>(&arch_.block.ffn);
    if (moe == nullptr) return;
    Json tokens = Json::array();
    for (int64_t e = 0; e < moe->experts; ++e) {
      const auto found = statistics.find(expert_slot(Slot::expert_gate, e));
      const int64_t seen = found == statistics.end() ? 0 : found->second.tokens;
      tokens.push_back(seen);
      if (seen < kEnoughTokens) {
        starved_.push_back({{"layer", layer}, {"expert", e}, {"tokens", seen}});
      }
    }
    experts_.push_back({{"layer", layer}, {"tokens", std::move(tokens)}});
  }

  void note_group(int64_t layer, const FoldGroup& group, const ScaleChoice& choice, bool module,
                  QuantizeProgress& progress) {
    groups_.push_back({{"layer", layer},
                       {"group", group.name()},
                       {"exponent", choice.exponent},
                       {"loss_rounding", choice.loss_rounding},
                       {"loss_choice", choice.loss_choice},
                       {"loss", module ? "module" : "hessian"}});
    progress.loss_rounding += choice.loss_rounding;
    progress.loss_choice += choice.loss_choice;
  }

  const TensorReader& reader_;
  const Arch& arch_;
  const Ops& ops_;
  const QuantizeOptions& options_;
  Json groups_ = Json::array(), linears_ = Json::array();
  Json experts_ = Json::array(), starved_ = Json::array();
  Seconds seconds_;
};

}  // namespace

Result<Json> quantize_model(const TensorReader& reader, const Ops& ops,
                            std::span<const int32_t> tokens, const QuantizeOptions& options,
                            const OutputDirectory& output,
                            const std::function<void(const QuantizeProgress&)>& on_layer) {
  AWQ_TRY(check_format(reader.arch(), options.format));
  if (reader.quantization()) {
    return bad_input(cat(printable(reader.checkpoint().path()), ": already quantized to ",
                         format_name(reader.quantization()->format),
                         "; quantize the float checkpoint it was made from"));
  }
  Quantizer quantizer(reader, ops, options);
  AWQ_TRY(quantizer.run(tokens, output, on_layer));
  return quantizer.report();
}

}  // namespace awq
