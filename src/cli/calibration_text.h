// Where calibration tokens come from: a text file, or the model itself.
#pragma once

#include <vector>

#include "cli/verb.h"
#include "quant/plan.h"

namespace awq {

struct CalibrationText {
  std::string source = "self";  ///< "self" or a path
  int64_t samples = 128, length = 512;
  uint64_t seed = 0;
};

void add_calibration_options(CLI::App& verb, CalibrationText& text);

/// A length beyond the model's context is a usage error where it was given; the default becomes the
/// context, said aloud.
Status fit_to_context(const CLI::App& verb, const Arch& arch, CalibrationText& text);

/// samples x length token ids; fewer (whole sequences) when the file is shorter, said aloud.
/// A file's blank-line-separated passages are shuffled by the seed, each with the tokenizer's
/// begin-of-text token, and joined.
Result<std::vector<TokenId>> calibration_tokens(const OpenCheckpoint& source,
                                                const CalibrationText& text, const Ops& ops);

/// Adds what making the text needs.
void plan_calibration_text(const TensorReader& reader, const CalibrationText& text,
                           QuantizePlan& plan);

}  // namespace awq
