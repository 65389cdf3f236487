// The tokens that surround a sequence (BOS, EOS, class marks). Source: the tokenizers crate,
// processors/; only single sequences, which is all a language model sees.
#pragma once

#include <vector>

#include "text/json_fields.h"
#include "text/token_table.h"

namespace awq {

struct PostProcessor {
  std::vector<TokenId> before, after;

  /// The "post_processor" of tokenizer.json. Errors: ids outside the vocabulary.
  static Result<PostProcessor> from_json(const JsonField& field, const TokenTable& vocabulary);
};

}  // namespace awq
