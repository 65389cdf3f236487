// The search itself: how fine a grid, which exponents win, and whether the cheap loss chooses as well
// as the reference's.
#include <map>

#include "base/progress.h"

#include "study/study.h"

namespace awq {

static constexpr std::string_view kUsual = "grid of 20";

Result<StudyResult> study_search(StudyContext& context) {
  const QuantFormat format{context.bits_or(3), context.settings.group, false};
  StudyResult result;
  result.title = cat("The scale search, ", format_name(format));
  result.columns = {{"name", "", -1},          {"ppl", "perplexity", 3}, {"ppl_stderr", "±", 3},
                    {"kl", "KL", 4},           {"top1", "same top-1 %", 1},
                    {"exponent", "mean exponent", 3},
                    {"seconds", "quantize s", 1}};
  AWQ_ASSIGN(const auto ids, context.tokens());
  std::map<std::string, std::map<std::string, int>> histogram;
  const auto add = [&](std::string_view name, const QuantizeOptions& options,
                       std::span<const int32_t> text) -> Status {
    Json report;
    AWQ_ASSIGN(Json row, context.measure_quantized(name, options, text, &report));
    double sum = 0;
    for (const Json& group : report["groups"]) {
      const auto exponent = group["exponent"].get<double>();
      sum += exponent;
      if (name == kUsual) {
        ++histogram[group["group"].get<std::string>()][fixed(exponent, 2)];
      }
    }
    row["exponent"] = sum / static_cast<double>(report["groups"].size());
    result.rows.push_back(std::move(row));
    return {};
  };
  for (const int grid : {1, 5, 10, 20, 40}) {
    QuantizeOptions options = context.options(Method::awq, format);
    options.grid = grid;
    AWQ_TRY(add(grid == 1 ? std::string("clip only") : cat("grid of ", grid), options, ids));
  }
  QuantizeOptions options = context.options(Method::awq, format);
  options.search_loss = SearchLoss::module;
  AWQ_TRY(add("grid of 20, the reference's module loss", options, ids));
  options.search_loss = SearchLoss::hessian;
  options.fold.reference_groups = true;
  AWQ_TRY(add("grid of 20, the reference's groups", options, ids));
  options.fold.reference_groups = false;
  options.duo = true;
  AWQ_TRY(add("grid of 20, activations and weights (duo)", options, ids));
  options.duo = false;
  const Timer timer;
  AWQ_ASSIGN(const std::vector<int32_t> own, context.self_generated());
  const double writing = timer.seconds();
  AWQ_TRY(add("grid of 20, text that the model wrote", options, own));
  result.notes.push_back(cat("Writing ", own.size(), " tokens of calibration text took the model ",
                             fixed(writing, 1), " s."));
  for (const auto& [group, counts] : histogram) {
    std::string line = cat("exponents of ", group, ":");
    for (const auto& [exponent, count] : counts) line += cat(" ", exponent, " x", count);
    result.notes.push_back(line);
  }
  result.charts = {{"bars", "KL from the float model", "name", "kl", "", false}};
  return result;
}

}  // namespace awq
