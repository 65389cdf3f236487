// The paper's tables and figures on a model of one's own: each study is one small file that asks a
// context for quantized models and their perplexity, and returns rows.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "eval/perplexity.h"
#include "quant/calibrate.h"
#include "quant/quantize.h"
#include "session/session.h"

namespace awq {

struct StudySettings {
  int bits = 0;                ///< 0: the study's own
  int64_t group = 0;           ///< inputs that share a scale, where a study does not vary it
  int64_t samples = 128, length = 512;  ///< calibration sequences, tokens of one
  uint64_t seed = 0;
  int64_t window = 2048, max_windows = 0;
  bool divergence = true;      ///< KL from the float model, at twice the evaluation's time
  /// Two sets of texts for the 2 x 2 of the calibration study: JSONL files with "text". May be empty.
  std::string domain_a, domain_b;
};

/// A result as one reads it: columns name keys of the rows; a row that lacks one has a dash there.
struct StudyColumn {
  std::string key, title;
  int digits = 2;  ///< after the point; -1: text
};

/// Lines or bars of the column `y` over the column `x`, one series for each value of `series`.
struct StudyChart {
  std::string kind, title, x, y, series;  ///< kind: "lines" or "bars"
  bool log_x = false;
};

struct StudyResult {
  std::string title;  ///< what the table is, with the paper's number
  std::vector<StudyColumn> columns;
  Json rows = Json::array();
  std::vector<std::string> notes;
  std::vector<StudyChart> charts;
};

/// {"title", "columns", "rows", "notes", "charts"}
Json study_json(const StudyResult& result);

/// Makes calibration ids: `samples` sequences of the settings' text, or of what the model writes.
using CalibrationSource = std::function<Result<std::vector<int32_t>>(int64_t samples, bool self)>;

class StudyContext {
 public:
  /// `reference`: the float model of `source`, loaded. All outlive this.
  StudyContext(const StudySettings& asked, const TensorReader& source, Engine& reference,
               const Tokenizer& vocabulary, Windows windows, CalibrationSource calibration)
      : settings(asked),
        reader(source),
        arch(source.arch()),
        ops(reference.model().ops),
        tokenizer(vocabulary),
        reference_(reference),
        windows_(std::move(windows)),
        calibration_(std::move(calibration)) {}

  const StudySettings& settings;
  const TensorReader& reader;
  const Arch& arch;
  const Ops& ops;
  const Tokenizer& tokenizer;

  int bits_or(int fallback) const { return settings.bits == 0 ? fallback : settings.bits; }
  /// The options that every method starts from.
  QuantizeOptions options(Method method, const QuantFormat& format) const;
  /// Calibration ids of the settings, or of another number of sequences; made once each.
  Result<std::span<const int32_t>> tokens(int64_t samples = 0);
  /// As many of text that the model writes itself.
  Result<std::vector<int32_t>> self_generated() { return calibration_(settings.samples, true); }

  /// {"name", "ppl", "ppl_stderr", "kl", "top1"} of a model.
  Result<Json> measure(std::string_view name, const Model& model);
  /// The float model's perplexity, under the same keys.
  Result<Json> measure_reference();
  /// Quantizes in memory and measures: also {"method", "format", "bits_per_weight", "seconds"}.
  Result<Json> measure_quantized(std::string_view name, const QuantizeOptions& options,
                                 std::span<const int32_t> tokens, Json* report = nullptr);
  Result<Json> measure_quantized(std::string_view name, Method method, const QuantFormat& format);

  /// Evaluates on other windows from now on.
  void set_windows(Windows windows) { windows_ = std::move(windows); }
  const Windows& windows() const { return windows_; }

  /// Changes one linear's weight [out, in] in place, given the statistics of its float input. Not called
  /// for what never is quantized, or starved experts without an input.
  using Change = std::function<void(int64_t layer, const Linear& linear, const InputStatistics& input,
                                    FloatTensor& weight)>;
  /// A float model of changed linears.
  Result<Model> change_linears(const Change& change);

 private:
  Engine& reference_;
  Windows windows_;
  CalibrationSource calibration_;
  std::map<int64_t, std::vector<int32_t>> tokens_;
};

struct Study {
  std::string_view name, paper, what;
  Result<StudyResult> (*run)(StudyContext&);
};

/// In the order of the paper.
std::span<const Study> studies();

// One file each.
Result<StudyResult> study_salience(StudyContext& context);
Result<StudyResult> study_scaling(StudyContext& context);
Result<StudyResult> study_ablation(StudyContext& context);
Result<StudyResult> study_perplexity(StudyContext& context);
Result<StudyResult> study_int2(StudyContext& context);
Result<StudyResult> study_groups(StudyContext& context);
Result<StudyResult> study_calibration(StudyContext& context);
Result<StudyResult> study_search(StudyContext& context);

}  // namespace awq
