// For tests: runs the program as a user does, and makes a tiny random checkpoint to run it on.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/writer.h"
#include "model/test_model.h"
#include "text/byte_alphabet.h"

extern char** environ;

namespace awq::testing {

inline constexpr double kLimitSeconds = 1800;  // a run that takes longer hangs

struct ProgramResult {
  int exit_code = -1;  ///< 128 + signal when one ended it
  std::string out, err;
};

struct RunOptions {
  std::string input;                ///< standard input
  std::string stdout_path;          ///< write stdout there instead of capturing it
  std::vector<std::string> environment;  ///< "NAME=value", added to ours
  std::string directory;            ///< working directory
  double kill_after_seconds = 0;    ///< a signal then; 0: a limit that fails the test
  int kill_signal = SIGKILL;
  uint64_t largest_file = 0;        ///< bytes that a file may have, as if the disk ended there; 0: no limit
};

inline pid_t spawn(const std::vector<std::string>& words, const RunOptions& options, int in,
                   int out, int err) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::dup2(in, 0);
  if (!options.stdout_path.empty()) out = ::open(options.stdout_path.c_str(), O_WRONLY);
  ::dup2(out, 1);
  ::dup2(err, 2);
  ::signal(SIGPIPE, SIG_DFL);
  for (const std::string& entry : options.environment) ::putenv(const_cast<char*>(entry.c_str()));
  if (!options.directory.empty() && ::chdir(options.directory.c_str()) != 0) ::_exit(126);
  if (options.largest_file > 0) {
    const rlimit limit{options.largest_file, options.largest_file};
    ::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  std::vector<char*> arguments = {const_cast<char*>(AWQ_PROGRAM)};
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execv(AWQ_PROGRAM, arguments.data());
  ::_exit(127);
}

/// Runs the program with these arguments.
inline ProgramResult run_awq(const std::vector<std::string>& words, const RunOptions& options = {}) {
  int in[2], out[2], err[2];
  AWQ_CHECK(::pipe2(in, O_CLOEXEC) == 0 && ::pipe2(out, O_CLOEXEC) == 0 &&
            ::pipe2(err, O_CLOEXEC) == 0);
  const pid_t child = spawn(words, options, in[0], out[1], err[1]);
  for (const int fd : {in[0], out[1], err[1]}) ::close(fd);
  ::signal(SIGPIPE, SIG_IGN);
  AWQ_CHECK(options.input.size() <= 65536, "more than a pipe holds");
  (void)!::write(in[1], options.input.data(), options.input.size());
  ::close(in[1]);

  ProgramResult run;
  const auto start = std::chrono::steady_clock::now();
  const double limit = options.kill_after_seconds > 0 ? options.kill_after_seconds : kLimitSeconds;
  bool killed = false;
  pollfd fds[2] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
  for (int open = 2; open > 0;) {
    ::poll(fds, 2, 5);
    for (int i = 0; i < 2; ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t size = ::read(fds[i].fd, buffer, sizeof buffer);
      if (size > 0) {
        (i == 0 ? run.out : run.err).append(buffer, static_cast<size_t>(size));
      } else {
        ::close(std::exchange(fds[i].fd, -1));
        --open;
      }
    }
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    if (!killed && passed.count() > limit) {
      killed = true;
      ::kill(child, options.kill_after_seconds > 0 ? options.kill_signal : SIGKILL);
      EXPECT_GT(options.kill_after_seconds, 0) << "awq hangs: " << run.err;
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  run.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return run;
}

/// A folder of its own for a test, removed at its end.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "awq_test.XXXXXX").string();
    AWQ_CHECK(::mkdtemp(name.data()) != nullptr, name);
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_join(path_, name); }

 private:
  std::string path_;
};

/// A byte-level vocabulary: a token for each byte, then <|end|>, <|user|>, <|assistant|>.
inline Json tiny_tokenizer() {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) {
    std::string text;
    const char c = static_cast<char>(byte);
    append_byte_characters(text, {&c, 1});
    vocab[text] = byte;
  }
  Json added = Json::array();
  for (const auto& [id, text] : std::vector<std::pair<int, std::string>>{
           {256, "<|end|>"}, {257, "<|user|>"}, {258, "<|assistant|>"}}) {
    vocab[text] = id;
    added.push_back({{"id", id}, {"content", text}, {"single_word", false}, {"lstrip", false},
                     {"rstrip", false}, {"normalized", false}, {"special", true}});
  }
  return {{"version", "1.0"},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false},
                             {"trim_offsets", true}, {"use_regex", true}}},
          {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", true},
                       {"trim_offsets", true}, {"use_regex", true}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}};
}

