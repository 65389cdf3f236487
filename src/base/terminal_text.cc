#include "base/terminal_text.h"

#include <unistd.h>

namespace awq {

std::string without_controls(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == 0xC2 && i + 1 < text.size()) {
      const auto next = static_cast<unsigned char>(text[i + 1]);
      if (next >= 0x80 && next <= 0x9F) {
        ++i;
        continue;
      }
    }
    if ((byte >= 0x20 && byte != 0x7F) || byte == '\n' || byte == '\t') out.push_back(text[i]);
  }
  return out;
}

std::string for_stdout(std::string_view text) {
  static const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  return terminal ? without_controls(text) : std::string(text);
}

}  // namespace awq
