// awq bench --profile on a backend that plans whole passes: what their parts took.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "runtime/engine.h"

namespace awq {

/// A table of the parts; % of `roof` (bytes per second) where a part reads weights, keys or values.
std::string profile_table(const std::vector<PartTime>& parts, double roof);
Json profile_json(const std::vector<PartTime>& parts);

}  // namespace awq
