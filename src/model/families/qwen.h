// What the Qwen generations share.
#pragma once

#include "model/families/parts.h"

namespace awq {

/// "use_sliding_window", "sliding_window", "max_window_layers".
Status read_qwen_window(const Config& config, Arch& arch);

/// Qwen3's dense block: norms of each query and key head, head_dim 128 unless told.
Result<Arch> describe_qwen3(const Config& config);

}  // namespace awq
