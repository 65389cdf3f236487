#include "quant/block_quantizer.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/progress.h"
#include "quant/awq_clip.h"
#include "quant/rounding_trials.h"

namespace awq {
namespace {

// The input statistics seen by the scaled weights: x / s.
void unscale_statistics(const Ops& ops, InputStatistics& input, const std::vector<float>& columns) {
  const DeviceBuffer scale = upload_floats(*ops.device, columns);
  ops.unscale_gram(*ops.device, input.gram.as<float>(), scale.as<float>(), input.width);
  for (size_t i = 0; i < columns.size(); ++i) input.mean_abs[i] /= columns[i];
}

// The clip search leaves queries and keys alone: their product is a bilinear form that the linear's
// own error does not speak for (reference: names containing q_, k_, query, key).
bool may_clip(Slot slot) { return slot != Slot::q && slot != Slot::k; }

// Null for an expert's input that too few tokens reached.
const InputStatistics* enough(const BlockStatistics& statistics, Slot input) {
  const auto found = statistics.find(input);
  if (found == statistics.end()) return nullptr;
  const bool of_expert = expert_place(input).of_first >= Slot::expert_gate;
  return of_expert && found->second.tokens < kEnoughTokens ? nullptr : &found->second;
}

}  // namespace

Result<RoundedBlock> BlockQuantizer::run(int64_t layer, Calibration& calibration,
                                         FloatBlock& block) {
  Timer timer;
  loss_ = {};
  Calibration::ModuleInputs modules;
  Seen seen;
  {
    const BlockWeights weights = pack_block(arch_, block, ops_);
    if (options_.scaled() && options_.search_loss == SearchLoss::module) {
      const int64_t all = calibration.sequences();  // but those that only judge
      modules = calibration.capture_module_inputs(weights, layer, all - options_.held_out(all));
    }
    AWQ_ASSIGN(seen, observe(layer, calibration, weights));
    note_experts(layer, seen.fit);
  }
  calibrate_seconds += timer.seconds();
  timer = Timer();
  if (options_.scaled()) search_scales(layer, calibration, modules, seen, block);
  search_seconds += timer.seconds();
  timer = Timer();
  Keeps keeps;
  if (options_.scaled() && options_.clip) keeps = search_clips(layer, seen.fit, block);
  clip_seconds += timer.seconds();
  timer = Timer();
  ThreadPool& pool = ops_.device->pool();
  if (!options_.compensated()) {
    for (const auto& [slot, keep] : keeps) {
      apply_clip(block[slot].weight, keep, *options_.formats.of(layer, slot), pool);
    }
    clip_seconds += timer.seconds();
    return RoundedBlock();
  }
  AWQ_ASSIGN(RoundedBlock rounded, compensate(layer, seen, block, keeps));
  seen = {};
  for (const Linear& linear : block_linears(arch_.block)) {
    const auto codes = rounded.find(linear.slot);
    if (codes != rounded.end()) {
      dequantize_weight(codes->second, block[linear.slot].weight, pool);
    } else if (float_type(linear) == DType::f16) {
      round_to_half(block[linear.slot].weight);  // as it is written
    }
  }
  round_seconds += timer.seconds();
  timer = Timer();
  calibration.advance(pack_block(arch_, block, ops_), layer);
  calibrate_seconds += timer.seconds();
  return rounded;
}

Result<BlockQuantizer::Seen> BlockQuantizer::observe(int64_t layer, Calibration& calibration,
                                                     const BlockWeights& weights) {
  Seen seen;
  if (!options_.compensated()) {
    AWQ_ASSIGN(seen.fit, calibration.run(weights, layer));
    return seen;
  }
  const int64_t all = calibration.sequences(), held = options_.held_out(all);
  AWQ_ASSIGN(seen.fit, calibration.observe(weights, layer, 0, all - held));
  if (held > 0) {
    AWQ_ASSIGN(seen.judge, calibration.observe(weights, layer, all - held, held));
  }
  return seen;
}

void BlockQuantizer::search_scales(int64_t layer, Calibration& calibration,
                                   const Calibration::ModuleInputs& modules, Seen& seen,
                                   FloatBlock& block) {
  // All groups are searched on the unscaled block, then all are applied (as the reference does).
  const std::vector<FoldGroup> folds = fold_groups(arch_, options_.fold);
  std::vector<ScaleChoice> choices;
  for (const FoldGroup& group : folds) {
    if (find_statistics(seen.fit, arch_.block, group.consumers.front()) == nullptr) {
      const auto channels = static_cast<size_t>(fold_channels(arch_, group));
      choices.push_back({0, false, std::vector<float>(channels, 1.0f), 0, 0});
      continue;  // a starved expert is rounded as it is; note_experts() names it
    }
    const bool module = options_.search_loss == SearchLoss::module && inspects_module(group);
    const GroupLoss loss =
        module ? module_group_loss(arch_, group, block, layer, calibration, modules,
                                   options_.formats, ops_, options_.arithmetic)
               : hessian_group_loss(arch_, group, block, seen.fit, options_.formats, layer, ops_,
                                    options_.arithmetic);
    const std::vector<float> weights =
        options_.duo ? mean_relative_weight(group, block, options_.formats, layer)
                     : std::vector<float>();
    choices.push_back(search_scale(arch_, group, seen.fit, loss, options_.grid, weights));
    const ScaleChoice& choice = choices.back();
    groups_.push_back({{"layer", layer},
                      {"group", group.name()},
                      {"exponent", choice.exponent},
                      {"loss_rounding", choice.loss_rounding},
                      {"loss_choice", choice.loss_choice},
                      {"loss", module ? "module" : "hessian"}});
    if (options_.duo) groups_.back()["duo"] = choice.duo;
    loss_.rounding += choice.loss_rounding / static_cast<double>(folds.size());
    loss_.choice += choice.loss_choice / static_cast<double>(folds.size());
  }
  for (size_t i = 0; i < folds.size(); ++i) {
    apply_fold(arch_, folds[i], choices[i].scale, block);
    const std::vector<float> columns = expand_scale(arch_, folds[i], choices[i].scale);
    std::set<Slot> inputs;  // the experts of a group have inputs of their own
    for (const Slot slot : folds[i].consumers) inputs.insert(input_slot(arch_.block, slot));
    for (BlockStatistics* statistics : {&seen.fit, &seen.judge}) {
      for (const Slot input : inputs) {
        const auto found = statistics->find(input);
        if (found != statistics->end()) unscale_statistics(ops_, found->second, columns);
      }
    }
  }
}

void BlockQuantizer::note_experts(int64_t layer, const BlockStatistics& statistics) {
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

template <class F>
Json BlockQuantizer::parts(F&& of) const {
  Json entries = {{"groups", of(groups_)}, {"linears", of(linears_)}};
  if (experts_.empty()) return entries;
  entries["experts"] = of(experts_);
  entries["starved_experts"] = of(starved_);
  return entries;
}

Json BlockQuantizer::report() const {
  return parts([](const Json& all) { return all; });
}

Json BlockQuantizer::entries_of(int64_t layer) const {
  return parts([&](const Json& all) {
    Json of_layer = Json::array();
    for (const Json& entry : all) {
      if (entry["layer"] == layer) of_layer.push_back(entry);
    }
    return of_layer;
  });
}

Json& BlockQuantizer::entry(int64_t layer, const Linear& linear) {
  for (size_t i = linears_.size(); i > 0 && linears_[i - 1]["layer"] == layer; --i) {
    if (linears_[i - 1]["linear"] == slot_name(linear.slot)) return linears_[i - 1];
  }
  linears_.push_back({{"layer", layer}, {"linear", slot_name(linear.slot)}});
  return linears_.back();
}

BlockQuantizer::Keeps BlockQuantizer::search_clips(int64_t layer, const BlockStatistics& statistics,
                                                   const FloatBlock& block) {
  Keeps keeps;
  for (const Linear& linear : block_linears(arch_.block)) {
    const auto format = options_.formats.of(layer, linear.slot);
    if (!format || !may_clip(linear.slot)) continue;
    const InputStatistics* input = find_statistics(statistics, arch_.block, linear.slot);
    if (input == nullptr) continue;
    ClipResult result = search_clip(block[linear.slot].weight, input->gram, *format, ops_,
                                    options_.arithmetic);
    Json& noted = entry(layer, linear);
    noted["clip_share"] = result.clipped_share;
    noted["loss_unclipped"] = result.loss_before;
    noted["loss_clipped"] = result.loss_after;
    if (!result.keep.empty()) keeps[linear.slot] = std::move(result.keep);
  }
  return keeps;
}

// One linear on its way through the ways of rounding it.
struct BlockQuantizer::Attempt {
  Linear linear;
  std::span<const float> keep;
  RoundingTrials trials;
  double nearest = 0, least = 0, least_gptq = INFINITY;
  std::string rounding = "nearest";

  void start() {
    nearest = least = trials.nearest();
    trials.choose();
  }
  void consider(const InverseFactor& by, bool clipped, std::string_view name) {
    const double loss = trials.compensated(by, clipped);
    least_gptq = std::min(least_gptq, loss);
    if (!(loss < least)) return;
    least = loss;
    trials.choose();
    rounding = name;
  }
};

Result<RoundedBlock> BlockQuantizer::compensate(int64_t layer, const Seen& seen,
                                                const FloatBlock& block, const Keeps& keeps) {
  RoundedBlock rounded;
  std::vector<Attempt> attempts;  // at linears in a row that read the same input
  Slot input = Slot::q;           // theirs
  const auto finish = [&]() -> Status {
    if (!attempts.empty()) AWQ_TRY(round_attempts(layer, input, seen, attempts, rounded));
    attempts.clear();
    return {};
  };
  for (const Linear& linear : block_linears(arch_.block)) {
    const auto format = options_.formats.of(layer, linear.slot);
    if (!format) continue;
    const auto found = keeps.find(linear.slot);
    const std::span<const float> keep =
        found == keeps.end() ? std::span<const float>() : std::span<const float>(found->second);
    const Slot slot = input_slot(arch_.block, linear.slot);
    const InputStatistics* fit = enough(seen.fit, slot);
    const InputStatistics* judge = enough(seen.judge, slot);
    const bool unjudged = judge == nullptr && !seen.judge.empty();
    if (fit == nullptr || unjudged) {  // a starved expert: no Hessian to take errors back by, or to judge by
      FloatTensor weight = block[linear.slot].weight;
      if (!keep.empty()) apply_clip(weight, keep, *format, ops_.device->pool());
      rounded[linear.slot] = round_weight(weight, *format, ops_.device->pool());
      Json& noted = entry(layer, linear);
      noted["bits"] = format->bits;
      noted["rounding"] = fit == nullptr ? "nearest, starved" : "nearest, unjudged";
      continue;
    }
    if (slot != input) AWQ_TRY(finish());
    input = slot;
    attempts.push_back({linear, keep,
                        RoundingTrials(ops_, (judge == nullptr ? *fit : *judge).gram,
                                       block[linear.slot].weight, *format, keep)});
  }
  AWQ_TRY(finish());
  return rounded;
}

Status BlockQuantizer::round_attempts(int64_t layer, Slot input, const Seen& seen,
                                      std::vector<Attempt>& attempts, RoundedBlock& rounded) {
  const InputStatistics& fit = seen.fit.at(input);
  for (Attempt& attempt : attempts) attempt.start();
  FactorOptions options = options_.gptq;
  double damping = 0;
  int64_t dead = 0;
  for (int i = 0; i < (options_.best ? 2 : 1); ++i) {  // one factor at a time: they are large
    auto made = inverse_factor(ops_, fit.gram, fit.width, options);
    if (!made.ok()) {
      return runtime_error(cat("layer ", layer, ": input of ", slot_name(input), ": ",
                               made.error().message));
    }
    const InverseFactor& by = *made;
    if (i == 0) damping = by.damping, dead = by.dead;
    for (Attempt& attempt : attempts) {
      attempt.consider(by, true, by.reordered() ? "gptq, act-order" : "gptq");
      if (!options_.best || attempt.keep.empty()) continue;
      attempt.consider(by, false, by.reordered() ? "gptq, act-order, unclipped" : "gptq, unclipped");
    }
    options.act_order = !options.act_order;
  }
  for (Attempt& attempt : attempts) {
    rounded[attempt.linear.slot] = attempt.trials.take();
    Json& noted = entry(layer, attempt.linear);
    noted["bits"] = rounded[attempt.linear.slot].format.bits;
    noted["loss_nearest"] = attempt.nearest;
    noted["loss_gptq"] = attempt.least_gptq;
    noted["rounding"] = attempt.rounding;
    noted["damping"] = damping;
    if (dead > 0) noted["dead_channels"] = dead;
    if (options_.scaled()) continue;
    const auto count = static_cast<double>(block_linears(arch_.block).size());
    loss_.rounding += attempt.nearest / count;
    loss_.choice += attempt.least / count;
  }
  return {};
}

}  // namespace awq
