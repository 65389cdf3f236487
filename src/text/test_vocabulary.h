// For tests only: where the real vocabularies are, and the vocabulary arrays of a GGUF file that is
// trusted (the checkpoint folder has the reader for files that are not).
#pragma once

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "text/tokenizer.h"

namespace awq::testing {

/// A file of the folder that AWQ_DATA names; empty when that is not set or has no such file.
inline std::string data_path(const std::string& name) {
  const char* folder = std::getenv("AWQ_DATA");
  const std::string path = folder != nullptr ? path_join(folder, name) : "";
  return !path.empty() && file_exists(path) ? path : "";
}

/// The SmolLM2 GGUF file that AWQ_SMOLLM2 names; empty when it is not set.
inline std::string smollm2_path() {
  const char* given = std::getenv("AWQ_SMOLLM2");
  return given != nullptr && file_exists(given) ? given : "";
}

class GgufMetadata {
 public:
  explicit GgufMetadata(const std::string& path) : file_(path, std::ios::binary) {}

  GgufVocabulary read() {
    read_value<uint32_t>();  // magic
    read_value<uint32_t>();  // version
    read_value<uint64_t>();  // tensors
    const auto count = read_value<uint64_t>();
    for (uint64_t i = 0; i < count; ++i) {
      const std::string key = text();
      const auto type = read_value<uint32_t>();
      take(key, type);
    }
    return std::move(out_);
  }

 private:
  template <class T>
  T read_value() {
    T value{};
    file_.read(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  }
  std::string text() {
    std::string out(read_value<uint64_t>(), '\0');
    file_.read(out.data(), static_cast<std::streamsize>(out.size()));
    return out;
  }
  int64_t number(uint32_t type) {
    switch (type) {
      case 0: return read_value<uint8_t>();
      case 1: return read_value<int8_t>();
      case 2: return read_value<uint16_t>();
      case 3: return read_value<int16_t>();
      case 4: return read_value<uint32_t>();
      case 5: return read_value<int32_t>();
      case 6: return static_cast<int64_t>(read_value<float>());
      case 7: return read_value<uint8_t>();
      case 12: return static_cast<int64_t>(read_value<double>());
      default: return static_cast<int64_t>(read_value<uint64_t>());
    }
  }
  void take(const std::string& key, uint32_t type) {
    const std::string name =
        key.rfind("tokenizer.ggml.", 0) == 0 ? key.substr(std::strlen("tokenizer.ggml.")) : "";
    if (type == 8) {
      const std::string value = text();
      if (name == "model") out_.model = value;
      if (name == "pre") out_.pre = value;
    } else if (type == 9) {
      const auto element = read_value<uint32_t>();
      const auto count = read_value<uint64_t>();
      for (uint64_t i = 0; i < count; ++i) take_element(name, element);
    } else {
      take_number(name, number(type));
    }
  }
  void take_element(const std::string& name, uint32_t type) {
    if (type == 8) {
      std::string value = text();
      if (name == "tokens") out_.tokens.push_back(std::move(value));
      if (name == "merges") out_.merges.push_back(std::move(value));
    } else if (name == "scores") {
      out_.scores.push_back(read_value<float>());
    } else {
      const int64_t value = number(type);
      if (name == "token_type") out_.token_types.push_back(static_cast<int32_t>(value));
    }
  }
  void take_number(const std::string& name, int64_t value) {
    const auto id = static_cast<TokenId>(value);
    if (name == "bos_token_id") out_.bos = id;
    if (name == "eos_token_id") out_.eos = id;
    if (name == "eot_token_id") out_.eot = id;
    if (name == "unknown_token_id") out_.unknown = id;
    if (name == "padding_token_id") out_.padding = id;
    if (name == "add_bos_token") out_.add_bos = value != 0, out_.add_bos_given = true;
    if (name == "add_eos_token") out_.add_eos = value != 0;
    if (name == "add_space_prefix") out_.add_space_prefix = value != 0;
  }

  std::ifstream file_;
  GgufVocabulary out_;
};

inline Tokenizer load_gguf(const std::string& path) {
  auto tokenizer = Tokenizer::from_gguf(GgufMetadata(path).read(), path);
  AWQ_CHECK(tokenizer.ok(), tokenizer.error().message);
  return *std::move(tokenizer);
}

}  // namespace awq::testing
