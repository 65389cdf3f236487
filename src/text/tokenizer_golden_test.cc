// Token ids that other implementations gave, for real vocabularies and for small ones that reach
// every component: llama.cpp's vectors ($AWQ_DATA/tokenizers/vectors) and results of the Hugging
// Face tokenizers library (data/golden/tokenizer, made by tools/make_tokenizer_goldens.py).
#include <gtest/gtest.h>

#include <functional>
#include <sstream>

#include "text/test_vocabulary.h"
#include "text/unicode.h"

namespace awq {
namespace {

using testing::data_path;

std::string read_text(const std::string& path) {
  auto text = read_file(path);
  AWQ_CHECK(text.ok(), text.error().message);
  return *std::move(text);
}

Json read_json(const std::string& path) {
  auto json = read_json_file(path);
  AWQ_CHECK(json.ok(), json.error().message);
  return *std::move(json);
}

Json read_golden(const std::string& name) {
  return read_json(path_join(AWQ_SOURCE_DIR, "data/golden/tokenizer/" + name));
}

Tokenizer from_document(const Json& document) {
  auto tokenizer = Tokenizer::from_json(document, Json(), "test");
  AWQ_CHECK(tokenizer.ok(), tokenizer.error().message);
  return *std::move(tokenizer);
}

std::vector<TokenId> encode(const Tokenizer& tokenizer, std::string_view text,
                            EncodeOptions options) {
  auto ids = tokenizer.encode(text, options);
  EXPECT_TRUE(ids.ok()) << (ids.ok() ? "" : ids.error().message);
  return ids.ok() ? *ids : std::vector<TokenId>{};
}

std::string stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids, bool skip_special) {
  Detokenizer detokenizer(tokenizer, skip_special);
  std::string out;
  for (const TokenId id : ids) {
    const std::string text = detokenizer.push(id);
    EXPECT_TRUE(is_utf8(text)) << printable(text);
    out += text;
  }
  return out + detokenizer.flush();
}

std::string bytes_of_hex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return out;
}

uint64_t fnv1a(const std::vector<TokenId>& ids) {
  uint64_t value = 0xCBF29CE484222325ull;
  for (const TokenId id : ids) {
    for (int shift = 0; shift < 32; shift += 8) {
      value = (value ^ ((static_cast<uint32_t>(id) >> shift) & 0xFF)) * 0x100000001B3ull;
    }
  }
  return value;
}

// --- llama.cpp's vectors ---------------------------------------------------------------------------

// A tokenizer.json from the two files that OpenAI's and Meta's tokenizers are published as.
Json document_of_files(const std::string& vocabulary, const std::string& merges, Json pre_tokenizer,
                       bool ignore_merges) {
  Json document = {{"pre_tokenizer", std::move(pre_tokenizer)}, {"decoder", {{"type", "ByteLevel"}}}};
  Json list = Json::array();
  std::istringstream lines(read_text(merges));
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.rfind("#version", 0) != 0) list.push_back(line);
  }
  document["model"] = {{"type", "BPE"}, {"ignore_merges", ignore_merges},
                       {"vocab", read_json(vocabulary)}, {"merges", std::move(list)}};
  return document;
}

Json llama3_pre_tokenizer() {
  const std::string regex =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
      R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
  Json split = {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}};
  Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  return {{"type", "Sequence"},
          {"pretokenizers", Json::array({std::move(split), std::move(bytes)})}};
}

Json byte_level() { return {{"type", "ByteLevel"}, {"add_prefix_space", false}}; }

struct Vector {
  std::string name, cases;
  std::vector<std::string> files;  ///< below $AWQ_DATA/tokenizers
  std::function<Tokenizer(const std::vector<std::string>& paths)> load;
};

Tokenizer load_gguf(const std::vector<std::string>& paths) { return testing::load_gguf(paths[0]); }

