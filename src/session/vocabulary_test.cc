// Vocabularies of GGUF files and directories, whole and broken. TK.. and GG.. name rows of the
// list of malformed inputs in docs/formats/tokenizer.md.
#include "session/vocabulary.h"

#include <gtest/gtest.h>

#include "base/base64.h"
#include "base/file.h"
#include "checkpoint/test_files.h"

namespace awq {
namespace {


constexpr uint32_t kI32 = 5, kF32 = 6, kString = 8;

template <class T>
std::string packed(const std::vector<T>& values) {
  std::string out;
  for (const T value : values) out += le(value);
  return out;
}

std::string packed_texts(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += GgufBuilder::text(text);
  return out;
}

// The metadata of a small SentencePiece vocabulary, each part to be broken.
struct GgufFile {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>", "<0x0A>", "\xE2\x96\x81", "a", "b", "ab"};
  std::vector<int32_t> types = {2, 3, 3, 6, 1, 1, 1, 1};
  std::vector<float> scores = {0, 0, 0, 0, -3, -3, -3, -1};
  std::string model = "llama";
  std::optional<std::vector<std::string>> merges;
  std::optional<uint32_t> eos = 2, bos = 1, eot;

  Result<Vocabulary> load(int64_t vocab = 8) const {
    const TempDirectory folder;
    GgufBuilder file;
    file.string("general.architecture", "llama").string("tokenizer.ggml.model", model);
    file.array("tokenizer.ggml.tokens", kString, tokens.size(), packed_texts(tokens));
    file.array("tokenizer.ggml.token_type", kI32, types.size(), packed(types));
    file.array("tokenizer.ggml.scores", kF32, scores.size(), packed(scores));
    if (merges) {
      file.array("tokenizer.ggml.merges", kString, merges->size(), packed_texts(*merges));
    }
    if (bos) file.u32("tokenizer.ggml.bos_token_id", *bos);
    if (eos) file.u32("tokenizer.ggml.eos_token_id", *eos);
    if (eot) file.u32("tokenizer.ggml.eot_token_id", *eot);
    return load_file(folder, file, vocab);
  }

  static Result<Vocabulary> load_file(const TempDirectory& folder, GgufBuilder& file,
                                      int64_t vocab) {
    file.tensor("token_embd.weight", {1, 8}, 0, std::string(32, '\0'));
    auto checkpoint = Checkpoint::open(folder.write("model.gguf", file.build()));
    AWQ_CHECK(checkpoint.ok(), checkpoint.error().message);
    return load_vocabulary(*checkpoint, vocab);
  }
};

TEST(Vocabulary, LoadsFromGguf) {
  GgufFile file;
  file.eot = 7;
  const auto vocabulary = file.load();
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.error().message;
  EXPECT_EQ(vocabulary->stop_ids, (std::vector<int32_t>{2, 7}));
  EXPECT_EQ(vocabulary->tokenizer.bos(), 1);
  EXPECT_EQ(*vocabulary->tokenizer.encode("ab\n"), (std::vector<TokenId>{1, 4, 7, 3}));
}

TEST(Vocabulary, NoSpecialTokens) {
  GgufFile file;
  file.bos = file.eos = UINT32_MAX;  // how some writers say "none"
  const auto vocabulary = file.load();
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.error().message;
  EXPECT_EQ(vocabulary->tokenizer.eos(), -1);
  EXPECT_TRUE(vocabulary->stop_ids.empty());
}

TEST(Tokenizer, TK03_EosOutsideTheVocabularyOfAGguf) {
  for (const uint32_t eos : {8u, 100000u, 0x40000000u, 0x80000000u, 0xFFFFFFFEu}) {
    GgufFile file;
    file.eos = eos;
    expect_error(file.load(), {"model.gguf", "eos_token_id"});
  }
  expect_error(GgufFile().load(2), {"special token id 2", "vocabulary of 2"});
}

TEST(Tokenizer, GG14_TokenTypes) {
  GgufFile shorter;
  shorter.types.pop_back();
  expect_error(shorter.load(), {"token_type", "7 types for 8 tokens"});
  GgufFile unknown;
  unknown.types[5] = 9;
  expect_error(unknown.load(), {"token_type", "token 5", "type 9"});
  for (const std::string text : {"<0x-1>", "<0xZZ>", "<0x100>", "0A"}) {
    GgufFile file;
    file.tokens[3] = text;
    expect_error(file.load(), {"byte token 3", text});
  }
}

TEST(Tokenizer, GG15_ScoresAndMerges) {
  GgufFile shorter;
  shorter.scores.pop_back();
  expect_error(shorter.load(), {"scores", "7 scores for 8 tokens"});
  GgufFile infinite;
  infinite.scores[5] = std::numeric_limits<float>::infinity();
  expect_error(infinite.load(), {"scores", "token 5"});
  GgufFile merges;
  merges.model = "gpt2";
  expect_error(merges.load(), {"merges", "missing"});
  for (const std::string merge : {"a c", "ab", "", "a b c", "b a"}) {
    merges.merges = std::vector<std::string>{"a b", merge};
    expect_error(merges.load(), {"merges[1]"});
  }
}

TEST(Tokenizer, GG15_ValuesOfAnotherType) {
  const auto load = [](std::string_view key, uint32_t type, const std::string& payload) {
    const TempDirectory folder;
    GgufBuilder file;
    file.string("general.architecture", "llama").string("tokenizer.ggml.model", "gpt2");
    file.array("tokenizer.ggml.tokens", kString, 1, packed_texts({"a"}));
    file.value(key, type, payload);
    return GgufFile::load_file(folder, file, 8);
  };
  expect_error(load("tokenizer.ggml.merges", 4, le<uint32_t>(1)),
                        {"merges", "unexpected type"});
  expect_error(load("tokenizer.ggml.eos_token_id", kString, GgufBuilder::text("2")),
                        {"eos_token_id", "expected an integer"});
}

struct Directory {
  TempDirectory folder;
  std::string config = R"({"eos_token_id": 2})", tokenizer_config = R"({"eos_token": "</s>"})";
  std::string tokenizer =
      R"({"added_tokens":[{"id":2,"content":"</s>","special":true}],)"
      R"("model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]}})";

  Result<Vocabulary> load(int64_t vocab = 3) const {
    folder.write("config.json", config);
    folder.write("tokenizer.json", tokenizer);
    folder.write("tokenizer_config.json", tokenizer_config);
    folder.write("model.safetensors", safetensors_file("{}"));
    auto checkpoint = Checkpoint::open(folder.path());
    AWQ_CHECK(checkpoint.ok(), checkpoint.error().message);
    return load_vocabulary(*checkpoint, vocab);
  }
};

