// Which safetensors files make up a Hugging Face directory.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace awq {

struct ShardList {
  std::vector<std::string> files;                 ///< names inside the directory, each once
  std::map<std::string, std::string> weight_map;  ///< tensor -> file; empty without an index
  std::optional<uint64_t> total_size;             ///< bytes of tensor data that the index declares
};

/// model.safetensors, else the files of model.safetensors.index.json. Refuses names that leave the
/// directory, lists every shard that is missing, and says what to do with pickle-only directories.
/// A file that is there but cannot be read (a FIFO, a dangling link) is left to the one who opens
/// it.
Result<ShardList> list_shards(const std::string& directory);

/// What a directory without config.json may be instead: the fix for its error message, or empty.
std::string explain_directory(const std::string& directory);

}  // namespace awq
