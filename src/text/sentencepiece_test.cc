#include "text/sentencepiece.h"

#include <limits>

#include "text/test_tokenizer.h"

namespace awq {
namespace {

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>((value & 0x7F) | 0x80));
  out.push_back(static_cast<char>(value));
  return out;
}

std::string integer(uint32_t number, uint64_t value) { return varint(number << 3) + varint(value); }
std::string bytes(uint32_t number, std::string_view value) {
  return varint((number << 3) | 2) + varint(value.size()) + std::string(value);
}
std::string number32(uint32_t number, float value) {
  std::string out = varint((number << 3) | 5);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
  return out;
}

std::string piece(std::string_view text, float score, int type) {
  return bytes(1, bytes(1, text) + number32(2, score) + integer(3, static_cast<uint64_t>(type)));
}

// A BPE model: <unk> <s> </s> ▁ a b ab <user>; identity, a space before the text.
struct Model {
  std::string pieces = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) +
                       piece("\xE2\x96\x81", -4, 1) + piece("a", -3, 1) + piece("b", -3, 1) +
                       piece("ab", -1, 1) + piece("<user>", 0, 4);
  std::string trainer = integer(3, 2), normalizer = integer(4, 0), rest;

  std::string file() const { return pieces + bytes(2, trainer) + bytes(3, normalizer) + rest; }
  Result<Tokenizer> load(const SentencePieceFiles& beside = {}) const {
    return Tokenizer::from_sentencepiece(file(), beside, "tokenizer.model");
  }
};

void expect_error(const Result<Tokenizer>& result, const std::string& what) {
  ASSERT_FALSE(result.ok()) << what;
  EXPECT_EQ(result.error().kind, ErrorKind::bad_input);
  EXPECT_NE(result.error().message.find(what), std::string::npos) << result.error().message;
}

TEST(SentencePiece, ReadsABpeModel) {
  const auto tokenizer = Model().load();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ(*tokenizer->encode("ab a"), (std::vector<TokenId>{1, 3, 6, 3, 4}));
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_EQ(tokenizer->decode(*tokenizer->encode("ab a")), "ab a");
  // The user's pieces are found in text, control pieces in templates only; no space after either.
  const EncodeOptions plain{.add_special = false, .parse_special = false};
  EXPECT_EQ(*tokenizer->encode("<user>ab", plain), (std::vector<TokenId>{3, 7, 6}));
  EXPECT_EQ(tokenizer->encode("</s>", plain)->back(), 0);
  EXPECT_EQ(tokenizer->encode("</s>")->back(), 2);
}

TEST(SentencePiece, SpecialTokensBesideTheModel) {
  SentencePieceFiles beside;
  beside.config = testing::json(R"({"add_bos_token": false, "add_eos_token": true,
      "eos_token": {"content": "<end>"}, "added_tokens_decoder": {
        "2": {"content": "</s>", "special": true, "rstrip": true},
        "8": {"content": "<end>", "special": true}}})");
  beside.added = testing::json(R"({"<end>": 8, "<pad>": 9})");
  const auto tokenizer = Model().load(beside);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->eos(), 8);
  EXPECT_EQ(tokenizer->find("<pad>"), 9);
  EXPECT_EQ(*tokenizer->encode("a<end><pad>"), (std::vector<TokenId>{3, 4, 8, 9, 2}));
  EXPECT_EQ(*tokenizer->encode("</s>  a", {.add_special = false, .parse_special = true}),
            (std::vector<TokenId>{2, 3, 4}));

  beside.config = testing::json(R"({"eos_token": "<no>"})");
  expect_error(Model().load(beside), "\"<no>\" of tokenizer_config.json");
  beside.config = testing::json(R"({"added_tokens_decoder": {"x": {"content": "a"}}})");
  expect_error(Model().load(beside), "added_tokens_decoder.x: the key");
  beside.config = Json();
  beside.added = testing::json(R"({"<x>": "1"})");
  expect_error(Model().load(beside), "added_tokens.json: <x>: expected an integer");
  beside.added = testing::json(R"({"<x>": 4})");  // the id of "a"
  expect_error(Model().load(beside), "both have id 4");
}

TEST(SentencePiece, DropsSpacesAndMapsCharacters) {
  Model model;
  model.normalizer = "";  // everything is on by default
  const auto tokenizer = model.load();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const EncodeOptions plain{.add_special = false, .parse_special = false};
  EXPECT_EQ(*tokenizer->encode("  ab   a  ", plain), (std::vector<TokenId>{3, 6, 3, 4}));
  EXPECT_TRUE(tokenizer->encode("   ", plain)->empty());
  model.normalizer = bytes(2, "abc");
  expect_error(model.load(), "precompiled_charsmap");
}

TEST(SentencePiece, WhatIsNotSupportedIsNamed) {
  const auto refuse = [](auto&& change, const std::string& what) {
    Model model;
    change(model);
    expect_error(model.load(), what);
  };
  refuse([](Model& m) { m.trainer = integer(3, 3); }, "model_type 3");
  refuse([](Model& m) { m.trainer += integer(24, 1); }, "treat_whitespace_as_suffix");
  refuse([](Model& m) { m.normalizer += integer(5, 0); }, "escape_whitespaces");
  refuse([](Model& m) { m.rest = bytes(5, bytes(2, "x")); }, "denormalizer_spec");
  refuse([](Model& m) { m.pieces += piece("ba", -2, 5); }, "piece 8 \"ba\" is unused");
}

TEST(SentencePiece, BrokenFilesNameTheOffset) {
  const auto refuse = [](const std::string& file, const std::string& what) {
    expect_error(Tokenizer::from_sentencepiece(file, {}, "tokenizer.model"), what);
  };
  refuse("", "no pieces");
  refuse("{\"version\": 1}", "is this a SentencePiece model?");
  refuse(Model().file() + "\x0A", "the file ends inside a number");
  refuse(Model().file() + "\x0A\x05" "ab", "a field of 5 bytes, 2 are left");
  refuse(std::string(11, '\xFF'), "byte 10: a number of more than 64 bits");
  refuse(std::string(1, '\0'), "no valid number");
  refuse("\x0B", "wire type 3");
  refuse(integer(1, 3), "field 1 is no message");
  const std::string start = piece("<unk>", 0, 2);
  refuse(start + piece("", 0, 1), "piece 1 is empty");
  refuse(start + piece("\xFF", 0, 1), "piece 1 is not valid UTF-8");
  refuse(start + piece("a", 0, 7), "piece 1 has type 7");
  refuse(start + piece("a", std::numeric_limits<float>::quiet_NaN(), 1), "no finite score");
  refuse(start + piece("b", 0, 2), "two unknown pieces");
  refuse(piece("a", 0, 1), "no unknown piece");
  refuse(start + piece("a", 0, 1) + piece("a", 0, 1) + bytes(2, integer(3, 2)), "both id 1 and id 2");
  // Longer than any real piece: SentencePiece's own reader overflows its stack on such.
  refuse(start + piece(std::string(1 << 20, 'a'), 0, 1), "the limit is 512");
}

// Every prefix of a file is an error or a model.
TEST(SentencePiece, TruncatedFilesEndWell) {
  const std::string file = Model().file();
  for (size_t size = 0; size < file.size(); ++size) {
    const auto tokenizer = Tokenizer::from_sentencepiece(file.substr(0, size), {}, "test");
    EXPECT_TRUE(tokenizer.ok() || !tokenizer.error().message.empty()) << size;
  }
}

}  // namespace
}  // namespace awq
