// fuzz: text
// The vocabulary arrays of a GGUF file as lines: model, pre, flags and special ids, then tokens as
// "type score text", a blank line, merges, a blank line, and a text.
#include <cstdint>
#include <sstream>
#include <string>

#include "tokenizer_checks.h"

namespace {

awq::GgufVocabulary read_vocabulary(std::istringstream& in) {
  awq::GgufVocabulary out;
  std::string line;
  std::getline(in, out.model);
  std::getline(in, out.pre);
  if (std::getline(in, line)) {
    std::istringstream fields(line);
    fields >> out.add_bos_given >> out.add_bos >> out.add_eos >> out.add_space_prefix >> out.bos >>
        out.eos >> out.unknown;
  }
  while (std::getline(in, line) && !line.empty()) {
    std::istringstream fields(line);
    int32_t type = 0;
    float score = 0;
    if (fields >> type) out.token_types.push_back(type);
    if (fields >> score) out.scores.push_back(score);
    fields.clear();
    fields.ignore(1);
    std::string text;
    std::getline(fields, text);
    out.tokens.push_back(text);
  }
  while (std::getline(in, line) && !line.empty()) out.merges.push_back(line);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::istringstream in(std::string(reinterpret_cast<const char*>(data), size));
  const auto tokenizer = awq::Tokenizer::from_gguf(read_vocabulary(in), "fuzz");
  if (!tokenizer.ok()) return 0;
  const std::string text(std::istreambuf_iterator<char>(in), {});
  awq::check_round_trip(*tokenizer, text);
  // What is exported loads.
  const auto exported =
      awq::Tokenizer::from_json(tokenizer->export_tokenizer_json(), awq::Json(), "export");
  AWQ_CHECK(exported.ok(), exported.error().message);
  awq::check_round_trip(*exported, text);
  return 0;
}
