// GPT-2's description, which GPT-BigCode shares.
#pragma once

#include "model/families/parts.h"

namespace awq {

/// `kv_heads` 0: as many as heads.
Result<Arch> describe_gpt2_like(const Config& config, std::string_view family, int64_t kv_heads,
                                Activation activation);

}  // namespace awq
