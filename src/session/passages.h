// Calibration sequences from a text.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace awq {

struct SampleOptions {
  int64_t samples = 128, length = 512;  ///< sequences, tokens of one
  uint64_t seed = 0;
};

/// samples x length token ids; fewer (whole sequences) when the text is shorter. Its
/// blank-line-separated passages are shuffled by the seed, each with the tokenizer's begin-of-text
/// token, and joined. Error naming `origin` when the text gives no whole sequence.
Result<std::vector<TokenId>> sample_passages(const Tokenizer& tokenizer, std::string_view text,
                                             std::string_view origin, const SampleOptions& options);

}  // namespace awq
