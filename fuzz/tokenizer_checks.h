// What holds for every tokenizer and every text, whatever the file said.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace awq {

inline void check_decoding(const Tokenizer& tokenizer, const std::vector<TokenId>& ids,
                           bool skip_special) {
  const std::string whole = tokenizer.decode(ids, skip_special);
  AWQ_CHECK(is_utf8(whole), "decoded text is not UTF-8");
  Detokenizer detokenizer(tokenizer, skip_special);
  std::string streamed;
  for (const TokenId id : ids) {
    const std::string text = detokenizer.push(id);
    AWQ_CHECK(is_utf8(text), "a character was split");
    streamed += text;
  }
  streamed += detokenizer.flush();
  AWQ_CHECK(streamed == whole, "streamed \"", printable(streamed), "\", whole \"",
            printable(whole), "\"");
}

inline void check_round_trip(const Tokenizer& tokenizer, std::string_view text) {
  for (const bool special : {true, false}) {
    const auto ids = tokenizer.encode(text, {special, special});
    if (!ids.ok()) continue;  // a limit of a regular expression or of growth
    for (const TokenId id : *ids) {
      AWQ_CHECK(id >= 0 && static_cast<size_t>(id) < tokenizer.vocab_size(), "id ", id, " of ",
                tokenizer.vocab_size());
      tokenizer.token_bytes(id);
    }
    check_decoding(tokenizer, *ids, special);
  }
  // Ids that no encoder gave, some of them outside the vocabulary.
  std::vector<TokenId> ids = {-1, static_cast<TokenId>(tokenizer.vocab_size())};
  for (const char c : text.substr(0, 64)) {
    ids.push_back(static_cast<uint8_t>(c) % static_cast<TokenId>(tokenizer.vocab_size() + 1));
  }
  check_decoding(tokenizer, ids, false);
}

}  // namespace awq