std::vector<Vector> vectors() {
  std::vector<Vector> list;
  for (const std::string name : {"gpt-2", "llama-spm", "falcon", "mpt"}) {
    list.push_back({name + " from GGUF", name, {"vectors/ggml-vocab-" + name + ".gguf"}, load_gguf});
  }
  // What a GGUF vocabulary exports as tokenizer.json gives the same ids.
  for (const std::string name : {"gpt-2", "llama-spm", "falcon", "mpt"}) {
    list.push_back({name + " exported", name, {"vectors/ggml-vocab-" + name + ".gguf"},
                    [](const auto& paths) {
                      return from_document(load_gguf(paths).export_tokenizer_json());
                    }});
  }
  list.push_back({"mpt from tokenizer.json", "mpt", {"gpt-neox/20B_tokenizer.json"},
                  [](const auto& paths) { return from_document(read_json(paths[0])); }});
  list.push_back({"gpt-2 from tokenizer.json", "gpt-2", {"gpt2/vocab.json", "gpt2/merges.txt"},
                  [](const auto& paths) {
                    return from_document(
                        document_of_files(paths[0], paths[1], byte_level(), false));
                  }});
  list.push_back({"llama-bpe from tokenizer.json", "llama-bpe",
                  {"llama3.2/encoder.json", "llama3.2/vocab.bpe"}, [](const auto& paths) {
                    return from_document(
                        document_of_files(paths[0], paths[1], llama3_pre_tokenizer(), true));
                  }});
  return list;
}

std::vector<std::string> split_cases(const std::string& text) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> cases;
  size_t from = 0;
  for (size_t at; (at = text.find(separator, from)) != std::string::npos;) {
    cases.push_back(text.substr(from, at - from));
    from = at + separator.size();
  }
  return cases;
}

class LlamaCppVectors : public ::testing::TestWithParam<Vector> {};

