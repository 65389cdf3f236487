// What the program refuses, and how: exit codes, messages, and what is left on disk. The rows CL of
// the test matrix.
#include <sys/stat.h>

#include <random>

#include "cli/program_under_test.h"

namespace awq::testing {
namespace {

class Refusals : public CheckpointTest {
 protected:
  static void SetUpTestSuite() {
    make_folder("model");
  }

  // The run must end with `code` and say all of `words` on stderr, and nothing on stdout.
  static void expect_refused(int code, const std::vector<std::string>& arguments,
                             const std::vector<std::string>& words) {
    const ProgramResult run = run_awq(arguments);
    EXPECT_EQ(run.exit_code, code) << dump_json(Json(arguments)) << "\n" << run.err;
    EXPECT_EQ(run.out, "");
    for (const std::string& word : words) {
      EXPECT_NE(run.err.find(word), std::string::npos) << word << " in: " << run.err;
    }
  }
};

TEST_F(Refusals, CL01_HelpAndSuggestions) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{}, {"--help"}, {"-h"}, {"quantize", "--help"}}) {
    const ProgramResult run = run_awq(words);
    EXPECT_EQ(run.exit_code, 0);
    EXPECT_NE(run.out.find("awq quantize"), std::string::npos) << run.out;
  }
  for (const char* verb : {"inspect", "quantize", "perplexity", "compare", "generate", "chat",
                           "bench", "tokenize", "report"}) {
    const ProgramResult run = run_awq({verb, "--help"});
    EXPECT_EQ(run.exit_code, 0);
    EXPECT_NE(run.out.find(cat("Example")), std::string::npos) << verb;
  }
  expect_refused(2, {"quantise", "x"}, {"did you mean quantize?"});
  expect_refused(2, {"quantize", path("model"), "--metod", "rtn"}, {"did you mean --method?"});
  expect_refused(2, {"chat"}, {"MODEL"});
}

TEST_F(Refusals, SyntheticShapesToQuantize) {
  const std::string shape = "tinyllama-1.1b";
  expect_refused(2, {"quantize"}, {"MODEL", "--synthetic"});
  expect_refused(2, {"quantize", "--synthetic", "llama-9"}, {"llama-9", "llama-3-8b"});
  expect_refused(2, {"quantize", "--synthetic", shape, "--layers", "0"}, {"--layers"});
  expect_refused(2, {"quantize", "--synthetic", shape, "--layers", "23"}, {"23", "22"});
  expect_refused(2, {"quantize", path("model"), "--synthetic", shape}, {"MODEL", "not both"});
  expect_refused(2, {"quantize", path("model"), "-o", path("x"), "--layers", "2"}, {"--synthetic"});
  for (const char* flag : {"--resume", "--calib=x", "--target-bpw=4"}) {
    expect_refused(2, {"quantize", "--synthetic", shape, flag}, {"random weights"});
  }
  expect_refused(5, {"quantize", "--synthetic", shape, "--layers", "1", "--max-ram", "1MB"},
                 {"--max-ram"});
}

