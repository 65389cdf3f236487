#include "text/decoder.h"

#include <gtest/gtest.h>

#include <random>

#include "text/test_tokenizer.h"
#include "text/unicode.h"

namespace awq {
namespace {

Decoder decoder_of(const std::string& step) {
  const Json document = testing::json(step);
  auto decoder = Decoder::from_json(JsonField{&document, "test"});
  AWQ_CHECK(decoder.ok(), decoder.error().message);
  return *std::move(decoder);
}

const char* const kLlama =
    R"({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
        {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})";

TEST(Decoder, Steps) {
  EXPECT_EQ(decoder_of("null").decode({"a", "b"}), "a b");
  EXPECT_EQ(decoder_of(R"({"type": "ByteLevel"})").decode({"ĠÃ", "©", "x"}), " éx");
  EXPECT_EQ(decoder_of(R"({"type": "ByteLevel"})").decode({"Ã", "a b"}), "\uFFFDa b");
  EXPECT_EQ(decoder_of(kLlama).decode({"▁▁a", "<0xC3>", "<0xA9>", "<0xFF>", "▁b"}),
            " a\uFFFD\uFFFD\uFFFD b");
  EXPECT_EQ(decoder_of(kLlama).decode({"▁a", "<0xC3>", "<0xA9>"}), "aé");
  EXPECT_EQ(decoder_of(R"({"type": "Metaspace"})").decode({"▁a", "▁b"}), "a b");
  EXPECT_EQ(decoder_of(R"({"type": "Strip", "content": "x", "start": 1, "stop": 1})")
                .decode({"xxaxx", "x", ""}), "xax");
}

TEST(Decoder, RefusesWhatItDoesNotKnow) {
  for (const char* step :
       {R"({"type": "WordPiece"})", R"({"type": "CTC"})", R"({"type": "Strip", "content": "ab"})",
        R"({"type": "Strip", "content": "a", "start": -1, "stop": 0})", R"({"type": "Replace"})",
        R"({"type": "Sequence"})", "[]"}) {
    const Json document = testing::json(step);
    EXPECT_FALSE(Decoder::from_json(JsonField{&document, "test"}).ok()) << step;
  }
}

// Streams random ids through decoders of every kind and compares with the whole.
TEST(Tokenizer, TK11_OneTokenAtATimeEqualsAllAtOnce) {
  const char* const decoders[] = {
      "null", kLlama, R"({"type": "ByteLevel"})", R"({"type": "ByteFallback"})",
      R"({"type": "Metaspace"})", R"({"type": "Fuse"})",
      R"({"type": "Strip", "content": "a", "start": 1, "stop": 1})",
      R"({"type": "Sequence", "decoders": [{"type": "ByteLevel"},
          {"type": "Strip", "content": "a", "start": 2, "stop": 0}]})",
      R"({"type": "Sequence", "decoders": [{"type": "Fuse"},
          {"type": "Replace", "pattern": {"Regex": "a+"}, "content": "A"}]})",
      R"({"type": "Sequence", "decoders": [{"type": "Metaspace"}, {"type": "ByteFallback"}]})"};
  std::mt19937 random(3);
  for (const char* decoder : decoders) {
    Json document = testing::small_document();
    Json& vocabulary = document["model"]["vocab"];
    for (const char* token : {"Ã", "©", "Ġ", "â", "ð", "Ł", "ĻĤ", "<0xF0>", "<0xFF>", "é"}) {
      vocabulary[token] = 30 + vocabulary.size();
    }
    document["decoder"] = testing::json(decoder);
    const Tokenizer tokenizer = testing::load(document);
    for (int round = 0; round < 300; ++round) {
      std::vector<TokenId> ids(random() % 12);
      for (TokenId& id : ids) id = static_cast<TokenId>(random() % (tokenizer.vocab_size() + 2)) - 1;
      const bool skip = round % 2 == 0;
      Detokenizer detokenizer(tokenizer, skip);
      std::string streamed;
      for (const TokenId id : ids) {
        const std::string text = detokenizer.push(id);
        ASSERT_TRUE(is_utf8(text)) << decoder << ": " << printable(text);
        streamed += text;
      }
      streamed += detokenizer.flush();
      ASSERT_EQ(streamed, tokenizer.decode(ids, skip)) << decoder;
    }
  }
}

TEST(Detokenizer, HoldsBackUnfinishedCharacters) {
  const Tokenizer tokenizer = testing::load(testing::byte_document());
  Detokenizer detokenizer(tokenizer);
  EXPECT_EQ(detokenizer.push('a'), "a");
  EXPECT_EQ(detokenizer.push(0xF0), "");
  EXPECT_EQ(detokenizer.push(0x9F), "");
  EXPECT_EQ(detokenizer.push(0x99), "");
  EXPECT_EQ(detokenizer.push(0x82), "\U0001F642");
  EXPECT_EQ(detokenizer.push(259), "");  // special
  EXPECT_EQ(detokenizer.push(0xC3), "");
  EXPECT_EQ(detokenizer.push(257), "\uFFFDthe");
  EXPECT_EQ(detokenizer.push(0xE2), "");
  EXPECT_EQ(detokenizer.flush(), "\uFFFD");
  EXPECT_EQ(detokenizer.flush(), "");
  EXPECT_EQ(Detokenizer(tokenizer, false).push(259), "<|end|>");
}

}  // namespace
}  // namespace awq
