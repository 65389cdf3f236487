// The way of a user: quantize a checkpoint, measure it, run it. On a tiny random model.
#include <map>

#include "cli/program_under_test.h"

namespace awq::testing {
namespace {

class Verbs : public CheckpointTest {
 protected:
  static void SetUpTestSuite() {
    make_folder("float");
    quantized_ =
        run_awq({"quantize", path("float"), "-o", path("int4"), "--method", "awq", "--calib",
                 path("text.txt"), "--calib-samples", "16", "--calib-length", "64", "--json"});
  }

  // Runs and parses what it printed: one JSON document and nothing else.
  static Json json_of(const std::vector<std::string>& words) {
    const ProgramResult run = run_awq(words);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    const auto json = parse_json(run.out, "stdout");
    EXPECT_TRUE(json.ok()) << run.out;
    return json.ok() ? *json : Json();
  }

  static ProgramResult quantized_;
};
ProgramResult Verbs::quantized_;

void expect_keys(const Json& json, const std::vector<const char*>& keys) {
  for (const char* key : keys) EXPECT_TRUE(json.contains(key)) << key << " in " << dump_json(json);
}

TEST_F(Verbs, QuantizeReportsGroupsLossesAndCost) {
  ASSERT_EQ(quantized_.exit_code, 0) << quantized_.err;
  const auto report = parse_json(quantized_.out, "stdout");
  ASSERT_TRUE(report.ok());
  expect_keys(*report,
              {"groups", "linears", "seconds", "peak_rss_bytes", "options", "input_fingerprint"});
  ASSERT_EQ((*report)["groups"].size(), 8u);  // 2 layers of 4 fold groups
  for (const Json& group : (*report)["groups"]) {
    expect_keys(group, {"exponent", "loss_rounding", "loss_choice"});
    EXPECT_LE(group["loss_choice"].get<double>(), group["loss_rounding"].get<double>());
  }
  for (const Json& linear : (*report)["linears"]) {
    EXPECT_LE(linear["loss_clipped"].get<double>(), linear["loss_unclipped"].get<double>());
  }
  const auto file = read_json_file(path("int4/quantization_report.json"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(*file, *report);
  EXPECT_NE(quantized_.err.find("group 64"), std::string::npos) << "--group auto is said aloud";
}

TEST_F(Verbs, QuantizeDoesAwqUnlessAnotherWayIsNamed) {
  const auto quality = [](const std::vector<std::string>& more) {
    std::vector<std::string> words = {"quantize", path("float"), "-o", path("way"), "--calib",
                                      path("text.txt"), "--calib-samples", "16", "--calib-length",
                                      "64", "--overwrite", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    const Json options = json_of(words)["options"];
    return cat(options["method"].get<std::string>(), ", ", options["quality"].get<std::string>());
  };
  EXPECT_EQ(quality({}), "awq, standard");
  EXPECT_EQ(quality({"--method", "gptq"}), "gptq, standard");
  EXPECT_EQ(quality({"--quality", "best"}), "awq+gptq, best");
  EXPECT_EQ(quality({"--method", "awq+gptq", "--quality", "best"}), "awq+gptq, best");
  EXPECT_EQ(quality({"--quality", "standard"}), "awq, standard");
}

TEST_F(Verbs, InspectTellsFloatFromPacked) {
  const Json plain = json_of({"inspect", path("float"), "--json"});
  expect_keys(plain, {"family", "parameters", "layers", "hidden", "heads", "kv_heads", "ffn",
                      "vocab", "context", "quantization", "bytes"});
  EXPECT_EQ(plain["quantization"], "F32");
  uint64_t parts = 0;
  for (const Json& bytes : plain["bytes_by_part"]) parts += bytes.get<uint64_t>();
  EXPECT_GT(parts, plain["parameters"].get<uint64_t>() * 4 - 1) << "every tensor is of a part";
  EXPECT_FALSE(plain["bytes_by_part"].contains("other"));
  EXPECT_EQ(plain["fold_groups"].size(), 4u);
  const ProgramResult text = run_awq({"inspect", path("float")});
  for (const char* said : {"attention of RMSNorm", "fold groups", "4 bits", "KV cache"}) {
    EXPECT_NE(text.out.find(said), std::string::npos) << said;
  }
  EXPECT_EQ(json_of({"inspect", path("int4"), "--json"})["quantization"], "awq INT4-g64");
}

TEST_F(Verbs, CompareAgreesWithPerplexity) {
  const std::vector<std::string> text = {"--text", path("text.txt"), "--window", "128", "--json"};
  std::vector<std::string> words = {"perplexity", path("int4")};
  words.insert(words.end(), text.begin(), text.end());
  const Json perplexity = json_of(words);
  expect_keys(perplexity, {"ppl", "ppl_stderr", "nll_per_window", "windows", "window", "tokens",
                           "tokens_per_second"});
  EXPECT_EQ(perplexity["window"], 128);
  words = {"compare", path("float"), path("int4")};
  words.insert(words.end(), text.begin(), text.end());
  const Json compare = json_of(words);
  expect_keys(compare, {"kl_mean", "kl_p99", "kl_max", "top1_agreement", "ppl_reference", "ppl"});
  EXPECT_NEAR(compare["ppl"].get<double>() / perplexity["ppl"].get<double>(), 1, 1e-5);
  EXPECT_GT(compare["kl_mean"].get<double>(), 0);
  words[2] = path("float");
  const Json same = json_of(words);
  EXPECT_EQ(same["kl_max"], 0.0);
  EXPECT_EQ(same["top1_agreement"], 1.0);
}

TEST_F(Verbs, GenerateIsDeterministicAndStreamsWhatJsonHolds) {
  const std::vector<std::string> words = {"generate", path("int4"), "-p", "the weights", "-n",
                                          "12",       "--temp",     "1",  "--seed",      "5"};
  std::vector<std::string> json_words = words;
  json_words.insert(json_words.end(), {"--json", "--logprobs", "3"});
  const Json json = json_of(json_words);
  expect_keys(json, {"text", "ids", "finish_reason", "logprobs"});
  EXPECT_EQ(json["logprobs"].size(), json["ids"].size());
  EXPECT_EQ(json_of(json_words)["ids"], json["ids"]);
  const ProgramResult plain = run_awq(words);
  EXPECT_EQ(plain.exit_code, 0);
  EXPECT_EQ(plain.out, json["text"].get<std::string>() + "\n");
  EXPECT_EQ(json["prompt_ids"].size(), 11u);
}

TEST_F(Verbs, TokenizeCountsAndRoundTrips) {
  const Json json = json_of({"tokenize", path("float"), "a<|end|>", "--json"});
  EXPECT_EQ(json["ids"], Json({97, 256}));
  EXPECT_EQ(json["count"], 2);
  const Json plain = json_of({"tokenize", path("float"), "a<|end|>", "--plain", "--json"});
  EXPECT_EQ(plain["count"], 8);
  EXPECT_EQ(
      json_of({"tokenize", path("float"), "--text-file", path("text.txt"), "--json"})["count"],
      static_cast<int64_t>(read_file(path("text.txt"))->size()));
}

TEST_F(Verbs, BenchQuantizeMeasuresModelsAndRemovesWhatItWrote) {
  const std::string scratch = path("scratch");
  std::filesystem::create_directory(scratch);
  const Json rows = json_of({"bench", "quantize", path("float"), path("float"), "--group", "32",
                             "--calib-samples", "4", "--calib-length", "64", "--scratch", scratch,
                             "--json"});
  ASSERT_EQ(rows.size(), 2u);
  for (const Json& row : rows) {
    expect_keys(row, {"name", "parameters", "seconds", "seconds_per_billion", "block_bytes",
                      "activation_bytes", "predicted_rss_bytes", "peak_rss_bytes", "phases", "machine"});
    EXPECT_EQ(row["tokens"], 256);
    EXPECT_LE(row["peak_rss_bytes"].get<uint64_t>(), row["predicted_rss_bytes"].get<uint64_t>());
  }
  EXPECT_TRUE(std::filesystem::is_empty(scratch));
  EXPECT_EQ(run_awq({"bench", "quantize"}).exit_code, 2);
  EXPECT_EQ(run_awq({"bench", "quantize", "--synthetic", "llama-9"}).exit_code, 2);
}

TEST_F(Verbs, QuantizeTimesAShapeOfRandomWeights) {
  const std::vector<std::string> words = {"quantize", "--synthetic", "tinyllama-1.1b", "--layers", "2",
                                          "--method", "rtn", "--device", "cpu"};
  std::vector<std::string> json_words = words;
  json_words.push_back("--json");
  const Json json = json_of(json_words);
  expect_keys(json, {"synthetic", "seconds", "seconds_per_layer", "seconds_of_all_layers",
                     "peak_device_bytes", "peak_rss_bytes", "output_bytes", "machine"});
  EXPECT_EQ(json["weights"], "random");
  EXPECT_EQ(json["layers"], 2);
  EXPECT_EQ(json["layers_of_shape"], 22);
  EXPECT_TRUE(json["output"].is_null());
  EXPECT_NEAR(json["seconds_of_all_layers"].get<double>(),
              json["seconds"]["total"].get<double>() + 20 * json["seconds_per_layer"].get<double>(),
              1e-6);
  const ProgramResult plain = run_awq(words);
  EXPECT_EQ(plain.exit_code, 0) << plain.err;
  for (const char* word : {"random weights", "2 of 22 layers", "extrapolated", "dropped"}) {
    EXPECT_NE(plain.out.find(word), std::string::npos) << word << " in: " << plain.out;
  }
}

TEST_F(Verbs, EvalTakesSolvedExamples) {
  ASSERT_TRUE(write_file(path("task.jsonl"),
                         "{\"query\": \"a\", \"choices\": [\"b\", \"c\"], \"gold\": 0}\n"
                         "{\"query\": \"d\", \"choices\": [\"e\", \"f\"], \"gold\": 1}\n").ok());
  const Json rows = json_of({"eval", path("float"), "--tasks", path("task.jsonl"), "--shots", "1", "--json"});
  EXPECT_EQ(rows[0]["items"], 1);
  EXPECT_EQ(rows[0]["shots"], 1);
  const ProgramResult none = run_awq({"eval", path("float"), "--tasks", path("task.jsonl"), "--shots", "2"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_NE(none.err.find("--shots 2 of 2 items"), std::string::npos) << none.err;
}

TEST_F(Verbs, ChatAnswersOneShotAndFromAPipe) {
  const std::vector<std::string> words = {"chat", path("int4"), "-n", "8", "--temp", "0"};
  std::vector<std::string> one_shot = words;
  one_shot.insert(one_shot.end(), {"-p", "hello", "--json"});
  const Json json = json_of(one_shot);
  expect_keys(json, {"text", "ids", "finish_reason"});
  RunOptions options;
  options.input = "hello";
  const ProgramResult piped = run_awq(words, options);
  EXPECT_EQ(piped.exit_code, 0) << piped.err;
  EXPECT_NE(piped.err.find("tokens/s"), std::string::npos) << "speed goes to stderr";
}

TEST_F(Verbs, BenchReportsTheRoofOfTheSameRun) {
  const Json json = json_of({"bench", path("int4"), "-p", "16", "-n", "8", "-r", "2", "--json"});
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[0]["test"], "pp16");
  EXPECT_EQ(json[1]["test"], "tg8");
  for (const Json& entry : json) {
    expect_keys(entry, {"tokens_per_second", "ms_per_token", "stddev", "bytes_per_token",
                        "gb_per_second", "roof_gb_per_second", "percent_of_roof", "plan"});
    EXPECT_GT(entry["tokens_per_second"].get<double>(), 0);
  }
  const Json together =
      json_of({"bench", path("int4"), "-p", "0", "-n", "4", "-b", "3", "-r", "1", "--json"});
  ASSERT_EQ(together.size(), 1u);
  EXPECT_EQ(together[0]["test"], "tg4x3");
  EXPECT_NEAR(together[0]["bytes_per_token"].get<double>() * 3,
              json[1]["bytes_per_token"].get<double>(), 1);
}

TEST_F(Verbs, BenchTablesSplitsAndGuesses) {
  const std::vector<std::string> words = {"bench", path("int4"), "-p", "0", "-n", "6", "-r", "1"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), words.begin(), words.end());
    return more;
  };
  const ProgramResult csv = run_awq(with({"--output", "csv"}));
  EXPECT_EQ(csv.exit_code, 0) << csv.err;
  const std::string header = csv.out.substr(0, csv.out.find('\n'));
  const std::string line = csv.out.substr(header.size() + 1);
  EXPECT_EQ(header.rfind("model,device,backend,weights,test,plan,tokens_per_second", 0), 0u) << header;
  EXPECT_NE(line.find(",tg6,"), std::string::npos) << line;
  const Json split = json_of(with({"--output", "json", "--profile", "--depth", "20", "--kv-cache-dtype",
                                   "int8"}));
  ASSERT_EQ(split.size(), 1u);
  EXPECT_EQ(split[0]["test"], "tg6@d20");
  EXPECT_GT(split[0]["barriers_per_token"].get<double>(), 0);
  if (split[0]["plan"] == "phases") {
    std::vector<std::string> parts;
    for (const Json& part : split[0]["profile"]) parts.push_back(part["part"]);
    for (const char* name : {"rope, attention", "norm, gate, up", "norm, head"}) {
      EXPECT_EQ(std::count(parts.begin(), parts.end(), name), 1) << name;
    }
  }
  const Json guesses = json_of({"bench", path("int4"), "-p", "40", "-n", "20", "-r", "2", "--draft",
                                path("float"), "--text", path("text.txt"), "--json"});
  ASSERT_EQ(guesses.size(), 2u);
  EXPECT_EQ(guesses[1]["test"], "text20+guesses");
  expect_keys(guesses[1], {"guessed", "accepted", "acceptance", "tokens_per_pass", "gain"});
  EXPECT_GE(guesses[1]["tokens_per_pass"].get<double>(), 1);
  EXPECT_EQ(run_awq(with({"--draft", "ngram"})).exit_code, 2) << "wants a text";
  EXPECT_EQ(run_awq(with({"--output", "xml"})).exit_code, 2);
}

TEST_F(Verbs, GuessesDoNotChangeTheAnswer) {
  const std::vector<std::string> words = {"generate", path("int4"), "-p", "the cat and the cat", "-n",
                                          "40", "--json"};
  const Json plain = json_of(words);
  EXPECT_EQ(plain["guessed"], 0);
  for (const std::string& draft : {std::string("ngram"), path("float")}) {
    auto more = words;
    more.insert(more.end(), {"--draft", draft, "--draft-tokens", "7"});
    const Json guessed = json_of(more);
    EXPECT_EQ(guessed["ids"], plain["ids"]) << draft;
    EXPECT_GT(guessed["guessed"].get<int>(), 0) << draft;
  }
  for (const char* type : {"f32", "int8"}) {
    auto more = words;
    more.insert(more.end(), {"--kv-cache-dtype", type});
    EXPECT_FALSE(json_of(more)["ids"].empty());
  }
}

TEST_F(Verbs, EveryMethodBitWidthAndGroupRunsPacked) {
  const Json bytes = json_of({"inspect", path("float"), "--json"})["bytes"];
  struct Width {
    const char* bits;
    double kl_bound;  // three times the largest that was measured
  };
  std::map<std::string, double> kl_of_fewer_bits;
  for (const auto& [bits, kl_bound] : {Width{"2", 4.0}, {"3", 1.4}, {"4", 0.31}, {"8", 1e-3}}) {
    for (const char* group : {"32", "64", "none"}) {
      for (const bool symmetric : {false, true}) {
        const std::string out = path(cat("m", bits, group, symmetric));
        std::vector<std::string> words = {"quantize", path("float"), "-o", out,       "--method",
                                          "rtn",      "--bits",      bits, "--group", group};
        if (symmetric) words.push_back("--sym");
        const ProgramResult run = run_awq(words);
        ASSERT_EQ(run.exit_code, 0) << dump_json(Json(words)) << run.err;
        const Json compare = json_of({"compare", path("float"), out, "--text", path("text.txt"),
                                      "--window", "64", "--max-windows", "4", "--json"});
        EXPECT_LT(compare["bytes"].get<int64_t>(), bytes.get<int64_t>());
        const double kl = compare["kl_mean"].get<double>();
        EXPECT_LT(kl, kl_bound) << dump_json(Json(words));
        const auto [fewer, first] = kl_of_fewer_bits.try_emplace(cat(group, symmetric), kl);
        if (!first) {
          EXPECT_LT(kl, fewer->second) << dump_json(Json(words));
        }
        fewer->second = kl;
      }
    }
  }
}

TEST_F(Verbs, GptqBeatsRoundingAndMixedBitsRun) {
  const auto kl_of = [&](const std::string& name, const std::vector<std::string>& how) {
    std::vector<std::string> words = {"quantize",        path("float"), "-o",           path(name),
                                      "--calib",         path("text.txt"), "--calib-samples", "32",
                                      "--calib-length", "64",           "--group",      "32"};
    words.insert(words.end(), how.begin(), how.end());
    const ProgramResult run = run_awq(words);
    EXPECT_EQ(run.exit_code, 0) << dump_json(Json(words)) << run.err;
    const Json compare = json_of({"compare", path("float"), path(name), "--text", path("text.txt"),
                                  "--window", "64", "--max-windows", "8", "--json"});
    return compare["kl_mean"].get<double>();
  };
  const double rtn = kl_of("k-rtn", {"--bits", "3", "--method", "rtn"});
  EXPECT_LT(kl_of("k-gptq", {"--bits", "3", "--method", "gptq"}), 0.8 * rtn);
  EXPECT_LT(kl_of("k-order", {"--bits", "3", "--method", "gptq", "--act-order"}), 0.8 * rtn);
  EXPECT_LT(kl_of("k-both", {"--bits", "3", "--method", "awq+gptq"}), 0.8 * rtn);
  const auto report = read_json_file(path("k-both/quantization_report.json"));
  ASSERT_TRUE(report.ok());
  for (const Json& linear : (*report)["linears"]) {
    EXPECT_LE(linear["loss_gptq"].get<double>(), linear["loss_nearest"].get<double>());
  }
  const double mixed = kl_of("k-mixed", {"--bits", "down=4,0.v=8,*=3", "--keep", "1.o",
                                         "--method", "gptq"});
  EXPECT_LT(mixed, rtn);
  EXPECT_EQ(json_of({"inspect", path("k-mixed"), "--json"})["quantization"],
            "gptq INT3-g32, mixed");
}

TEST_F(Verbs, DoctorShowsWhatThereIs) {
  const Json json = json_of({"doctor", "--json"});
  expect_keys(json, {"cpu", "cpu_backends", "cuda_architectures", "cuda_driver", "cuda_devices"});
  if (json["cuda_devices"].empty()) {
    EXPECT_TRUE(json.contains("cuda_problem"));
    const ProgramResult asked = run_awq({"generate", path("float"), "-p", "a", "--device", "cuda"});
    EXPECT_EQ(asked.exit_code, 5) << "asked for by name: no silent fallback";
    EXPECT_NE(asked.err.find("CUDA"), std::string::npos) << asked.err;
  }
  EXPECT_EQ(run_awq({"generate", path("float"), "-p", "a", "-n", "2", "--device", "cpu"}).exit_code,
            0);
}

TEST_F(Verbs, DevicesThatDoNotExist) {
  for (const char* name : {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", ""}) {
    const ProgramResult run = run_awq({"bench", path("float"), "--device", name});
    EXPECT_EQ(run.exit_code, 2) << name;
    EXPECT_NE(run.err.find("choose auto, cpu, cuda"), std::string::npos) << run.err;
  }
  EXPECT_EQ(run_awq({"bench", path("float"), "--max-vram", "much"}).exit_code, 2);
}

TEST_F(Verbs, BenchTakesAModelOrAShape) {
  EXPECT_EQ(run_awq({"bench"}).exit_code, 2);
  EXPECT_EQ(run_awq({"bench", path("float"), "--synthetic", "llama-2-7b"}).exit_code, 2);
  EXPECT_EQ(run_awq({"bench", "--synthetic", "llama-9"}).exit_code, 2);
  EXPECT_EQ(run_awq({"bench", "--synthetic", "llama-2-7b", "--bits", "5"}).exit_code, 2);
}

TEST_F(Verbs, ReportMakesATable) {
  const Json bench = json_of({"bench", path("int4"), "-p", "0", "-n", "4", "-r", "1", "--json"});
  ASSERT_TRUE(write_file(path("bench.json"), dump_json(bench)).ok());
  const ProgramResult run = run_awq(
      {"report", cat("INT4=", path("bench.json"), ",", path("int4/quantization_report.json"))});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("| INT4"), std::string::npos) << run.out;
}

}  // namespace
}  // namespace awq::testing
