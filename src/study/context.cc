#include "base/progress.h"
#include "study/study.h"

namespace awq {

QuantizeOptions StudyContext::options(Method method, const QuantFormat& format) const {
  QuantizeOptions result;
  result.method = method;
  result.formats = FormatPlan(arch, format);
  result.calibration_length = settings.length;
  return result;
}

Result<std::span<const int32_t>> StudyContext::tokens(int64_t samples) {
  if (samples == 0) samples = settings.samples;
  auto& ids = tokens_[samples];
  if (ids.empty()) {
    AWQ_ASSIGN(ids, calibration_(samples, false));
  }
  return std::span<const int32_t>(ids);
}

static Json perplexity_row(std::string_view name, const PerplexityResult& result) {
  return {{"name", name}, {"ppl", result.ppl}, {"ppl_stderr", result.ppl_stderr}};
}

Result<Json> StudyContext::measure(std::string_view name, const Model& model) {
  Engine engine(model);
  Progress progress(cat("evaluating ", name), windows_.count);
  const auto on_window = [&](int64_t done, double ppl) {
    progress.update(done, cat("ppl ", fixed(ppl, 3)));
  };
  if (!settings.divergence) {
    AWQ_ASSIGN(const PerplexityResult result, measure_perplexity(engine, windows_, on_window));
    return perplexity_row(name, result);
  }
  AWQ_ASSIGN(const CompareResult result, compare_models(reference_, engine, windows_, on_window));
  Json row = perplexity_row(name, result.model);
  row["kl"] = result.kl_mean;
  row["top1"] = 100 * result.top1_agreement;
  return row;
}

Result<Json> StudyContext::measure_reference() {
  Progress progress("evaluating the float model", windows_.count);
  AWQ_ASSIGN(const PerplexityResult result,
             measure_perplexity(reference_, windows_, [&](int64_t done, double ppl) {
               progress.update(done, cat("ppl ", fixed(ppl, 3)));
             }));
  Json row = perplexity_row("FP16", result);
  row["method"] = "FP16";
  row["bits_per_weight"] = 16;
  row["level"] = true;
  return row;
}

Result<Json> StudyContext::measure_quantized(std::string_view name, const QuantizeOptions& options,
                                             std::span<const int32_t> ids, Json* report) {
  const Timer timer;
  Progress progress(cat("quantizing ", name), arch.sizes.layers);
  AWQ_ASSIGN(const Model model,
             quantize_in_memory(reader, ops, ids, options, report,
                                [&](const QuantizeProgress& layer) {
                                  progress.update(layer.layer, "layers");
                                }));
  const double seconds = timer.seconds();
  AWQ_ASSIGN(Json row, measure(name, model));
  row["method"] = method_name(options.method);
  row["format"] = options.formats.name();
  row["bits_per_weight"] = options.formats.bits_per_weight(arch);
  row["seconds"] = seconds;
  return row;
}

Result<Json> StudyContext::measure_quantized(std::string_view name, Method method,
                                             const QuantFormat& format) {
  std::span<const int32_t> ids;
  if (method != Method::rtn) {
    AWQ_ASSIGN(ids, tokens());
  }
  return measure_quantized(name, options(method, format), ids);
}

Result<Model> StudyContext::change_linears(const Change& change) {
  AWQ_ASSIGN(const auto ids, tokens());
  AWQ_ASSIGN(Model model, load_frame(reader, ops));
  Calibration calibration(model, ids, settings.length);
  ThreadPool& pool = ops.device->pool();
  for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
    AWQ_ASSIGN(FloatBlock block, reader.read_block(layer, pool));
    reader.release_block(layer);
    AWQ_ASSIGN(const BlockStatistics statistics,
               calibration.run(pack_block(arch, block, ops), layer));
    for (const Linear& linear : block_linears(arch.block)) {
      const InputStatistics* input = find_statistics(statistics, arch.block, linear.slot);
      if (input == nullptr || linear.keep_float) continue;
      change(layer, linear, *input, block[linear.slot].weight);
    }
    model.blocks.push_back(pack_block(arch, block, ops));
  }
  return model;
}

Json study_json(const StudyResult& result) {
  Json columns = Json::array(), charts = Json::array();
  for (const StudyColumn& column : result.columns) {
    columns.push_back({{"key", column.key}, {"title", column.title}, {"digits", column.digits}});
  }
  for (const StudyChart& chart : result.charts) {
    charts.push_back({{"kind", chart.kind},     {"title", chart.title}, {"x", chart.x},
                      {"y", chart.y},           {"series", chart.series},
                      {"log_x", chart.log_x}});
  }
  return {{"title", result.title}, {"columns", columns},      {"rows", result.rows},
          {"notes", result.notes}, {"charts", charts}};
}

std::span<const Study> studies() {
  static constexpr Study kStudies[] = {
      {"salience", "table 1", "which 1% of the channels matter: kept in float by activation, by "
                              "weight, at random", study_salience},
      {"scaling", "table 2", "what scaling salient channels does to the step and the error",
       study_scaling},
      {"ablation", "table 3", "from rounding over mixed precision to scale and clip",
       study_ablation},
      {"perplexity", "table 4", "rtn, gptq, gptq act-order and awq at 3 and 4 bits and several "
                                "groups", study_perplexity},
      {"int2", "table 6", "2 bits: rtn, gptq, awq then gptq", study_int2},
      {"groups", "table 7", "grouped against per-channel", study_groups},
      {"calibration", "figure 6", "how much calibration text, and text of another kind",
       study_calibration},
      {"search", "", "grid sizes, exponents, the loss that judges, self-generated text",
       study_search},
  };
  return kStudies;
}

}  // namespace awq
