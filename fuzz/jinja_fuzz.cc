// fuzz: text
// A chat template and the JSON it is rendered with, which a line of "=====" separates.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "text/chat_template.h"
#include "text/unicode.h"

namespace {

constexpr std::string_view kSeparator = "\n=====\n";
constexpr std::string_view kUsual = R"({
  "messages": [{"role": "system", "content": "Be brief."},
               {"role": "user", "content": [{"type": "text", "text": "Hi \u00e9 <b>"}]},
               {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f",
                "arguments": {"a": 1, "b": 2.5}}}]}],
  "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
  "n": 7, "x": -2.5, "s": "Text \u65e5", "list": [3, 1, 2], "d": {"b": 1, "a": [null, true]},
  "add_generation_prompt": true, "bos_token": "<s>"})";

// Small enough that a hostile template cannot keep the fuzzer busy for long.
awq::TemplateLimits small_limits() {
  awq::TemplateLimits limits;
  limits.output_bytes = size_t{1} << 20;
  limits.memory_bytes = size_t{32} << 20;
  limits.steps = 300'000;
  limits.range = 100'000;
  return limits;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t split = input.find(kSeparator);
  const std::string_view json =
      split == input.npos ? kUsual : input.substr(split + kSeparator.size());
  auto context = awq::parse_json(json, "context");
  if (!context.ok()) return 0;
  if (context->is_object()) (*context)["strftime_now"] = 1721901845;
  const auto limits = small_limits();
  const auto parsed = awq::ChatTemplate::parse(std::string(input.substr(0, split)), limits);
  if (!parsed.ok()) {
    AWQ_CHECK(!parsed.error().message.empty());
    return 0;
  }
  const auto text = parsed->render(*context);
  if (text.ok()) {
    AWQ_CHECK(text->size() <= limits.output_bytes);
    AWQ_CHECK(awq::is_utf8(*text));
  }
  return 0;
}
