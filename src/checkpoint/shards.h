// Which safetensors files make up a Hugging Face directory.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace awq {

struct ShardList {
  std::vector<std::string> files;                 ///< names inside the directory, each once
  std::map<std::string, std::string> weight_map;  ///< tensor -> file; empty without an index
};

/// model.safetensors, else the files of model.safetensors.index.json. Refuses names that leave the
/// directory, lists every shard that is missing, and says what to do with pickle-only directories.
Result<ShardList> list_shards(const std::string& directory);

}  // namespace awq
