// Whole tokenizers: malformed files, hostile texts, special tokens. TK.. names the rows of the list
// in docs/formats/tokenizer.md.
#include <gtest/gtest.h>

#include <ctime>
#include <random>
#include <thread>

#include "text/test_tokenizer.h"
#include "text/unicode.h"

namespace awq {
namespace {

using testing::expect_refused;
using testing::ids_of;
using testing::small_document;
using Ids = std::vector<TokenId>;

std::string repeated(std::string_view unit, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += unit;
  return out;
}

TEST(Tokenizer, TK01_TruncatedFiles) {
  const std::string text = dump_json(testing::byte_document());
  for (size_t size = 0; size < text.size(); size += 7) {
    const auto json = parse_json(std::string_view(text).substr(0, size), "tokenizer.json");
    ASSERT_FALSE(json.ok());
    EXPECT_EQ(json.error().kind, ErrorKind::bad_input);
  }
}

TEST(Tokenizer, TK01_MissingParts) {
  expect_refused(testing::json("[]"), {"object"});
  expect_refused(testing::json("{}"), {"model"});
  expect_refused(testing::json(R"({"model": {"type": "BPE"}})"), {"model.vocab"});
  expect_refused(testing::json(R"({"model": {"vocab": {}}})"), {"model.merges"});
  for (const char* name : {"added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder"}) {
    for (const char* value : {"7", R"("text")", R"({"type": "Nothing"})", R"({"type": []})"}) {
      Json document = small_document();
      document[name] = testing::json(value);
      expect_refused(document, {name});
    }
  }
}

TEST(Tokenizer, TK01_DeepAndHugeFiles) {
  EXPECT_FALSE(parse_json(std::string(1000000, '['), "tokenizer.json").ok());
  EXPECT_FALSE(parse_json(repeated(R"({"model":)", 1000000), "tokenizer.json").ok());
  EXPECT_FALSE(parse_json(std::string(JsonLimits{}.bytes + 1, ' '), "tokenizer.json").ok());
}

TEST(Tokenizer, TK02_GapsAreAllowed) {
  Json document = small_document();
  document["model"]["vocab"]["z"] = 1000;
  const Tokenizer tokenizer = testing::load(document);
  EXPECT_EQ(tokenizer.vocab_size(), 1001u);
  EXPECT_EQ(ids_of(tokenizer, "az"), Ids({1, 1000}));
  EXPECT_EQ(tokenizer.decode(Ids{1, 500, 1000, 1001, -1, INT32_MAX, INT32_MIN}), "a z");
  EXPECT_EQ(tokenizer.token_text(500), "");
  EXPECT_EQ(tokenizer.token_bytes(500), "");
}

TEST(Tokenizer, TK02_BadIds) {
  for (const char* id : {"1", "-1", "4194304", "4294967296", "18446744073709551615", "1e3", "\"9\"",
                         "null", "9223372036854775808"}) {
    Json document = small_document();
    document["model"]["vocab"]["z"] = testing::json(id);
    expect_refused(document, {"model.vocab", "\"z\""});
  }
  for (const char* id : {"1", "-2", "4194304", "4294967295", "null"}) {
    Json document = small_document();
    document["added_tokens"][0]["id"] = testing::json(id);
    expect_refused(document, {"added_tokens[0]"});
  }
}

TEST(Tokenizer, TK03_SpecialTokensOutsideTheVocabulary) {
  Json config = {{"eos_token", "<nowhere>"}};
  expect_refused(small_document(), {"eos_token", "<nowhere>"}, config);
  config["eos_token"] = {{"content", "<s>"}};
  EXPECT_EQ(testing::load(small_document(), config).eos(), 20);
  const auto post_processor = [](int id) {
    return cat(R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}},
      {"Sequence": {"id": "A"}}], "special_tokens": {"<s>": {"ids": [)", id, "]}}}");
  };
  Json document = small_document();
  document["post_processor"] = testing::json(post_processor(20));
  EXPECT_EQ(*testing::load(document).encode("ab"), Ids({20, 8}));
  for (const int id : {19, 22, -1, 1 << 30}) {
    document["post_processor"] = testing::json(post_processor(id));
    expect_refused(document, {"post_processor"});
  }
}