TEST_F(Refusals, CL02_ValuesOutsideTheSet) {
  expect_refused(2, {"quantize", path("model"), "-o", path("x"), "--max-ram", ""}, {"--max-ram", "missing"});
  expect_refused(2, {"quantize", path("model"), "-o", path("x"), "--target-bpw", "nan"}, {"--target-bpw", "nan"});
  expect_refused(2, {"quantize", path("model"), "-o", path("x"), "--bits", "5"}, {"--bits", "2, 3, 4 or 8"});
  expect_refused(2, {"quantize", path("model"), "-o", path("x"), "--group", "7"}, {"--group", "64"});
  for (const char* threads : {"0", "-1", "99999"}) {
    expect_refused(2, {"bench", path("model"), "--threads", threads}, {"--threads"});
  }
  expect_refused(2, {"bench", path("model"), "--backend", "mmx"}, {"mmx", "scalar"});
  expect_refused(2, {"bench", path("model"), "--temp", "nan"}, {"--temp"});
  expect_refused(2, {"bench", path("model"), "--repeat-penalty", "nan"}, {"--repeat-penalty"});
  expect_refused(2, {"bench", path("model"), "--draft", "ngram", "--text", "t", "--temp", "1"}, {"--draft", "--temp"});
  expect_refused(2, {"generate", path("model"), "-p", "a", "--temp", "nan"}, {"--temp"});
  expect_refused(2, {"generate", path("model"), "-p", "a", "--top-p", "1.5"}, {"--top-p"});
  expect_refused(2, {"generate", path("model"), "-p", "a", "-n", "0"}, {"--max-tokens"});
  expect_refused(2, {"generate", path("model"), "-p", "a", "--draft-tokens", "8"}, {"--draft-tokens"});
  expect_refused(2, {"chat", path("model"), "-p", "a", "--kv-cache-dtype", "int4"},
                 {"--kv-cache-dtype", "int8"});
  expect_refused(3, {"generate", path("model"), "-p", "a", "--draft", path("nowhere")}, {"nowhere"});
  expect_refused(2, {"generate", path("model"), "-p", std::string(300, 'a')}, {"300 tokens", "256"});
  expect_refused(2, {"quantize", path("model"), "-o", path("x"), "--max-ram", "12 parsecs"},
                 {"900MB"});
  EXPECT_FALSE(directory_exists(path("x")));
}

TEST_F(Refusals, CL03_StdoutThatCannotBeWritten) {
  RunOptions full;
  full.stdout_path = "/dev/full";
  const ProgramResult run = run_awq({"inspect", path("model"), "--json"}, full);
  EXPECT_EQ(run.exit_code, 5) << run.err;
  EXPECT_NE(run.err.find("stdout"), std::string::npos) << run.err;
  EXPECT_NE(run_awq({"--help"}, full).exit_code, 0);
  EXPECT_NE(run_awq({"generate", path("model"), "-p", "a", "-n", "4"}, full).exit_code, 0);
}

TEST_F(Refusals, CL06_PathsOfAnyKind) {
  for (const std::string name : {"a b", "ünï", "new\nline", "-dash"}) {
    const std::string copy = path(name);
    std::filesystem::copy(path("model"), copy, std::filesystem::copy_options::recursive);
    EXPECT_EQ(run_awq({"inspect", copy, "--json"}).exit_code, 0) << name;
  }
  RunOptions inside;
  inside.directory = path("");
  EXPECT_EQ(run_awq({"inspect", "--json", "--", "-dash"}, inside).exit_code, 0);
  expect_refused(3, {"inspect", std::string(4096, 'x')}, {"xxx"});
  expect_refused(3, {"inspect", path("no\x1b[31mthing")}, {"\\x1b"});
  expect_refused(3, {"inspect", "/dev/zero"}, {"/dev/zero"});
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  expect_refused(3, {"inspect", path("fifo")}, {"fifo"});
}

TEST_F(Refusals, CL07_AnyEnvironment) {
  RunOptions bare;
  bare.environment = {"HOME=", "LANG=de_DE.UTF-8", "LC_ALL=de_DE.UTF-8", "TERM=dumb",
                      "TMPDIR=/nonexistent"};
  bare.directory = "/";
  const ProgramResult run =
      run_awq({"perplexity", path("model"), "--text", path("text.txt"), "--window", "64",
               "--max-windows", "2", "--json"}, bare);
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_TRUE(parse_json(run.out, "stdout").ok()) << run.out;
  EXPECT_EQ(run.err.find('\x1b'), std::string::npos);
}

TEST_F(Refusals, QuietStillSaysWhatWentWrong) {
  const ProgramResult run = run_awq({"-q", "inspect", path("nowhere")});
  EXPECT_EQ(run.exit_code, 3);
  EXPECT_NE(run.err.find("nowhere"), std::string::npos);
}

TEST_F(Refusals, InputsThatAreNoModel) {
  expect_refused(3, {"inspect", path("nowhere")}, {"nowhere"});
  expect_refused(3, {"inspect", path("text.txt")}, {"text.txt"});
  expect_refused(3, {"perplexity", path("model"), "--text", path("nowhere")}, {"nowhere"});
  ASSERT_TRUE(write_file(path("short.txt"), "a").ok());
  expect_refused(3, {"perplexity", path("model"), "--text", path("short.txt")}, {"short.txt"});
  expect_refused(3, {"quantize", path("model"), "-o", path("y"), "--calib", path("short.txt")},
                 {"short.txt", "--calib"});
  EXPECT_FALSE(directory_exists(path("y")));
  EXPECT_FALSE(directory_exists(path("y.partial")));
}

