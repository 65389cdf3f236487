// JSON from outside: depth-capped, size-capped, duplicate keys refused, strict UTF-8.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace awq {

using Json = nlohmann::ordered_json;

struct JsonLimits {
  int depth = 64;
  size_t bytes = size_t{256} << 20;
};

/// Parses `text`. `origin` (a path, "header of x.safetensors") begins every error message, which
/// also names the byte offset.
Result<Json> parse_json(std::string_view text, std::string_view origin, JsonLimits limits = {});

/// Reads and parses a file.
Result<Json> read_json_file(const std::string& path, JsonLimits limits = {});

/// One line of JSON; invalid UTF-8 becomes U+FFFD, never an exception.
std::string dump_json(const Json& value, int indent = -1);

}  // namespace awq
