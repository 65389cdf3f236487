// GGUF metadata as the config.json that the same model has on the hub, so that each family reads
// one description only.
#pragma once

#include "base/result.h"
#include "checkpoint/source.h"
#include "model/config.h"

namespace awq {

Result<Config> config_from_gguf(const Checkpoint& checkpoint);

}  // namespace awq