TEST_F(Refusals, WordsOfAModelDoNotDriveTheTerminal) {
  TinyOptions options;
  options.chat_template = "{{ raise_exception('\x1b[31mboo\x07') }}";
  write_tiny_checkpoint(path("hostile"), options);
  const ProgramResult run = run_awq({"chat", path("hostile"), "-p", "hi"});
  EXPECT_NE(run.exit_code, 0);
  EXPECT_NE(run.err.find("boo"), std::string::npos) << run.err;
  EXPECT_EQ(run.err.find('\x1b'), std::string::npos);
  EXPECT_EQ(run.err.find('\x07'), std::string::npos);
}

TEST_F(Refusals, QuantizedInputIsNotQuantizedAgain) {
  ASSERT_EQ(run_awq({"quantize", path("model"), "-o", path("rtn"), "--method", "rtn"}).exit_code, 0);
  expect_refused(3, {"quantize", path("rtn"), "-o", path("twice")}, {"already quantized"});
}

TEST_F(Refusals, OutputsThatExistOrAreInputs) {
  std::filesystem::create_directory(path("taken"));
  ASSERT_TRUE(write_file(path("taken/precious"), "1").ok());
  const std::vector<std::string> rtn = {"quantize", path("model"), "--method", "rtn", "-o"};
  const auto with = [&](std::vector<std::string> more) {
    std::vector<std::string> words = rtn;
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  expect_refused(2, with({path("taken")}), {"taken", "--overwrite"});
  ASSERT_TRUE(write_file(path("taken/config.json"), "{}").ok());
  expect_refused(2, with({path("taken"), "--overwrite"}), {"taken", "quantization_report.json"});
  ASSERT_EQ(run_awq(with({path("once")})).exit_code, 0);
  EXPECT_EQ(run_awq(with({path("once"), "--overwrite"})).exit_code, 0);
  ASSERT_TRUE(write_file(path("once/notes.txt"), "1").ok());
  expect_refused(2, with({path("once"), "--overwrite"}), {"notes.txt"});
  std::filesystem::remove(path("once/notes.txt"));
  // A model whose weights are links into OUT.
  std::filesystem::copy(path("model"), path("links"));
  std::filesystem::remove(path("links/model.safetensors"));
  std::filesystem::rename(path("once/model.safetensors"), path("once/model-old.safetensors"));
  std::filesystem::copy(path("model/model.safetensors"), path("once/model.safetensors"));
  std::filesystem::create_symlink("../once/model.safetensors", path("links/model.safetensors"));
  expect_refused(2, {"quantize", path("links"), "--method", "rtn", "-o", path("once"), "--overwrite"},
                 {"once", "input"});
  EXPECT_TRUE(file_exists(path("taken/precious")));
  expect_refused(2, with({path("model"), "--overwrite"}), {"model"});
  expect_refused(2, with({path("text.txt")}), {"text.txt"});
  EXPECT_TRUE(file_exists(path("model/model.safetensors")));
  EXPECT_NE(run_awq(with({"/proc/x"})).exit_code, 0);
}

TEST_F(Refusals, DryRunWritesNothingAndMaxRamIsEnforced) {
  const ProgramResult dry = run_awq({"quantize", path("model"), "-o", path("dry"), "--dry-run", "--json"});
  ASSERT_EQ(dry.exit_code, 0) << dry.err;
  const auto plan = parse_json(dry.out, "stdout");
  ASSERT_TRUE(plan.ok());
  EXPECT_FALSE(directory_exists(path("dry")));
  const ProgramResult real = run_awq({"quantize", path("model"), "-o", path("dry"), "--json"});
  ASSERT_EQ(real.exit_code, 0) << real.err;
  const auto report = parse_json(real.out, "stdout");
  ASSERT_TRUE(report.ok());
  EXPECT_LE((*report)["peak_rss_bytes"].get<int64_t>(), (*plan)["peak_rss_bytes"].get<int64_t>());
  uintmax_t tensors = 0;
  tensors += std::filesystem::file_size(path("dry/model.safetensors"));
  EXPECT_NEAR((*plan)["output_bytes"].get<double>() / static_cast<double>(tensors), 1, 0.1);
  expect_refused(5, {"quantize", path("model"), "-o", path("ram"), "--max-ram", "20MB"},
                 {"--max-ram", "19.1 MiB"});
}

// What a limit lets through stays below it; what is refused is refused before any work.
TEST_F(Refusals, RunsStayBelowTheirMaxRam) {
  for (const char* samples : {"8", "64", "512"}) {
    std::vector<std::string> words = {"quantize", path("model"), "-o", path("limited"), "--calib",
                                      path("text.txt"), "--calib-samples", samples,
                                      "--calib-length", "64", "--overwrite", "--json"};
    std::vector<std::string> dry = words;
    dry.push_back("--dry-run");
    const auto plan = parse_json(run_awq(dry).out, "stdout");
    ASSERT_TRUE(plan.ok());
    const auto limit = (*plan)["peak_rss_bytes"].get<uint64_t>();
    words.insert(words.end(), {"--max-ram", cat(limit)});
    const ProgramResult run = run_awq(words);
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_LE((*parse_json(run.out, "stdout"))["peak_rss_bytes"].get<uint64_t>(), limit);
    words.back() = cat(limit - (uint64_t{1} << 20));
    expect_refused(5, words, {"--max-ram", "--calib-samples"});
  }
}

// A disk that fills up while a run writes: one clear error, and the same command goes on.
TEST_F(Refusals, FullDisksResumeToTheSameBytes) {
  const auto words = [&](const std::string& to) {
    return std::vector<std::string>{"quantize", path("model"), "-o", to, "--calib", path("text.txt"),
                                    "--calib-samples", "8", "--calib-length", "64", "--threads", "1",
                                    "--resume"};
  };
  ASSERT_EQ(run_awq(words(path("roomy"))).exit_code, 0);
  const auto expected = read_file(path("roomy/model.safetensors"));
  ASSERT_TRUE(expected.ok());
  std::minstd_rand random(2);
  int refused = 0;
  for (int i = 0; i < 10; ++i) {
    std::filesystem::remove_all(path("full"));
    RunOptions options;
    options.largest_file = 1 + random() % (expected->size() * 5 / 4);
    const ProgramResult run = run_awq(words(path("full")), options);
    if (run.exit_code != 0) {
      ++refused;
      EXPECT_EQ(run.exit_code, 5) << run.err;
      EXPECT_FALSE(directory_exists(path("full"))) << "half an output";
      const ProgramResult again = run_awq(words(path("full")));
      ASSERT_EQ(again.exit_code, 0) << again.err;
    }
    ASSERT_TRUE(*read_file(path("full/model.safetensors")) == *expected) << i;
  }
  EXPECT_GT(refused, 0) << "no limit was reached: the test shows nothing";
}

TEST_F(Refusals, StudiesAndReportsReplaceNoInputAndPassOverNoOption) {
  const auto study = [](std::vector<std::string> more) {
    std::vector<std::string> words = {"study", "int2", path("model"), "--text", path("text.txt"), "--calib",
                                      path("text.txt")};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  expect_refused(2, study({"--bits", "4"}), {"--bits", "2 bits"});
  expect_refused(2, study({"--domains", "a,b"}), {"--domains", "study calibration"});
  expect_refused(2, study({"-o", path("text.txt")}), {"-o", "text.txt", "would replace"});
  expect_refused(2, study({"--html", path("x"), "-o", path("x")}), {"--html", "would replace"});
  expect_refused(2, study({"-o", path("no/where.json")}), {"where.json", "folder"});
  ASSERT_TRUE(write_file(path("study.json"), "{}").ok());
  expect_refused(2, {"report", path("study.json"), "-o", path("study.json")}, {"would replace"});
  EXPECT_TRUE(file_exists(path("text.txt")));
  EXPECT_EQ(*read_file(path("study.json")), "{}");
}

TEST_F(Refusals, TargetsThatCannotBe) {
  const std::vector<std::string> words = {"quantize", path("model"), "-o", path("x"), "--calib",
                                          path("text.txt"), "--calib-samples", "4", "--calib-length",
                                          "64"};
  const auto refused = [&](std::initializer_list<std::string> more,
                           const std::vector<std::string>& said) {
    std::vector<std::string> all = words;
    all.insert(all.end(), more);
    expect_refused(2, all, said);
    EXPECT_FALSE(directory_exists(path("x")));
  };
  refused({"--target-bpw", "3.5", "--bits", "4"}, {"--bits", "exclude each other"});
  refused({"--target-bpw", "3.5", "--target-size", "1GiB"}, {"exclude each other"});
  refused({"--target-bpw", "3.5", "--method", "rtn"}, {"--method rtn"});
  refused({"--target-bpw", "2.1"}, {"2.1", "narrowest widths take"});
  refused({"--target-size", "1KB"}, {"--target-size", "are not weights of the blocks"});
  refused({"--duo", "--method", "gptq"}, {"--duo", "--method awq"});
}

// Killed at any moment, a run leaves no OUT, or a whole one; and the next run succeeds.
TEST_F(Refusals, KilledRunsLeaveNothingOrAll) {
  const std::vector<std::string> words = {"quantize", path("model"), "-o", path("killed"),
                                          "--calib", path("text.txt"), "--calib-samples", "32",
                                          "--calib-length", "64", "--threads", "1"};
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(run_awq(words).exit_code, 0);
  const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - begin;
  const auto digest = read_file(path("killed/model.safetensors"));
  ASSERT_TRUE(digest.ok());
  constexpr int kKills = 24;
  int absent = 0;
  for (int i = 0; i < kKills; ++i) {
    std::filesystem::remove_all(path("killed"));
    RunOptions options;
    options.kill_after_seconds = whole.count() * (i + 0.5) / kKills;
    run_awq(words, options);
    if (!directory_exists(path("killed"))) {
      ++absent;
      continue;
    }
    const auto now = read_file(path("killed/model.safetensors"));
    ASSERT_TRUE(now.ok());
    EXPECT_EQ(*now == *digest, true) << "half an output after kill " << i;
    EXPECT_TRUE(file_exists(path("killed/config.json")));
    EXPECT_TRUE(file_exists(path("killed/tokenizer.json")));
  }
  EXPECT_GT(absent, 0) << "no kill came in time: the test shows nothing";
  std::filesystem::remove_all(path("killed"));
  ASSERT_EQ(run_awq(words).exit_code, 0);
  EXPECT_EQ(*read_file(path("killed/model.safetensors")) == *digest, true);
  EXPECT_FALSE(directory_exists(path("killed.partial")));
}

// Killed at any moment, again and again, a run goes on with --resume to the bytes of one that was
// not: with blocks that follow from each other's rounding, and with those that do not.
TEST_F(Refusals, KilledRunsResumeToTheSameBytes) {
  std::minstd_rand random(1);
  int resumed = 0;
  for (const char* method : {"awq", "awq+gptq"}) {
    const std::string out = path(cat("resumed-", method)), whole = path(cat("whole-", method));
    const auto words = [&](const std::string& to, bool resume) {
      std::vector<std::string> list = {"quantize", path("model"), "-o", to, "--calib",
                                       path("text.txt"), "--calib-samples", "32", "--calib-length",
                                       "64", "--threads", "1", "--method", method, "--bits", "3",
                                       "--keep", "0.v"};
      if (resume) list.push_back("--resume");
      return list;
    };
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_EQ(run_awq(words(whole, false)).exit_code, 0);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    for (int i = 0; i < 25; ++i) {
      std::filesystem::remove_all(out);
      ProgramResult run;
      for (int tries = 0; tries < 40 && !directory_exists(out); ++tries) {
        RunOptions options;
        const double share = static_cast<double>(random() % 1000) / 1000;
        options.kill_after_seconds = took.count() * (0.2 + share + 0.2 * tries);
        run = run_awq(words(out, true), options);
        resumed += run.err.find("going on after layer") != std::string::npos;
      }
      for (const char* name : {"model.safetensors", "config.json"}) {
        ASSERT_TRUE(*read_file(path_join(out, name)) == *read_file(path_join(whole, name)))
            << method << ", " << name << " of round " << i;
      }
      EXPECT_FALSE(directory_exists(out + ".partial"));
    }
  }
  EXPECT_GT(resumed, 0) << "no kill left a journal: the test shows nothing";
}

// `words` go on with what lies in `left` only if it is what the stopped run wrote; it is put back in the end.
void expect_damage_is_seen(const std::vector<std::string>& words, const std::string& left) {
  const std::string kept = left + ".kept";
  std::filesystem::copy(left, kept);
  const auto put_back = [&] {
    std::filesystem::remove_all(left);
    std::filesystem::copy(kept, left);
  };
  const auto damaged = [&](const char* file, const char* word, const auto& change) {
    put_back();
    auto bytes = read_file(path_join(left, file));
    ASSERT_TRUE(bytes.ok());
    change(*bytes);
    ASSERT_TRUE(write_file(path_join(left, file), *bytes).ok());
    const ProgramResult run = run_awq(words);
    EXPECT_NE(run.exit_code, 0) << file << ", " << word;
    EXPECT_NE(run.err.find(word), std::string::npos) << run.err;
    EXPECT_NE(run.err.find("leave --resume out"), std::string::npos) << run.err;
  };
  damaged("model.safetensors", "model.safetensors: 1000 bytes", [](auto& bytes) { bytes.resize(1000); });
  damaged("model.safetensors", "model.safetensors: ", [](auto& bytes) { bytes[20] = '?'; });
  damaged("model.safetensors", "frame", [](auto& bytes) {
    for (size_t i = bytes.size() / 2; i < bytes.size(); ++i) bytes[i] = static_cast<char>(bytes[i] ^ 1);
  });
  damaged(".awq-calibration", "1000 bytes", [](auto& bytes) { bytes.resize(1000); });
  damaged(".awq-calibration", "calibration", [](auto& bytes) { bytes[0] = static_cast<char>(bytes[0] ^ 1); });
  damaged(".awq-journal", "layer 0 is not what the stopped run wrote",
          [](auto& bytes) { bytes.replace(bytes.find("\"sum\":\"") + 7, 1, "x"); });
  damaged(".awq-journal", "line 3", [](auto& bytes) { bytes += bytes.substr(bytes.find('\n') + 1); });
  put_back();
}

TEST_F(Refusals, InterruptedRunsFinishTheBlockAndSayHowToGoOn) {
  const std::vector<std::string> words = {"quantize", path("model"), "-o", path("stopped"),
                                          "--calib", path("text.txt"), "--calib-samples", "32",
                                          "--calib-length", "64", "--threads", "1"};
  int stopped = 0;
  for (int i = 1; i <= 60 && stopped == 0; ++i) {
    std::filesystem::remove_all(path("stopped"));
    RunOptions options;
    options.kill_after_seconds = 0.01 * i;
    options.kill_signal = SIGINT;
    const ProgramResult run = run_awq(words, options);
    if (run.err.find("--resume") == std::string::npos) continue;
    ++stopped;
    EXPECT_EQ(run.exit_code, 1);
    EXPECT_NE(run.err.find("stopped after layer 1 of 2"), std::string::npos) << run.err;
    std::vector<std::string> other = words;
    other.insert(other.end(), {"--resume", "--bits", "3"});
    expect_refused(2, other, {"--resume", "bits 3 where the stopped run had 4"});
    std::vector<std::string> more = words;
    more.push_back("--resume");
    expect_damage_is_seen(more, path("stopped.partial"));
    const ProgramResult again = run_awq(more);
    EXPECT_EQ(again.exit_code, 0) << again.err;
    EXPECT_NE(again.err.find("going on after layer 1"), std::string::npos) << again.err;
  }
  EXPECT_EQ(stopped, 1) << "no signal came in time: the test shows nothing";
}

}  // namespace
}  // namespace awq::testing
