// The safetensors header: docs/formats/safetensors.md. Parsed straight into entries, so that a
// header of a million tensors costs little more than its text.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/source.h"

namespace awq {

inline constexpr uint64_t kSafetensorsHeaderLimit = 100'000'000;

/// Entries in file order of their data; `data` spans point into `file`. Validates everything:
/// header length, JSON, duplicate names, dtypes, shapes, and that the data sections are contiguous
/// and cover the file exactly.
Result<std::vector<TensorInfo>> parse_safetensors(std::span<const std::byte> file,
                                                  std::string_view origin);

}  // namespace awq
