// Base64 (RFC 4648, with padding).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace awq {

std::string encode_base64(std::string_view bytes);

/// `where` begins the error message for what is no base64.
Result<std::string> decode_base64(std::string_view text, std::string_view where);

}  // namespace awq
