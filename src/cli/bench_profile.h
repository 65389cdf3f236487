// awq bench --profile where passes are planned: what their parts took.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "kernels/decode_step.h"

namespace awq {

/// A table of the parts; % of `roof` (bytes per second) where a part reads weights, keys or values.
std::string profile_table(const std::vector<PartTime>& parts, double roof);
Json profile_json(const std::vector<PartTime>& parts);

}  // namespace awq