TEST_P(LlamaCppVectors, IdsAreEqual) {
  const std::string base = "tokenizers/vectors/ggml-vocab-" + GetParam().cases + ".gguf";
  const std::string inputs = data_path(base + ".inp"), outputs = data_path(base + ".out");
  std::vector<std::string> paths;
  for (const std::string& file : GetParam().files) paths.push_back(data_path("tokenizers/" + file));
  for (const std::string& path : paths) {
    if (path.empty() || inputs.empty() || outputs.empty()) {
      GTEST_SKIP() << "AWQ_DATA does not name a folder with tokenizers/";
    }
  }
  const Tokenizer tokenizer = GetParam().load(paths);
  const std::vector<std::string> texts = split_cases(read_text(inputs));
  ASSERT_EQ(texts.size(), 46u);
  std::istringstream lines(read_text(outputs));
  for (const std::string& text : texts) {
    std::string line;
    ASSERT_TRUE(std::getline(lines, line));
    std::istringstream numbers(line);
    std::vector<TokenId> expected;
    for (TokenId id; numbers >> id;) expected.push_back(id);
    const auto ids = encode(tokenizer, text, {.add_special = false, .parse_special = false});
    EXPECT_EQ(ids, expected) << printable(text);
    EXPECT_EQ(stream(tokenizer, ids, false), tokenizer.decode(ids, false));
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizer, LlamaCppVectors, ::testing::ValuesIn(vectors()),
                         [](const auto& param) {
                           std::string name = param.param.name;
                           for (char& c : name) {
                             if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                           }
                           return name;
                         });

// --- The Hugging Face tokenizers library -----------------------------------------------------------

void expect_cases(const Tokenizer& tokenizer, const Json& golden) {
  for (const Json& entry : golden.at("cases")) {
    const std::string text = entry.contains("hex")
                                 ? bytes_of_hex(entry.at("hex").get<std::string>())
                                 : entry.at("text").get<std::string>();
    const auto expected = entry.at("ids").get<std::vector<TokenId>>();
    const auto ids = encode(tokenizer, text, {.add_special = false, .parse_special = true});
    EXPECT_EQ(ids, expected) << printable(text);
    EXPECT_EQ(tokenizer.decode(expected), entry.at("decoded").get<std::string>());
    EXPECT_EQ(stream(tokenizer, expected, true), entry.at("decoded").get<std::string>());
    const auto plain = entry.contains("plain_ids")
                           ? entry.at("plain_ids").get<std::vector<TokenId>>() : expected;
    EXPECT_EQ(encode(tokenizer, text, {.add_special = false, .parse_special = false}), plain)
        << "plain: " << printable(text);
  }
}

void expect_corpus(const Tokenizer& tokenizer, const Json& expected, bool lossless) {
  const std::string path = data_path("wikitext2/wiki.test.raw");
  if (path.empty()) GTEST_SKIP() << "AWQ_DATA does not name a folder with wikitext2/";
  const std::string text = read_text(path);
  const auto ids = encode(tokenizer, text, {.add_special = false, .parse_special = true});
  EXPECT_EQ(ids.size(), expected.at("count").get<size_t>());
  EXPECT_EQ(fnv1a(ids), std::stoull(expected.at("fnv1a").get<std::string>(), nullptr, 16));
  EXPECT_EQ(tokenizer.decode(ids) == text, lossless);
}

// A megabyte of one character.
void expect_runs(const Tokenizer& tokenizer, const Json& runs) {
  for (const Json& run : runs) {
    const auto unit = run.at("unit").get<std::string>();
    std::string text;
    for (size_t i = 0; i < run.at("times").get<size_t>(); ++i) text += unit;
    const auto ids = encode(tokenizer, text, {.add_special = false, .parse_special = true});
    EXPECT_EQ(ids.size(), run.at("count").get<size_t>()) << printable(unit);
    EXPECT_EQ(fnv1a(ids), std::stoull(run.at("fnv1a").get<std::string>(), nullptr, 16))
        << printable(unit);
  }
}

TEST(TokenizerGolden, SmolLm2) {
  const std::string path = testing::smollm2_path();
  if (path.empty()) GTEST_SKIP() << "AWQ_SMOLLM2 is not set; tools/fetch_smollm2.sh prints it";
  const Tokenizer tokenizer = testing::load_gguf(path);
  const Json golden = read_golden("smollm2.json");
  expect_cases(tokenizer, golden);
  const Tokenizer exported = from_document(tokenizer.export_tokenizer_json());
  expect_cases(exported, golden);
  expect_runs(tokenizer, golden.at("runs"));
  expect_corpus(tokenizer, golden.at("wikitext2"), true);
}

TEST(TokenizerGolden, TinyStories) {
  const std::string path = data_path("models/TinyStories-656K/tokenizer.json");
  if (path.empty()) GTEST_SKIP() << "AWQ_DATA does not name a folder with models/TinyStories-656K";
  const Tokenizer tokenizer = from_document(read_json(path));
  const Json golden = read_golden("tinystories.json");
  expect_cases(tokenizer, golden);
  expect_runs(tokenizer, golden.at("runs"));
  expect_corpus(tokenizer, golden.at("wikitext2"), false);  // "=" is unknown
}

// Every normalizer, pre-tokenizer, decoder and option of the model, one at a time.
TEST(TokenizerGolden, Components) {
  const Json golden = read_golden("components.json");
  const auto texts = golden.at("texts").get<std::vector<std::string>>();
  for (const Json& entry : golden.at("cases")) {
    SCOPED_TRACE(entry.at("name").get<std::string>());
    Json document = entry;
    document["model"] = golden.at("models").at(entry.at("model").get<std::string>());
    document["model"].update(entry.at("options"));
    const Tokenizer tokenizer = from_document(document);
    const EncodeOptions options{.add_special = false, .parse_special = true};
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto ids = entry.at("ids").at(i).get<std::vector<TokenId>>();
      EXPECT_EQ(encode(tokenizer, texts[i], options), ids) << printable(texts[i]);
      if (entry.at("decoded").is_null()) continue;
      const auto decoded = entry.at("decoded").at(i).get<std::string>();
      EXPECT_EQ(tokenizer.decode(ids, false), decoded) << printable(texts[i]);
      EXPECT_EQ(stream(tokenizer, ids, false), decoded) << printable(texts[i]);
    }
  }
}

}  // namespace
}  // namespace awq
