// The tokenizer.json that vocab.json and merges.txt stand for: GPT-2's byte-level BPE, as OPT's and
// GPT-2's checkpoints have it.
#pragma once

#include <string_view>

#include "base/json.h"

namespace awq {

/// `vocabulary` is vocab.json, `merges` the text of merges.txt, `config` tokenizer_config.json or null
/// (add_prefix_space, and add_bos_token with bos_token, which OPT puts before each text). What is
/// wrong in them is found when the document is read.
Json byte_level_document(Json vocabulary, std::string_view merges, const Json& config);

}  // namespace awq
