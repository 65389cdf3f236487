// GGUF version 2 and 3: docs/formats/gguf.md.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/source.h"

namespace awq {

struct GgufFile {
  Metadata metadata;
  std::vector<TensorInfo> tensors;  ///< shapes outermost first
};

/// Every count and length is held against the bytes that are left before anything is allocated.
Result<GgufFile> parse_gguf(std::span<const std::byte> file, std::string_view origin);

}  // namespace awq