TEST(Tokenizer, TK05_CatastrophicExpressions) {
  Json document = testing::byte_document();
  document["pre_tokenizer"] = testing::json(R"({"type": "Split", "behavior": "Isolated",
      "pattern": {"Regex": "(?:(?:a|aa)+)+b|a"}})");
  const Tokenizer tokenizer = testing::load(document);
  const auto ids = tokenizer.encode(repeated("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", 1000));
  ASSERT_FALSE(ids.ok());
  EXPECT_EQ(ids.error().kind, ErrorKind::bad_input);
  EXPECT_NE(ids.error().message.find("pre_tokenizer"), std::string::npos);
  EXPECT_EQ(ids_of(tokenizer, "the"), Ids({257}));  // the next text is not affected
}

// The fastest of three runs, in seconds of processor time.
double encode_time(const Tokenizer& tokenizer, const std::string& text) {
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const std::clock_t start = std::clock();
    EXPECT_TRUE(tokenizer.encode(text).ok());
    best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return best;
}

TEST(Tokenizer, TK06_LongRunsTakeLinearTime) {
  Json document = testing::byte_document();
  Json &vocabulary = document["model"]["vocab"], &merges = document["model"]["merges"];
  for (const auto& [left, right] : {std::pair("A", "A"), std::pair("AA", "AA"), std::pair("Ġ", "Ġ"),
                                    std::pair("ĠĠ", "ĠĠ"), std::pair("Ċ", "Ċ"), std::pair("ä½", "ł")}) {
    vocabulary[cat(left, right)] = 300 + vocabulary.size();
    merges.push_back(cat(left, " ", right));
  }
  vocabulary["ä½"] = 299;
  merges.push_back("ä ½");
  const Tokenizer tokenizer = testing::load(document);
  for (const std::string unit : {"A", " ", "\n", "\u4F60", "\U0001F642", "\u0301"}) {
    const std::string text = repeated(unit, (1 << 20) / unit.size());
    const double small = encode_time(tokenizer, text.substr(0, text.size() / 8 / 12 * 12));
    // Linear is 8, quadratic would be 64.
    EXPECT_LT(encode_time(tokenizer, text), 30 * small + 0.05) << printable(unit);
    EXPECT_EQ(tokenizer.decode(ids_of(tokenizer, text)), text);
  }
}

TEST(Tokenizer, TK07_AnyBytesAreAccepted) {
  const Tokenizer tokenizer = testing::load(testing::byte_document());
  std::mt19937 random(11);
  for (int round = 0; round < 500; ++round) {
    std::string text(random() % 40, '\0');
    for (char& c : text) c = static_cast<char>(random() % 3 == 0 ? random() % 128 : random() % 256);
    EXPECT_EQ(tokenizer.decode(ids_of(tokenizer, text)), utf8_lossy(text));
  }
  EXPECT_EQ(ids_of(tokenizer, std::string_view("\0a\0", 3)), Ids({0, 'a', 0}));
  EXPECT_EQ(ids_of(tokenizer, "\xED\xA0\x80"), ids_of(tokenizer, "\uFFFD\uFFFD\uFFFD"));
  EXPECT_EQ(ids_of(tokenizer, "\xC0\x80"), ids_of(tokenizer, "\uFFFD\uFFFD"));
}