TEST(Vocabulary, LoadsFromADirectory) {
  Directory directory;
  directory.folder.write("generation_config.json", R"({"eos_token_id": [2, 1]})");
  directory.folder.write("chat_template.jinja", "{{ messages }}");
  const auto vocabulary = directory.load();
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.error().message;
  EXPECT_EQ(vocabulary->stop_ids, (std::vector<int32_t>{2, 1}));
  EXPECT_EQ(vocabulary->chat_template, "{{ messages }}");
}

// What OPT's and GPT-2's checkpoints have.
TEST(Vocabulary, LoadsVocabularyAndMerges) {
  const TempDirectory folder;
  folder.write("config.json", "{}");
  folder.write("model.safetensors", safetensors_file("{}"));
  folder.write("vocab.json", R"({"a": 0, "b": 1, "ab": 2, "</s>": 3, "<|endoftext|>": 4})");
  auto checkpoint = Checkpoint::open(folder.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  expect_error(load_vocabulary(*checkpoint, 5), {"tokenizer.json", "merges.txt", "not found"});
  folder.write("merges.txt", "#version: 0.2\na b\r\n");
  const auto gpt2 = load_vocabulary(*checkpoint, 5);
  ASSERT_TRUE(gpt2.ok()) << gpt2.error().message;
  EXPECT_EQ(*gpt2->tokenizer.encode("ab<|endoftext|>"), (std::vector<TokenId>{2, 4}));
  EXPECT_EQ(gpt2->stop_ids, (std::vector<int32_t>{4}));
  folder.write("tokenizer_config.json",
               R"({"bos_token": "</s>", "eos_token": {"content": "</s>"}, "add_bos_token": true})");
  const auto opt = load_vocabulary(*checkpoint, 5);
  ASSERT_TRUE(opt.ok()) << opt.error().message;
  EXPECT_EQ(*opt->tokenizer.encode("ab"), (std::vector<TokenId>{3, 2}));
  EXPECT_EQ(opt->stop_ids, (std::vector<int32_t>{3}));
  folder.write("merges.txt", "a c\n");
  expect_error(load_vocabulary(*checkpoint, 5), {"vocab.json", "merges[0]", "\"c\""});
  folder.write("vocab.json", "[]");
  expect_error(load_vocabulary(*checkpoint, 5), {"vocab.json", "expected an object"});
}

// Checkpoints of before tokenizer.json; data/golden has models of SentencePiece.
TEST(Vocabulary, LoadsATokenizerModel) {
  const auto golden =
      read_json_file(path_join(AWQ_SOURCE_DIR, "data/golden/tokenizer/sentencepiece.json"));
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  const auto model = decode_base64(golden->at("cases").at(0).at("model").get<std::string>(), "test");
  ASSERT_TRUE(model.ok());
  const TempDirectory folder;
  folder.write("config.json", "{}");
  folder.write("model.safetensors", safetensors_file("{}"));
  folder.write("tokenizer_config.json", R"({"chat_template": "x", "add_bos_token": true})");
  folder.write("added_tokens.json", R"({"<pad>": 700})");
  auto checkpoint = Checkpoint::open(folder.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  expect_error(load_vocabulary(*checkpoint, 701), {"tokenizer.json", "tokenizer.model", "not found"});
  folder.write("tokenizer.model", "not a model");
  expect_error(load_vocabulary(*checkpoint, 701), {"tokenizer.model", "is this a SentencePiece model?"});
  folder.write("tokenizer.model", *model);
  const auto vocabulary = load_vocabulary(*checkpoint, 701);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.error().message;
  EXPECT_EQ(vocabulary->stop_ids, (std::vector<int32_t>{2}));
  EXPECT_EQ(vocabulary->chat_template, "x");
  EXPECT_EQ(vocabulary->tokenizer.encode("Hello<pad>")->front(), vocabulary->tokenizer.bos());
  EXPECT_EQ(vocabulary->tokenizer.encode("Hello<pad>")->back(), 700);
}

TEST(Tokenizer, TK03_EosOutsideTheVocabularyOfADirectory) {
  for (const std::string id : {"3", "-1", "4294967298", "\"2\"", "[2, 99]", "2.5"}) {
    Directory directory;
    directory.config = "{\"eos_token_id\": " + id + "}";
    expect_error(directory.load(), {"config.json", "eos_token_id"});
  }
  Directory unknown;
  unknown.tokenizer_config = R"({"eos_token": "<end>"})";
  expect_error(unknown.load(), {"eos_token", "<end>"});
  expect_error(Directory().load(2), {"2"});
}

}  // namespace
}  // namespace awq
