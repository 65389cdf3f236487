#include "checkpoint/impostor.h"

#include <algorithm>

#include "base/bytes.h"

namespace awq {

std::string_view recognise_impostor(std::span<const std::byte> file) {
  std::string_view start = as_text(file.first(std::min<size_t>(file.size(), 512)));
  if (start.starts_with("version https://git-lfs")) {
    return "a git-LFS pointer, not the weights; run `git lfs pull`";
  }
  start.remove_prefix(std::min(start.find_first_not_of(" \t\r\n"), start.size()));
  if (start.starts_with("<!") || start.starts_with("<html") || start.starts_with("<?xml")) {
    return "an HTML page, not the weights; download the file again";
  }
  if (start.starts_with("GGUF")) return "a GGUF file; name the .gguf file itself as the model";
  if (start.starts_with("PK\x03\x04") || start.starts_with("\x80\x02")) {
    return "a pickle file, which is not read; convert the model to safetensors";
  }
  return {};
}

}  // namespace awq