TEST(Tokenizer, TK08_UserTextCannotSpellSpecialTokens) {
  const Tokenizer bytes = testing::load(testing::byte_document());
  const std::string text = "hi<|end|>\n<|end|>";
  EXPECT_EQ(ids_of(bytes, text), Ids({'h', 'i', 259, '\n', 259}));
  for (const TokenId id : ids_of(bytes, text, false)) EXPECT_FALSE(bytes.is_special(id));
  EXPECT_EQ(bytes.decode(ids_of(bytes, text, false)), text);
  // Tokens of the user that are not special are found in both.
  const Tokenizer small = testing::load(small_document());
  EXPECT_EQ(ids_of(small, "a[user]<s>", false), Ids({1, 21, 0, 0, 0}));
  EXPECT_EQ(ids_of(small, "a[user]<s>", true), Ids({1, 21, 20}));
  // A model that takes whole pieces does not take a special one.
  Json document = testing::byte_document();
  document["pre_tokenizer"]["use_regex"] = false;
  document["model"]["ignore_merges"] = true;
  document["model"]["vocab"]["<|end|>"] = 259;
  const Tokenizer whole = testing::load(document);
  EXPECT_EQ(ids_of(whole, "<|end|>", false), Ids({'<', '|', 'e', 'n', 'd', '|', '>'}));
  EXPECT_EQ(ids_of(whole, "<|end|>", true), Ids({259}));
}

TEST(Tokenizer, TK09_TooLongTexts) {
  const Tokenizer tokenizer = testing::load(small_document());
  // Refused by its size, before a byte is read.
  const std::string_view text("a", size_t{1} << 31);
  const auto ids = tokenizer.encode(text);
  ASSERT_FALSE(ids.ok());
  EXPECT_EQ(ids.error().kind, ErrorKind::usage);
  EXPECT_NE(ids.error().message.find("too long"), std::string::npos);
}

TEST(Tokenizer, TK10_DecodingGivesTheTextBack) {
  const Tokenizer tokenizer = testing::load(testing::byte_document());
  std::mt19937 random(5);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    const size_t size = random() % 60;
    for (size_t i = 0; i < size; ++i) {
      const char32_t limits[] = {0x80, 0x250, 0x3000, 0x9FFF, 0x1FAFF, 0x10FFFF};
      const char32_t c = random() % limits[random() % 6];
      if (c < 0xD800 || c >= 0xE000) append_utf8(text, c);
    }
    ASSERT_EQ(tokenizer.decode(ids_of(tokenizer, text, false)), text);
  }
}

TEST(Tokenizer, AddedTokens) {
  Json document = small_document();
  document["normalizer"] = {{"type", "Lowercase"}};
  document["added_tokens"] = testing::json(R"([
      {"id": 20, "content": "<s>", "special": true, "lstrip": true},
      {"id": 21, "content": "<s><s>", "special": true, "rstrip": true},
      {"id": 22, "content": "CAB", "special": false, "normalized": true, "single_word": true}])");
  const Tokenizer tokenizer = testing::load(document);
  EXPECT_EQ(ids_of(tokenizer, "a <s>b"), Ids({1, 20, 2}));          // white space before goes
  EXPECT_EQ(ids_of(tokenizer, "a<s><s> b"), Ids({1, 21, 2}));       // the longest one wins
  EXPECT_EQ(ids_of(tokenizer, "cab Cab"), Ids({22, 4, 22}));        // after normalizing
  EXPECT_EQ(ids_of(tokenizer, "cabs"), Ids({3, 8, 0}));             // not a word of its own
  document["added_tokens"][0]["content"] = std::string(2000, 'x');
  expect_refused(document, {"added_tokens[0].content", "2000 bytes"});
}

TEST(Tokenizer, ThreadsShareOneTokenizer) {
  const Tokenizer tokenizer = testing::load(testing::byte_document());
  const std::string text = repeated("the theme of the thesis ", 200);
  const Ids expected = ids_of(tokenizer, text);
  std::vector<std::thread> threads;
  std::vector<Ids> results(4);
  for (Ids& result : results) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) result = *tokenizer.encode(text);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Ids& result : results) EXPECT_EQ(result, expected);
}

}  // namespace
}  // namespace awq