struct TinyOptions {
  int64_t layers = 2, hidden = 64, ffn = 128;
  std::string chat_template =
      "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
      "{% if add_generation_prompt %}<|assistant|>{% endif %}";
};

/// Writes a random Llama checkpoint (F32) with vocabulary and template into `path`.
inline void write_tiny_checkpoint(const std::string& path, const TinyOptions& options = {}) {
  auto directory = OutputDirectory::create(path, false);
  AWQ_CHECK(directory.ok(), directory.error().message);
  const int64_t hidden = options.hidden, ffn = options.ffn, kv = hidden / 2, vocab = 259;
  std::vector<TensorDeclaration> tensors = {
      {"model.embed_tokens.weight", DType::f32, {vocab, hidden}},
      {"model.norm.weight", DType::f32, {hidden}}};
  for (int64_t layer = 0; layer < options.layers; ++layer) {
    const auto add = [&](const char* name, Shape shape) {
      tensors.push_back({cat("model.layers.", layer, ".", name, ".weight"), DType::f32, shape});
    };
    add("input_layernorm", {hidden});
    add("self_attn.q_proj", {hidden, hidden});
    add("self_attn.k_proj", {kv, hidden});
    add("self_attn.v_proj", {kv, hidden});
    add("self_attn.o_proj", {hidden, hidden});
    add("post_attention_layernorm", {hidden});
    add("mlp.gate_proj", {ffn, hidden});
    add("mlp.up_proj", {ffn, hidden});
    add("mlp.down_proj", {hidden, ffn});
  }
  auto writer = SafetensorsWriter::create(*directory, tensors);
  AWQ_CHECK(writer.ok(), writer.error().message);
  TestRandom random(7);
  for (const TensorDeclaration& tensor : tensors) {
    const bool norm = tensor.shape.rank() == 1;
    const std::vector<float> values =
        random.values(tensor.shape.elements(), norm ? 0.3f : 0.3f, norm ? 1.0f : 0.0f);
    AWQ_CHECK(writer->write(tensor.name, values.data(), values.size() * sizeof(float)).ok());
  }
  AWQ_CHECK(writer->finish().ok());
  const Json config = {{"architectures", {"LlamaForCausalLM"}}, {"model_type", "llama"},
                       {"hidden_size", hidden}, {"intermediate_size", ffn},
                       {"num_hidden_layers", options.layers}, {"num_attention_heads", 4},
                       {"num_key_value_heads", 2}, {"vocab_size", vocab}, {"hidden_act", "silu"},
                       {"max_position_embeddings", 256}, {"rms_norm_eps", 1e-5},
                       {"rope_theta", 10000.0}, {"tie_word_embeddings", true},
                       {"eos_token_id", 256}, {"torch_dtype", "float32"}};
  Json text = {{"eos_token", "<|end|>"}};
  if (!options.chat_template.empty()) text["chat_template"] = options.chat_template;
  AWQ_CHECK(write_file(directory->file("config.json"), dump_json(config, 1)).ok());
  AWQ_CHECK(write_file(directory->file("tokenizer.json"), dump_json(tiny_tokenizer(), 1)).ok());
  AWQ_CHECK(write_file(directory->file("tokenizer_config.json"), dump_json(text, 1)).ok());
  AWQ_CHECK(directory->commit().ok());
}

/// English-like text of about `bytes` bytes, the same everywhere.
inline std::string tiny_text(size_t bytes) {
  static const char* const kWords[] = {"the", "weights", "of", "a", "model", "lose", "little",
                                       "when", "rounded", "with", "care", "and", "scales"};
  TestRandom random(3);
  std::string text;
  while (text.size() < bytes) {
    const auto word = static_cast<size_t>((random.next() + 1) * 6.49f);
    text += cat(kWords[word], text.size() % 11 == 0 ? ".\n\n" : " ");
  }
  return text;
}

/// Tests over one folder that holds a tiny checkpoint and text.txt.
class CheckpointTest : public ::testing::Test {
 protected:
  static void make_folder(const std::string& checkpoint) {
    folder_ = new Folder();
    write_tiny_checkpoint(path(checkpoint));
    AWQ_CHECK(write_file(path("text.txt"), tiny_text(20000)).ok());
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  static std::string path(const std::string& name) { return *folder_ / name; }

 private:
  static inline Folder* folder_ = nullptr;
};

}  // namespace awq::testing
