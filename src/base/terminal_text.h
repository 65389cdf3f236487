// What a model writes must not drive the terminal it is shown on.
#pragma once

#include <string>
#include <string_view>

namespace awq {

/// `text` (UTF-8, whole characters) without its control characters: U+0000 to U+001F but newline
/// and tab, U+007F, and U+0080 to U+009F, where some terminals take U+009B for an escape sequence.
std::string without_controls(std::string_view text);

/// The same where standard output is a terminal; as it is where a file or a program reads it.
std::string for_stdout(std::string_view text);

}  // namespace awq
