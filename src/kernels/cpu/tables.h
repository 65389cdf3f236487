// From a kernel table to an op table.
#pragma once

#include <span>

#include "kernels/ops.h"

namespace awq::cpu {

/// A table with the name that it is chosen by.
struct Variant {
  std::string_view name;
  Ops (*make)(Device& device, int planes);  ///< planes: IntRows
};

/// What this processor can run beside "scalar", best last. Two variants may carry one name (with and
/// without VNNI): the later is the one that the name means, tests run both.
std::span<const Variant> variants();

}  // namespace awq::cpu
