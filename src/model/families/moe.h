// What the mixtures of experts share.
#pragma once

#include "model/families/parts.h"

namespace awq {

/// Sets the sizes of the experts too.
Result<MoeFfn> make_moe(const Config& config, Activation activation, int64_t experts,
                        int64_t expert_ffn, int64_t per_token, bool renormalize, Sizes& sizes);

}  // namespace awq
