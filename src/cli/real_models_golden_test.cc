// Real models on real text, against Hugging Face transformers' figures (data/golden/README.md), and
// AWQ against plain rounding. Skipped where the models or texts are absent.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/program_under_test.h"

namespace awq::testing {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string wikitext() { return path_join(environment("AWQ_DATA"), "wikitext2/wiki.test.raw"); }
std::string tinystories() { return path_join(environment("AWQ_DATA"), "models/TinyStories-656K"); }
std::string smollm2() { return environment("AWQ_SMOLLM2"); }

Json golden(const std::string& name) {
  const auto json = read_json_file(path_join(AWQ_SOURCE_DIR, cat("data/golden/", name)));
  AWQ_CHECK(json.ok(), json.error().message);
  return *json;
}

Json run_json(std::vector<std::string> words) {
  words.push_back("--json");
  const ProgramResult run = run_awq(words);
  EXPECT_EQ(run.exit_code, 0) << run.err;
  const auto json = parse_json(run.out, "stdout");
  return json.ok() ? *json : Json::object();
}

#define NEEDS(path)                                                                  \
  if (path.empty() || !std::filesystem::exists(path)) {                              \
    GTEST_SKIP() << #path << " is not here: set AWQ_DATA and AWQ_SMOLLM2 (README.md)"; \
  }

void expect_windows(const std::string& model, const Json& expected, int64_t windows) {
  const Json got = run_json({"perplexity", model, "--text", wikitext(), "--protocol", "wikitext2",
                             "--max-windows", cat(windows)});
  ASSERT_EQ(got["nll_per_window"].size(), static_cast<size_t>(windows));
  EXPECT_EQ(got["window"], expected["window"]);
  double largest = 0, sum = 0;
  for (size_t i = 0; i < static_cast<size_t>(windows); ++i) {
    const double ours = got["nll_per_window"][i], theirs = expected["nll_per_window"][i];
    const double difference = std::fabs(std::expm1(ours - theirs));
    EXPECT_LT(difference, 1e-3) << "perplexity of window " << i;
    largest = std::max(largest, difference);
    sum += theirs;
  }
  std::printf("%lld windows: perplexity %.5f, transformers %.5f; largest difference of a window "
              "%.6f%%\n", static_cast<long long>(windows), got["ppl"].get<double>(),
              std::exp(sum / static_cast<double>(windows)), 100 * largest);
}

TEST(RealModels, TinyStoriesPerplexityEqualsTransformersInEveryWindow) {
  NEEDS(wikitext());
  NEEDS(tinystories());
  const Json expected = golden("ppl_tinystories.json");
  expect_windows(tinystories(), expected, expected["nll_per_window"].size());
}

TEST(RealModels, SmolLM2PerplexityEqualsTransformersInTheFirstWindows) {
  NEEDS(wikitext());
  NEEDS(smollm2());
  const Json expected = golden("ppl_smollm2.json");
  const bool all = !environment("AWQ_ALL_WINDOWS").empty();  // minutes: docs/results.md
  expect_windows(smollm2(), expected, all ? expected["nll_per_window"].size() : 2);
}

void expect_ids(const Json& got, const Json& expected) {
  const size_t count = expected["ids_until_eos"];
  ASSERT_GE(got["ids"].size(), count);
  for (size_t i = 0; i < count; ++i) EXPECT_EQ(got["ids"][i], expected["ids"][i]) << "token " << i;
}

TEST(RealModels, TinyStoriesGreedyTokensEqualTransformers) {
  NEEDS(tinystories());
  const Json expected = golden("generate_tinystories.json");
  const Json got = run_json({"generate", tinystories(), "-p", expected["prompt"], "--temp", "0",
                             "-n", cat(expected["ids"].size())});
  EXPECT_EQ(got["prompt_ids"], expected["prompt_ids"]);
  expect_ids(got, expected);
}

TEST(RealModels, SmolLM2AnswersWithTransformersTokens) {
  NEEDS(smollm2());
  const Json expected = golden("generate_smollm2.json");
  const Json got = run_json({"chat", smollm2(), "-p", expected["user_message"], "--temp", "0"});
  expect_ids(got, expected);
  EXPECT_EQ(got["text"], expected["text_until_eos"]);
}

struct Loss {
  double ppl, kl;
};

Loss loss_of(const std::string& model, const std::vector<std::string>& options, int64_t windows) {
  const Folder folder;
  std::vector<std::string> words = {"quantize", model, "-o", folder / "out", "--group", "64"};
  words.insert(words.end(), options.begin(), options.end());
  run_json(words);
  const Json compare = run_json({"compare", model, folder / "out", "--text", wikitext(),
                                 "--protocol", "wikitext2", "--max-windows", cat(windows)});
  return {compare["ppl"], compare["kl_mean"]};
}

// Its tokenizer fuses what it does not know: the 31st word has no token of its own.
TEST(RealModels, WordsThatMergeIntoTheirContextAreScored) {
  NEEDS(tinystories());
  const std::string tasks = path_join(environment("AWQ_DATA"), "tasks/lambada_openai.jsonl");
  NEEDS(tasks);
  const Json rows = run_json({"eval", tinystories(), "--tasks", tasks, "--limit", "40"});
  EXPECT_EQ(rows[0]["chosen"].size(), 40u);
}

TEST(RealModels, AwqLosesLessThanRoundingOnTinyStories) {
  NEEDS(wikitext());
  NEEDS(tinystories());
  const Loss awq = loss_of(tinystories(), {"--bits", "3", "--method", "awq"}, 64);
  const Loss rtn = loss_of(tinystories(), {"--bits", "3", "--method", "rtn"}, 64);
  EXPECT_LT(awq.kl, rtn.kl);
}

TEST(RealModels, AwqLosesLessThanRoundingOnSmolLM2) {
  NEEDS(wikitext());
  NEEDS(smollm2());
  const std::string text = path_join(environment("AWQ_DATA"), "calibration/wiki.utf8");
  const Loss awq = loss_of(
      smollm2(), {"--bits", "3", "--method", "awq", "--calib", text, "--calib-samples", "8"}, 1);
  const Loss rtn = loss_of(smollm2(), {"--bits", "3", "--method", "rtn"}, 1);
  EXPECT_LT(awq.ppl, rtn.ppl);
  EXPECT_LT(awq.kl, rtn.kl);
}

}  // namespace
}  // namespace awq::testing
