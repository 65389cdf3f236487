// The Llama description and names, which its many descendants start from.
#pragma once

#include "model/families/parts.h"

namespace awq {

Result<Arch> describe_llama(const Config& config);
/// With a family's own keys and defaults of sizes.
Result<Arch> describe_llama(const Config& config, const SizeKeys& keys);
std::span<const SlotName> llama_names();

}  // namespace awq
