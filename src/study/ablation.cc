// Table 3: from plain rounding to AWQ, one step at a time.
#include "study/salient_channels.h"
#include "study/study.h"

namespace awq {

Result<StudyResult> study_ablation(StudyContext& context) {
  const QuantFormat format{context.bits_or(3), context.settings.group, false};
  StudyResult result;
  result.title = cat("Table 3: ablation, ", format_name(format));
  result.columns = {{"name", "", -1},         {"ppl", "perplexity", 3},
                    {"ppl_stderr", "±", 3},   {"kl", "KL", 4},
                    {"top1", "same top-1 %", 1}};
  ThreadPool& pool = context.ops.device->pool();
  const auto changed = [&](std::string_view name, const auto& how) -> Status {
    AWQ_ASSIGN(const Model model,
               context.change_linears([&](int64_t, const Linear&, const InputStatistics& input,
                                          FloatTensor& weight) {
                 how(weight, salient_channels(SalientBy::activation, 0.01, input, weight, 0));
               }));
    AWQ_ASSIGN(Json row, context.measure(name, model));
    result.rows.push_back(std::move(row));
    return {};
  };
  AWQ_ASSIGN(Json reference, context.measure_reference());
  AWQ_ASSIGN(Json rounded, context.measure_quantized("RTN", Method::rtn, format));
  result.rows = {reference, rounded};
  AWQ_TRY(changed("1% of the channels in FP16", [&](FloatTensor& weight, const auto& channels) {
    round_but(weight, channels, format, pool);
  }));
  AWQ_TRY(changed("s = 2 on 1%", [&](FloatTensor& weight, const auto& channels) {
    round_scaled(weight, channels, 2, format, pool);
  }));
  AWQ_ASSIGN(const auto ids, context.tokens());
  QuantizeOptions options = context.options(Method::awq, format);
  options.clip = false;
  AWQ_ASSIGN(Json scaled, context.measure_quantized("AWQ scale", options, ids));
  options.duo = true;
  AWQ_ASSIGN(Json duo, context.measure_quantized("AWQ scale by activation and weight (duo)", options, ids));
  options.duo = false;
  options.clip = true;
  AWQ_ASSIGN(Json clipped, context.measure_quantized("AWQ scale + clip", options, ids));
  result.rows.push_back(std::move(scaled));
  result.rows.push_back(std::move(duo));
  result.rows.push_back(std::move(clipped));
  result.charts = {{"bars", "perplexity", "name", "ppl", "", false}};
  return result;
}

}  // namespace awq
