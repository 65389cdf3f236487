// fuzz: text
// A byte n, n bytes of text, and a SentencePiece model that encodes and decodes the text.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "tokenizer_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size < 1 + size_t{data[0]}) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view text = input.substr(1, data[0]), model = input.substr(1 + size_t{data[0]});
  const auto tokenizer = awq::Tokenizer::from_sentencepiece(model, {}, "fuzz");
  if (!tokenizer.ok()) {
    AWQ_CHECK(!tokenizer.error().message.empty(), "an error without a message");
    return 0;
  }
  awq::check_round_trip(*tokenizer, text);
  // What is exported loads.
  const auto exported =
      awq::Tokenizer::from_json(tokenizer->export_tokenizer_json(), awq::Json(), "export");
  AWQ_CHECK(exported.ok(), exported.error().message);
  return 0;
}
