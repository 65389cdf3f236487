// Figure 6: how much calibration text a method needs, and what text of another kind costs it.
#include <filesystem>

#include "base/file.h"
#include "session/passages.h"
#include "study/study.h"

namespace awq {
namespace {

// The "text" of every line of a JSONL file: every second one to calibrate on, the others to
// evaluate on.
struct Domain {
  std::string name, calibration, evaluation;
};

Result<Domain> read_domain(const std::string& path) {
  AWQ_ASSIGN(const std::string content, read_file(path));
  Domain domain;
  int64_t line = 0;
  for (size_t begin = 0; begin < content.size(); ++line) {
    size_t end = content.find('\n', begin);
    if (end == std::string::npos) end = content.size();
    const std::string_view text = std::string_view(content).substr(begin, end - begin);
    begin = end + 1;
    if (text.empty()) continue;
    const std::string where = cat(printable(path), ": line ", line + 1);
    AWQ_ASSIGN(const Json json, parse_json(text, where));
    if (!json.is_object() || !json.contains("text") || !json["text"].is_string()) {
      return bad_input(cat(where, ": expected an object with a \"text\""));
    }
    std::string& half = line % 2 == 0 ? domain.calibration : domain.evaluation;
    half += json["text"].get<std::string>() + "\n\n";
  }
  return domain;
}

// By their folders where those differ (pubmed/abstracts.jsonl), else by their own names.
void name_domains(const StudySettings& settings, Domain& a, Domain& b) {
  const std::filesystem::path first = settings.domain_a, second = settings.domain_b;
  const std::string folders[2] = {first.parent_path().filename().string(),
                                  second.parent_path().filename().string()};
  const bool by_folder = !folders[0].empty() && !folders[1].empty() && folders[0] != folders[1];
  a.name = printable(by_folder ? folders[0] : first.stem().string(), 40);
  b.name = printable(by_folder ? folders[1] : second.stem().string(), 40);
}

Status by_samples(StudyContext& context, const QuantFormat& format, StudyResult& result) {
  for (const Method method : {Method::awq, Method::gptq}) {
    int64_t last = 0;
    for (int64_t samples = 8; samples <= 2 * context.settings.samples; samples *= 2) {
      AWQ_ASSIGN(const auto ids, context.tokens(std::min(samples, context.settings.samples)));
      const auto sequences = static_cast<int64_t>(ids.size()) / context.settings.length;
      if (sequences == last) break;  // no more text
      last = sequences;
      AWQ_ASSIGN(Json row, context.measure_quantized(cat(method_name(method), ", ", sequences),
                                                     context.options(method, format), ids));
      row["samples"] = sequences;
      result.rows.push_back(std::move(row));
    }
  }
  return {};
}

// Each method calibrated on either domain, evaluated on either.
Status two_by_two(StudyContext& context, const QuantFormat& format, StudyResult& result) {
  const StudySettings& settings = context.settings;
  AWQ_ASSIGN(Domain a, read_domain(settings.domain_a));
  AWQ_ASSIGN(Domain b, read_domain(settings.domain_b));
  name_domains(settings, a, b);
  for (const Method method : {Method::awq, Method::gptq}) {
    double ppl[2][2];
    for (int from = 0; from < 2; ++from) {
      const Domain& calibrated = from == 0 ? a : b;
      AWQ_ASSIGN(const auto ids,
                 sample_passages(context.tokenizer, calibrated.calibration, calibrated.name,
                                 {settings.samples, settings.length, settings.seed}));
      AWQ_ASSIGN(const Model model, quantize_in_memory(context.reader, context.ops, ids,
                                                       context.options(method, format)));
      for (int on = 0; on < 2; ++on) {
        const Domain& evaluated = on == 0 ? a : b;
        AWQ_ASSIGN(auto tokens, context.tokenizer.encode(evaluated.evaluation, {true, false}));
        AWQ_ASSIGN(Windows windows,
                   cut_windows(std::move(tokens), settings.window, settings.max_windows));
        context.set_windows(std::move(windows));
        AWQ_ASSIGN(Json row, context.measure(cat(method_name(method), ": ", calibrated.name, " → ",
                                                 evaluated.name), model));
        ppl[from][on] = row["ppl"].get<double>();
        row["method"] = method_name(method);
        row["from"] = calibrated.name;
        row["on"] = evaluated.name;
        result.rows.push_back(std::move(row));
      }
    }
    result.notes.push_back(cat(method_name(method), ": calibrated on the other kind of text, ",
                               "perplexity rises by ", fixed(ppl[1][0] - ppl[0][0], 3), " on ",
                               a.name, " and by ", fixed(ppl[0][1] - ppl[1][1], 3), " on ", b.name));
  }
  return {};
}

}  // namespace

Result<StudyResult> study_calibration(StudyContext& context) {
  const QuantFormat format{context.bits_or(3), context.settings.group, false};
  StudyResult result;
  result.title = cat("Figure 6: calibration text, ", format_name(format));
  result.columns = {{"name", "", -1},          {"samples", "sequences", 0},
                    {"ppl", "perplexity", 3},  {"ppl_stderr", "±", 3},
                    {"kl", "KL", 4},           {"seconds", "quantize s", 0}};
  AWQ_TRY(by_samples(context, format, result));
  result.charts = {{"lines", "perplexity over calibration sequences", "samples", "ppl", "method",
                    true}};
  if (context.settings.domain_a.empty() || context.settings.domain_b.empty()) {
    result.notes.push_back("no --domains A,B (or AWQ_DATA): the 2 x 2 of calibration and "
                           "evaluation text is left out");
    return result;
  }
  AWQ_TRY(two_by_two(context, format, result));
  return result;
}

}  // namespace awq
