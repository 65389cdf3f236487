// The subcommand of `awq bench` that times a quantization.
#pragma once

#include "cli/verb.h"

namespace awq {

CLI::App* add_bench_quantize(CLI::App& bench, Outcome& outcome);

}  // namespace awq
