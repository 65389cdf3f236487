// For tests only: tokenizer documents from short pieces of JSON.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "text/byte_alphabet.h"
#include "text/tokenizer.h"

namespace awq::testing {

inline Json json(std::string_view text) {
  auto value = parse_json(text, "test");
  AWQ_CHECK(value.ok(), value.error().message);
  return *std::move(value);
}

/// A BPE model over "abc", space, "▁" and the byte tokens of "é", with a few merges.
inline Json small_document() {
  return json(R"({"added_tokens": [{"id": 20, "content": "<s>", "special": true},
                                   {"id": 21, "content": "[user]", "special": false}],
    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": false, "byte_fallback": false,
      "vocab": {"<unk>": 0, "a": 1, "b": 2, "c": 3, " ": 4, "▁": 5, "<0xC3>": 6, "<0xA9>": 7,
                "ab": 8, "abc": 9, "▁a": 10, "bc": 11, "aa": 12, "aaaa": 13},
      "merges": ["a b", "ab c", "▁ a", "b c", "a a", "aa aa"]}})");
}

/// Every byte's character as its token, then 256 "he", 257 "the", 258 "Ġthe", 259 "<|end|>".
inline Json byte_document() {
  Json document = json(R"({"added_tokens": [{"id": 259, "content": "<|end|>", "special": true}],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {}, "merges": ["h e", "t he", "Ġ the"]}})");
  Json& vocabulary = document["model"]["vocab"];
  for (int byte = 0; byte < 256; ++byte) {
    std::string text;
    append_byte_characters(text, std::string(1, static_cast<char>(byte)));
    vocabulary[text] = byte;
  }
  vocabulary["he"] = 256, vocabulary["the"] = 257, vocabulary["Ġthe"] = 258;
  return document;
}

inline Tokenizer load(const Json& document, const Json& config = Json()) {
  auto tokenizer = Tokenizer::from_json(document, config, "tokenizer.json");
  AWQ_CHECK(tokenizer.ok(), tokenizer.error().message);
  return *std::move(tokenizer);
}

inline std::vector<TokenId> ids_of(const Tokenizer& tokenizer, std::string_view text,
                                   bool parse_special = true) {
  auto ids = tokenizer.encode(text, {.add_special = false, .parse_special = parse_special});
  EXPECT_TRUE(ids.ok()) << (ids.ok() ? "" : ids.error().message);
  return ids.ok() ? *std::move(ids) : std::vector<TokenId>{};
}

/// The document is refused with an error that says all of `parts`.
inline void expect_refused(const Json& document, const std::vector<std::string>& parts,
                           const Json& config = Json()) {
  const auto tokenizer = Tokenizer::from_json(document, config, "tokenizer.json");
  ASSERT_FALSE(tokenizer.ok()) << document.dump().substr(0, 200);
  EXPECT_EQ(tokenizer.error().kind, ErrorKind::bad_input);
  for (const std::string& part : parts) {
    EXPECT_NE(tokenizer.error().message.find(part), std::string::npos)
        << part << " is not in: " << tokenizer.error().message;
  }
}

}  // namespace awq::testing
