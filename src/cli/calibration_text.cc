#include "cli/calibration_text.h"

#include <algorithm>

#include "base/file.h"
#include "base/progress.h"
#include "runtime/corpus.h"
#include "session/passages.h"

namespace awq {
namespace {

CorpusOptions corpus_options(const CalibrationText& text) {
  CorpusOptions options;
  options.tokens = text.samples * text.length;
  options.document = std::min<int64_t>(256, text.length);
  options.seed = text.seed;
  return options;
}

Result<std::vector<TokenId>> from_file(const OpenCheckpoint& source, const CalibrationText& text) {
  AWQ_ASSIGN(const std::string content, read_file(text.source));
  AWQ_ASSIGN(std::vector<TokenId> tokens,
             sample_passages(source.vocabulary->tokenizer, content, printable(text.source),
                             {text.samples, text.length, text.seed}));
  const int64_t sequences = static_cast<int64_t>(tokens.size()) / text.length;
  if (sequences < text.samples) {
    say(cat("calibration text gives ", sequences, " sequences of ", text.length, " tokens, not ",
            text.samples));
  }
  return tokens;
}

Result<std::vector<TokenId>> from_model(const OpenCheckpoint& source, const CalibrationText& text,
                                        const Ops& ops) {
  const Vocabulary& vocabulary = *source.vocabulary;
  TokenId start = vocabulary.tokenizer.bos();
  if (start < 0) start = vocabulary.tokenizer.eos();
  if (start < 0) {
    return usage_error("this vocabulary has no begin- or end-of-text token to start from; "
                       "give calibration text with --calib FILE");
  }
  AWQ_ASSIGN(const Model model, load_model(*source.reader, ops));
  Engine engine(model);
  const CorpusOptions options = corpus_options(text);
  Progress progress("sampling calibration text", options.tokens);
  return sample_corpus(engine, start, vocabulary.stop_ids, options,
                       [&](int64_t done) { progress.update(done, "tokens"); });
}

}  // namespace

void add_calibration_options(CLI::App& verb, CalibrationText& text) {
  verb.add_option("--calib", text.source, "calibration text file, or self: the model writes it")
      ->type_name("FILE")
      ->capture_default_str();
  verb.add_option("--calib-samples", text.samples, "calibration sequences")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  verb.add_option("--calib-length", text.length, "tokens of a calibration sequence")
      ->check(CLI::Range(int64_t{8}, int64_t{1} << 16))
      ->capture_default_str();
  verb.add_option("--seed", text.seed, "seed of calibration sampling")->capture_default_str();
}

Status fit_to_context(const CLI::App& verb, const Arch& arch, CalibrationText& text) {
  const int64_t context = arch.sizes.context;
  if (text.length <= context) return {};
  if (verb.count("--calib-length") > 0) {
    return usage_error(cat("--calib-length ", text.length,
                           " is longer than the model's context of ", context));
  }
  say(cat("calibration sequences of ", context, " tokens, not ", text.length,
          ": the model's context"));
  text.length = context;
  return {};
}

Result<std::vector<TokenId>> calibration_tokens(const OpenCheckpoint& source,
                                                const CalibrationText& text, const Ops& ops) {
  return text.source == "self" ? from_model(source, text, ops) : from_file(source, text);
}

void plan_calibration_text(const TensorReader& reader, const CalibrationText& text,
                           QuantizePlan& plan) {
  if (text.source != "self") return;
  const Arch& arch = reader.arch();
  const CorpusOptions options = corpus_options(text);
  const uint64_t parameters = static_cast<uint64_t>(parameter_count(arch));
  plan.flops += 2.0 * static_cast<double>(parameters) * static_cast<double>(options.tokens);
  // The whole model is held in its stored type, or in half precision where that is packed.
  const TensorInfo* raw = reader.raw_weight(Slot::down, 0);
  const uint64_t width = raw != nullptr && raw->dtype == DType::f32 ? 4 : 2;
  const uint64_t sampling = (uint64_t{64} << 20) + width * parameters + corpus_bytes(arch, options);
  plan.peak_bytes = std::max(plan.peak_bytes, with_allocator_slack(sampling));
}

}  // namespace awq
