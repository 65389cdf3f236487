// Table 1: a small share of the channels in float recovers the loss, if it is chosen by activation.
#include <functional>

#include "study/salient_channels.h"
#include "study/study.h"

namespace awq {

Result<StudyResult> study_salience(StudyContext& context) {
  const QuantFormat format{context.bits_or(3), context.settings.group, false};
  StudyResult result;
  result.title = cat("Table 1: channels kept in FP16, ", format_name(format), " rounding");
  result.columns = {{"name", "kept in FP16", -1}, {"bits_per_weight", "bits/weight", 2}, {"ppl", "perplexity", 3},
                    {"ppl_stderr", "±", 3},       {"kl", "KL", 4},
                    {"top1", "same top-1 %", 1},  {"recovered", "recovered %", 1}};
  AWQ_ASSIGN(Json reference, context.measure_reference());
  AWQ_ASSIGN(Json rounded, context.measure_quantized("none (RTN)", Method::rtn, format));
  const double best = reference["ppl"].get<double>(), worst = rounded["ppl"].get<double>();
  result.rows = {reference, rounded};
  const double rounded_bits = rounded["bits_per_weight"].get<double>();
  using Pick = std::function<std::vector<int64_t>(int64_t, const Linear&, const InputStatistics&, const FloatTensor&)>;
  ThreadPool& pool = context.ops.device->pool();
  const auto add = [&](std::string_view choice, double share, const Pick& pick, const auto& round) -> Status {
    double weights = 0, in_float = 0;
    AWQ_ASSIGN(const Model model,
               context.change_linears([&](int64_t layer, const Linear& linear, const InputStatistics& input,
                                          FloatTensor& weight) {
                 const std::vector<int64_t> kept = pick(layer, linear, input, weight);
                 weights += static_cast<double>(weight.shape[0] * weight.shape[1]);
                 in_float += static_cast<double>(weight.shape[0]) * static_cast<double>(kept.size());
                 round(weight, kept, format, pool);
               }));
    AWQ_ASSIGN(Json row, context.measure(cat(fixed(100 * share, 1), "% ", choice), model));
    row["choice"] = choice;
    row["share"] = share;
    row["bits_per_weight"] = rounded_bits + (16 - rounded_bits) * in_float / weights;
    row["recovered"] = 100 * (worst - row["ppl"].get<double>()) / (worst - best);
    result.rows.push_back(std::move(row));
    return {};
  };
  constexpr double kShares[] = {0.001, 0.01, 0.03};
  struct Choice {
    SalientBy by;
    const char* name;
  };
  for (const Choice& choice : {Choice{SalientBy::activation, "by activation"},
                               {SalientBy::weight, "by weight norm"},
                               {SalientBy::random, "at random"}}) {
    for (const double share : kShares) {
      AWQ_TRY(add(choice.name, share,
                  [&](int64_t layer, const Linear& linear, const InputStatistics& input,
                      const FloatTensor& weight) {
                    const uint64_t seed = context.settings.seed * 1000003 +
                                          static_cast<uint64_t>(layer) * kSlots +
                                          static_cast<uint64_t>(linear.slot);
                    return salient_channels(choice.by, share, input, weight, seed);
                  },
                  round_but));
    }
  }
  for (const double share : kShares) {
    AWQ_TRY(add("by rounding error, stored apart", share,
                [&](int64_t, const Linear&, const InputStatistics& input, const FloatTensor& weight) {
                  return sensitive_channels(share, input, weight, format, context.ops);
                },
                round_without));
  }
  result.notes = {"recovered: of the perplexity that rounding costs, 100% is FP16. At least one "
                  "channel of a linear is kept.",
                  "stored apart: as OWQ, the kept channels are those whose rounding costs most at the "
                  "outputs (H_jj |E_j|^2), and do not widen the steps of their groups."};
  result.charts = {{"bars", "perplexity by the choice of channels", "name", "ppl", "", false}};
  return result;
}

}  // namespace awq
