// The Llama description, which its descendants start from.
#pragma once

#include "model/family.h"

namespace awq {

Result<Arch> describe_llama(const Config& config);

}  // namespace awq
