// An Arch as a person would read it.
#pragma once

#include <string>

#include "model/arch.h"

namespace awq {

/// Several lines: what becomes of a token from its embedding to the logits.
std::string block_diagram(const Arch& arch);

}  // namespace awq
