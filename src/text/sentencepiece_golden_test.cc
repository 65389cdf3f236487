// tokenizer.model files against SentencePiece: ids of small models that its Python package gave
// (data/golden/tokenizer/sentencepiece.json), and where its C++ library is installed and AWQ_DATA is set,
// LLaMA's own model on whole corpora in the same process.
#include <gtest/gtest.h>

#ifdef AWQ_WITH_SENTENCEPIECE
#include <sentencepiece_processor.h>
#endif

#include "base/base64.h"
#include "base/file.h"
#include "text/sentencepiece.h"
#include "text/test_vocabulary.h"

namespace awq {
namespace {

constexpr EncodeOptions kPlain{.add_special = false, .parse_special = false};

Tokenizer from_model(std::string_view model) {
  auto tokenizer = Tokenizer::from_sentencepiece(model, {}, "tokenizer.model");
  AWQ_CHECK(tokenizer.ok(), tokenizer.error().message);
  return *std::move(tokenizer);
}

Json golden() {
  const auto json =
      read_json_file(path_join(AWQ_SOURCE_DIR, "data/golden/tokenizer/sentencepiece.json"));
  AWQ_CHECK(json.ok(), json.error().message);
  return *json;
}

TEST(SentencePieceGolden, SmallModelsOfEveryKind) {
  const Json cases = golden();
  ASSERT_GE(cases.at("cases").size(), 10u);
  for (const Json& entry : cases.at("cases")) {
    SCOPED_TRACE(entry.at("name").get<std::string>());
    const auto model = decode_base64(entry.at("model").get<std::string>(), "golden");
    ASSERT_TRUE(model.ok());
    const Tokenizer tokenizer = from_model(*model);
    for (size_t i = 0; i < cases.at("texts").size(); ++i) {
      const auto text = cases.at("texts").at(i).get<std::string>();
      const auto ids = tokenizer.encode(text, kPlain);
      ASSERT_TRUE(ids.ok()) << ids.error().message;
      EXPECT_EQ(*ids, entry.at("ids").at(i).get<std::vector<TokenId>>()) << printable(text);
    }
  }
}

std::string with_spaces(std::string_view text) {
  constexpr std::string_view marker = "▁";
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const bool found = text.substr(i, marker.size()) == marker;
    out.push_back(found ? ' ' : text[i]);
    i += found ? marker.size() : 1;
  }
  return out;
}

// The same models as llama.cpp writes them into GGUF files, where the user's pieces have spaces.
TEST(SentencePieceGolden, TheSameModelsFromGguf) {
  const Json cases = golden();
  size_t compared = 0;
  for (const Json& entry : cases.at("cases")) {
    const auto name = entry.at("name").get<std::string>();
    if (name != "llama" && name != "gemma") continue;
    SCOPED_TRACE(name);
    const auto bytes = decode_base64(entry.at("model").get<std::string>(), "golden");
    const auto model = read_sentencepiece(*bytes, "golden");
    ASSERT_TRUE(model.ok()) << model.error().message;
    GgufVocabulary gguf;
    gguf.model = "llama";
    gguf.scores = model->scores, gguf.token_types = model->types;
    for (size_t id = 0; id < model->tokens.size(); ++id) {
      const std::string& text = model->tokens[id];
      gguf.tokens.push_back(model->types[id] == 4 ? with_spaces(text) : text);
    }
    gguf.bos = model->bos, gguf.eos = model->eos, gguf.unknown = model->unknown;
    gguf.add_space_prefix = model->add_dummy_prefix;
    const auto tokenizer = Tokenizer::from_gguf(std::move(gguf), "golden");
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    for (size_t i = 0; i < cases.at("texts").size(); ++i) {
      const auto text = cases.at("texts").at(i).get<std::string>();
      if (text.find("▁") != std::string::npos) continue;  // which GGUF tells from a space
      EXPECT_EQ(*tokenizer->encode(text, kPlain), entry.at("ids").at(i).get<std::vector<TokenId>>())
          << printable(text);
      ++compared;
    }
  }
  EXPECT_GT(compared, 150u);
}

#ifdef AWQ_WITH_SENTENCEPIECE
TEST(SentencePieceGolden, LlamaOnCorpora) {
  const std::string path = testing::data_path("tokenizers/llama2/tokenizer.model");
  if (path.empty()) GTEST_SKIP() << "AWQ_DATA does not name a folder with tokenizers/llama2";
  const auto model = read_file(path);
  ASSERT_TRUE(model.ok());
  const Tokenizer tokenizer = from_model(*model);
  sentencepiece::SentencePieceProcessor library;
  ASSERT_TRUE(library.LoadFromSerializedProto(*model).ok());
  EXPECT_EQ(tokenizer.bos(), library.bos_id());
  EXPECT_EQ(tokenizer.eos(), library.eos_id());
  for (const char* name : {"calibration/multilingual.utf8", "calibration/code.utf8",
                           "wikitext2/wiki.test.raw"}) {
    const auto text = read_file(testing::data_path(name));
    ASSERT_TRUE(text.ok());
    std::string_view rest = *text;
    size_t lines = 0;
    while (!rest.empty()) {  // the last line, and lines of nothing, too
      const size_t end = std::min(rest.find('\n'), rest.size() - 1) + 1;
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(end);
      const auto ids = tokenizer.encode(line, kPlain);
      ASSERT_TRUE(ids.ok());
      ASSERT_EQ(*ids, library.EncodeAsIds({line.data(), line.size()})) << printable(line);
      ++lines;
    }
    EXPECT_GT(lines, 100u) << name;
  }
}
#endif

}  // namespace
}  // namespace awq
