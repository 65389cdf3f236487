// Chat templates: the Jinja dialect that transformers renders, in a bounded interpreter. A
// template is untrusted: steps, output, depth and memory are limited, and nothing outside the
// given context can be reached.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace awq {

struct TemplateLimits {
  size_t source_bytes = size_t{1} << 20;
  size_t output_bytes = size_t{16} << 20;  ///< also the largest string or list (in items)
  uint64_t steps = 10'000'000;
  int parse_depth = 128;
  int call_depth = 64;
  int64_t range = 1'000'000;
  size_t memory_bytes = size_t{256} << 20;  ///< of all values alive at a time, context included
};

class ChatTemplate {
 public:
  /// Parses; an unknown tag, filter or test is an error that names line and column.
  static Result<ChatTemplate> parse(std::string source, TemplateLimits limits = {});

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  /// Renders with the keys of `context` as variables (messages, add_generation_prompt, bos_token,
  /// eos_token, tools, ...). Errors name line and column; raise_exception("x") gives x.
  /// A number under the key "strftime_now" (Unix seconds, read as UTC) is the time that the
  /// function of that name tells; without it the local time is.
  Result<std::string> render(const Json& context) const;

  struct Impl;

 private:
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace awq
