// Files that a failed download leaves in the place of weights.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace awq {

/// "a git-LFS pointer, ..." with the fix, or empty when the first bytes tell nothing.
std::string_view recognise_impostor(std::span<const std::byte> file);

}  // namespace awq
