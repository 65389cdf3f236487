#include "text/unigram.h"

#include "text/test_tokenizer.h"

namespace awq {
namespace {

using testing::ids_of;

Json document(std::string_view vocab, std::string_view options = "") {
  return testing::json(cat(R"({"added_tokens": [{"id": 1, "content": "</s>", "special": true}],
      "decoder": {"type": "Fuse"}, "model": {"type": "Unigram", "unk_id": 0, "vocab": )",
                           vocab, options, "}}"));
}

constexpr std::string_view kVocab =
    R"([["<unk>", 0], ["</s>", 0], ["a", -1], ["b", -1], ["ab", -1.5], ["aba", -2], ["bab", -4],
        ["<0xC3>", -9], ["<0xA9>", -9]])";

TEST(Unigram, TheHighestSumWins) {
  const Tokenizer tokenizer = testing::load(document(kVocab));
  EXPECT_EQ(ids_of(tokenizer, "ab"), (std::vector<TokenId>{4}));
  EXPECT_EQ(ids_of(tokenizer, "abab"), (std::vector<TokenId>{4, 4}));  // -3, as aba + b: the first found
  EXPECT_EQ(ids_of(tokenizer, "ababa"), (std::vector<TokenId>{4, 5}));
  EXPECT_EQ(tokenizer.decode(ids_of(tokenizer, "ababa")), "ababa");
}

TEST(Unigram, UnknownCharactersAreOneToken) {
  const Tokenizer tokenizer = testing::load(document(kVocab));
  EXPECT_EQ(ids_of(tokenizer, "x\xC3\xA9z"), (std::vector<TokenId>{0}));
  EXPECT_EQ(ids_of(tokenizer, "xaz"), (std::vector<TokenId>{0, 2, 0}));
}

TEST(Unigram, BytesReplaceUnknownTextWhereAllExist) {
  const Tokenizer tokenizer = testing::load(document(kVocab, R"(, "byte_fallback": true)"));
  EXPECT_EQ(ids_of(tokenizer, "a\xC3\xA9"), (std::vector<TokenId>{2, 7, 8}));
  EXPECT_EQ(ids_of(tokenizer, "a\xC3\xA9z"), (std::vector<TokenId>{2, 0}));  // no token for z
}

// The model must not make a control token of a user's text.
TEST(Unigram, SpecialTokensComeFromTheTemplateOnly) {
  const Tokenizer tokenizer = testing::load(document(kVocab));
  EXPECT_EQ(ids_of(tokenizer, "</s>a", true), (std::vector<TokenId>{1, 2}));
  EXPECT_EQ(ids_of(tokenizer, "</s>a", false), (std::vector<TokenId>{0, 2}));
}

TEST(Unigram, RefusesWhatItCannotRead) {
  const auto refuse = [](std::string_view vocab, std::string_view what) {
    testing::expect_refused(document(vocab), {"model", std::string(what)});
  };
  refuse(R"({"a": 1})", "vocab: expected an array");
  refuse(R"([["a"]])", "vocab[0]: expected a token and its score");
  refuse(R"([["a", -1], [3, -1]])", "vocab[1][0]: expected a string");
  refuse(R"([["a", "x"]])", "vocab[0][1]: expected a number");
  refuse(R"([["a", -1], ["a", -2]])", "has both id");
  refuse("[]", "unk_id");
  refuse(cat(R"([[")", std::string(600, 'a'), R"(", -1]])"), "the limit is 512");
  Json absent = document(kVocab);
  absent["model"]["unk_id"] = nullptr;
  testing::expect_refused(absent, {"model.unk_id", "expected an integer"});
}

TEST(Unigram, OtherModelsAreRefusedByName) {
  for (const std::string type : {"WordLevel", "WordPiece"}) {
    Json other = document(kVocab);
    other["model"]["type"] = type;
    testing::expect_refused(other, {"model.type", type, "BPE and Unigram are"});
  }
}

// A megabyte that could be cut in ever so many ways.
TEST(Unigram, LongTextsTakeLinearTime) {
  const Tokenizer tokenizer = testing::load(document(kVocab));
  std::string text;
  while (text.size() < (1 << 20)) text += "ab";
  EXPECT_EQ(ids_of(tokenizer, text).size(), text.size() / 2);
}

}  // namespace
}  // namespace awq
