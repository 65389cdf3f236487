// Encodes texts with one thread: tokenizer_bench TOKENIZER TEXTS IDS [REPEATS]. TOKENIZER is a
// tokenizer.json or a vocabulary in GGUF; TEXTS is a list of texts, each after its length in four
// bytes (little-endian). Writes to IDS, for each text, the number of ids in four bytes and the ids,
// and prints the time of the fastest of REPEATS passes over all texts, of decoding the ids once, and
// how many texts decoding gives back. tokenizer_bench --export TOKENIZER writes its tokenizer.json to
// stdout. tools/compare_tokenizers.py drives both.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "text/test_vocabulary.h"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

awq::Tokenizer load(const std::string& path) {
  if (path.size() > 5 && path.substr(path.size() - 5) == ".gguf") {
    return awq::testing::load_gguf(path);
  }
  const auto json = awq::read_json_file(path);
  AWQ_CHECK(json.ok(), json.error().message);
  auto tokenizer = awq::Tokenizer::from_json(*json, awq::Json(), path);
  AWQ_CHECK(tokenizer.ok(), tokenizer.error().message);
  return *std::move(tokenizer);
}

std::vector<std::string_view> split_texts(std::string_view file) {
  std::vector<std::string_view> texts;
  while (!file.empty()) {
    uint32_t size = 0;
    AWQ_CHECK(file.size() >= sizeof size, "TEXTS ends inside a length");
    std::memcpy(&size, file.data(), sizeof size);
    file.remove_prefix(sizeof size);
    AWQ_CHECK(file.size() >= size, "TEXTS ends inside a text");
    texts.push_back(file.substr(0, size));
    file.remove_prefix(size);
  }
  return texts;
}

using Ids = std::vector<std::vector<awq::TokenId>>;

double encode_all(const awq::Tokenizer& tokenizer, const std::vector<std::string_view>& texts,
                  Ids& ids) {
  const auto start = Clock::now();
  for (size_t i = 0; i < texts.size(); ++i) {
    auto result = tokenizer.encode(texts[i], {.add_special = false, .parse_special = true});
    AWQ_CHECK(result.ok(), result.error().message);
    ids[i] = *std::move(result);
  }
  return seconds_since(start);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--export") == 0) {
    std::puts(awq::dump_json(load(argv[2]).export_tokenizer_json()).c_str());
    return 0;
  }
  if (argc < 4) {
    std::fprintf(stderr, "usage: tokenizer_bench TOKENIZER TEXTS IDS [REPEATS]\n");
    return 2;
  }
  const auto load_start = Clock::now();
  const awq::Tokenizer tokenizer = load(argv[1]);
  const double load_seconds = seconds_since(load_start);
  const auto file = awq::read_file(argv[2]);
  AWQ_CHECK(file.ok(), file.error().message);
  const auto texts = split_texts(*file);
  Ids ids(texts.size());
  double best = encode_all(tokenizer, texts, ids);
  for (int i = 1; i < (argc > 4 ? std::atoi(argv[4]) : 1); ++i) {
    best = std::min(best, encode_all(tokenizer, texts, ids));
  }
  const auto start = Clock::now();
  size_t same = 0, count = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    same += tokenizer.decode(ids[i], false) == texts[i] ? 1 : 0;
    count += ids[i].size();
  }
  const double decode_seconds = seconds_since(start);
  std::ofstream out(argv[3], std::ios::binary);
  for (const auto& list : ids) {
    const auto size = static_cast<uint32_t>(list.size());
    out.write(reinterpret_cast<const char*>(&size), sizeof size);
    out.write(reinterpret_cast<const char*>(list.data()),
              static_cast<std::streamsize>(list.size() * sizeof(awq::TokenId)));
  }
  out.close();
  AWQ_CHECK(out.good(), "cannot write ", argv[3]);
  std::printf("{\"load_s\": %.4f, \"encode_s\": %.5f, \"decode_s\": %.5f, \"ids\": %zu, "
              "\"texts\": %zu, \"decoded_equal\": %zu}\n",
              load_seconds, best, decode_seconds, count, texts.size(), same);
}
