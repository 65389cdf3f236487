#include <gtest/gtest.h>

#include <random>

#include "text/test_tokenizer.h"
#include "text/unicode.h"

namespace awq {
namespace {

using testing::ids_of;
using Ids = std::vector<TokenId>;

TEST(Bpe, MergesByRankThenFromTheLeft) {
  const Tokenizer tokenizer = testing::load(testing::small_document());
  EXPECT_EQ(ids_of(tokenizer, "abc"), Ids({9}));
  EXPECT_EQ(ids_of(tokenizer, "aaa"), Ids({12, 1}));
  EXPECT_EQ(ids_of(tokenizer, "aaaaa"), Ids({13, 1}));
  EXPECT_EQ(ids_of(tokenizer, "bcab"), Ids({11, 8}));
  EXPECT_EQ(ids_of(tokenizer, ""), Ids());
}

TEST(Bpe, UnknownCharacters) {
  Json document = testing::small_document();
  Json& model = document["model"];
  EXPECT_EQ(ids_of(testing::load(document), "axxb"), Ids({1, 0, 0, 2}));
  model["fuse_unk"] = true;
  EXPECT_EQ(ids_of(testing::load(document), "axxb"), Ids({1, 0, 2}));
  model["byte_fallback"] = true;
  EXPECT_EQ(ids_of(testing::load(document), "a\xC3\xA9x"), Ids({1, 6, 7, 0}));
  model["unk_token"] = nullptr;
  EXPECT_EQ(ids_of(testing::load(document), "axxb"), Ids({8}));  // they vanish before merging
}

TEST(Bpe, IgnoreMergesTakesWholePieces) {
  Json document = testing::small_document();
  document["model"]["vocab"]["cab"] = 14;
  EXPECT_EQ(ids_of(testing::load(document), "cab"), Ids({3, 8}));
  document["model"]["ignore_merges"] = true;
  EXPECT_EQ(ids_of(testing::load(document), "cab"), Ids({14}));
  EXPECT_EQ(ids_of(testing::load(document), "cabcab"), Ids({3, 9, 8}));
}

// The textbook algorithm over the same merges.
Ids slow_bpe(const Json& document, std::string_view text) {
  const Json& vocabulary = document.at("model").at("vocab");
  std::vector<std::string> symbols;
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    next_character(text, i);
    symbols.emplace_back(text.substr(begin, i - begin));
  }
  for (;;) {
    size_t best = 0, rank = SIZE_MAX, place = 0;
    for (const Json& merge : document.at("model").at("merges")) {
      const auto line = merge.get<std::string>();
      const size_t space = line.find(' ');
      for (size_t i = 0; i + 1 < symbols.size() && place < rank; ++i) {
        if (symbols[i] == line.substr(0, space) && symbols[i + 1] == line.substr(space + 1)) {
          best = i, rank = place;
        }
      }
      ++place;
    }
    if (rank == SIZE_MAX) break;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
  Ids ids;
  for (const std::string& symbol : symbols) {
    ids.push_back(vocabulary.contains(symbol) ? vocabulary.at(symbol).get<TokenId>() : 0);
  }
  return ids;
}

// Lengths on both sides of the limits between the cache, the scan and the heap.
TEST(Bpe, ShortAndLongPiecesAgreeWithTheTextbook) {
  std::mt19937 random(1);
  Json document = testing::small_document();
  Json &vocabulary = document["model"]["vocab"], &merges = document["model"]["merges"];
  for (const char* merge : {"c c", "aa bc", "cc a", "abc abc", "aaaa aaaa", "b b", "bb bb"}) {
    std::string token = merge;
    token.erase(token.find(' '), 1);
    vocabulary[token] = 30 + vocabulary.size();
    merges.push_back(merge);
  }
  const Tokenizer tokenizer = testing::load(document);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    const size_t size = 1 + random() % 150;
    for (size_t i = 0; i < size; ++i) text.push_back("aaabbcx"[random() % 7]);
    ASSERT_EQ(ids_of(tokenizer, text), slow_bpe(document, text)) << text;
    ASSERT_EQ(ids_of(tokenizer, text), slow_bpe(document, text)) << text << " from the cache";
  }
}

TEST(Bpe, BytesAndCharactersAgree) {
  const Json document = testing::byte_document();
  EXPECT_EQ(ids_of(testing::load(document), "the the\n\xC3\xA9"), Ids({257, 258, 10, 0xC3, 0xA9}));
  Json odd = document;  // one byte is missing, so the model has to see characters
  odd["model"]["vocab"].erase("\xC4\x80");  // of byte 0
  EXPECT_EQ(ids_of(testing::load(odd), "the the\n\xC3\xA9"), Ids({257, 258, 10, 0xC3, 0xA9}));
}

TEST(Tokenizer, TK04_BothFormsOfMerges) {
  Json pairs = testing::small_document();
  for (Json& merge : pairs["model"]["merges"]) {
    const auto text = merge.get<std::string>();
    const size_t space = text.find(' ');
    merge = Json::array({text.substr(0, space), text.substr(space + 1)});
  }
  const Tokenizer left = testing::load(testing::small_document()), right = testing::load(pairs);
  for (const char* text : {"abcabc", "aaaaaaa", "x▁ab bc", ""}) {
    EXPECT_EQ(ids_of(left, text), ids_of(right, text));
  }
  // Only pairs can hold a token with a space in it.
  Json spaces = testing::small_document();
  spaces["model"]["vocab"]["a "] = 15;
  spaces["model"]["merges"] = Json::array({Json::array({"a", " "})});
  EXPECT_EQ(ids_of(testing::load(spaces), "a b"), Ids({15, 2}));
}

TEST(Tokenizer, TK04_BrokenMerges) {
  for (const char* merge : {R"("ab")", R"("a b c")", R"("a z")", R"("a c")", R"(["a"])", R"(["a","b","c"])",
                            R"(["a",1])", "7", "null", R"("")", R"({})"}) {
    Json document = testing::small_document();
    document["model"]["merges"].push_back(testing::json(merge));
    testing::expect_refused(document, {"merges[6]"});
  }
  Json document = testing::small_document();
  document["model"]["merges"] = "a b";
  testing::expect_refused(document, {"merges", "array"});
}

TEST(Bpe, UnsupportedOptions) {
  for (const auto& [name, value] :
       {std::pair("continuing_subword_prefix", R"("##")"), std::pair("end_of_word_suffix", R"("</w>")"),
        std::pair("dropout", "0.1"), std::pair("dropout", R"("x")"), std::pair("unk_token", R"("no")"),
        std::pair("unk_token", "3"), std::pair("fuse_unk", "1"), std::pair("type", R"("WordLevel")"),
        std::pair("type", R"("WordPiece")")}) {
    Json document = testing::small_document();
    document["model"][name] = testing::json(value);
    testing::expect_refused(document, {name});
  }
}

}  // namespace
}  // namespace awq
