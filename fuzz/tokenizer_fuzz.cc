// fuzz: text
// tokenizer.json, a NUL, and a text that is encoded and decoded with whatever was accepted.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "tokenizer_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = input.find('\0');
  const auto json = awq::parse_json(input.substr(0, end), "fuzz");
  if (!json.ok()) return 0;
  const auto tokenizer = awq::Tokenizer::from_json(*json, awq::Json(), "fuzz");
  if (!tokenizer.ok()) {
    AWQ_CHECK(!tokenizer.error().message.empty(), "an error without a message");
    return 0;
  }
  const std::string_view text = end == input.npos ? "" : input.substr(end + 1);
  awq::check_round_trip(*tokenizer, text);
  // The document that an export writes is the one that was read.
  AWQ_CHECK(tokenizer->export_tokenizer_json() == *json, "the export differs");
  return 0;
}
