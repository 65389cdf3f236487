#include "cli/calibration_text.h"

#include <algorithm>
#include <random>

#include "base/file.h"
#include "base/progress.h"
#include "runtime/corpus.h"

namespace awq {
namespace {

CorpusOptions corpus_options(const CalibrationText& text) {
  CorpusOptions options;
  options.tokens = text.samples * text.length;
  options.document = std::min<int64_t>(256, text.length);
  options.seed = text.seed;
  return options;
}

// Where the first blank line from `from` on ends, in either convention of line ends.
size_t passage_end(std::string_view text, size_t from) {
  for (size_t at = text.find('\n', from); at != std::string_view::npos;
       at = text.find('\n', at + 1)) {
    if (text.substr(at + 1, 1) == "\n") return at + 2;
    if (text.substr(at + 1, 2) == "\r\n") return at + 3;
  }
  return text.size();
}

// Passages between blank lines, joined until they have some length: titles stay with their text.
std::vector<std::string_view> passages(std::string_view text) {
  constexpr size_t kShortest = 1024;
  std::vector<std::string_view> result;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = passage_end(text, std::min(text.size(), begin + kShortest));
    result.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return result;
}

Result<std::vector<TokenId>> from_file(const OpenCheckpoint& source, const CalibrationText& text) {
  AWQ_ASSIGN(const std::string content, read_file(text.source));
  std::vector<std::string_view> parts = passages(content);
  std::mt19937_64 random(text.seed);
  for (size_t i = parts.size(); i > 1; --i) std::swap(parts[i - 1], parts[random() % i]);
  const auto wanted = static_cast<size_t>(text.samples * text.length);
  std::vector<TokenId> tokens;
  for (const std::string_view part : parts) {
    if (tokens.size() >= wanted) break;
    AWQ_ASSIGN(const auto ids, source.vocabulary->tokenizer.encode(part, {true, false}));
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  }
  const int64_t sequences = std::min<int64_t>(
      text.samples, static_cast<int64_t>(tokens.size()) / text.length);
  if (sequences == 0) {
    return bad_input(cat(printable(text.source), ": ", tokens.size(),
                         " tokens of calibration text, less than one sequence of ", text.length,
                         "; use more text, a smaller --calib-length, or --calib self"));
  }
  if (sequences < text.samples) {
    say(cat("calibration text gives ", sequences, " sequences of ", text.length, " tokens, not ",
            text.samples));
  }
  tokens.resize(static_cast<size_t>(sequences * text.length));
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
