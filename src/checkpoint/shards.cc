#include "checkpoint/shards.h"

#include <set>

#include "base/file.h"
#include "base/json.h"

namespace awq {
namespace {

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

Status check_shard_name(const std::string& name, const std::string& origin) {
  const bool plain = !name.empty() && name.find('/') == std::string::npos &&
                     name.find('\\') == std::string::npos && name != "." && name != ".." &&
                     name.find('\0') == std::string::npos;
  if (plain) return {};
  return bad_input(cat(origin, ": shard name \"", printable(name),
                       "\" is not a plain file name; shards lie in the model's directory"));
}

Result<ShardList> read_index(const std::string& directory, const std::string& path) {
  const std::string origin = printable(path);
  AWQ_ASSIGN(const Json index, read_json_file(path));
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object() || map->empty()) {
    return bad_input(cat(origin, ": \"weight_map\" is missing or empty"));
  }
  ShardList list;
  std::set<std::string> names;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) {
      return bad_input(cat(origin, ": weight_map entry ", printable(tensor), " is not a string"));
    }
    const auto name = file.get<std::string>();
    AWQ_TRY(check_shard_name(name, origin));
    list.weight_map.emplace(tensor, name);
    names.insert(name);
  }
  std::string missing;
  for (const std::string& name : names) {
    if (!file_exists(path_join(directory, name))) missing += cat(missing.empty() ? "" : ", ", name);
    list.files.push_back(name);
  }
  if (!missing.empty()) {
    return bad_input(cat(origin, ": missing shards: ", printable(missing, 2000),
                         "; download them again"));
  }
  return list;
}

}  // namespace

Result<ShardList> list_shards(const std::string& directory) {
  if (file_exists(path_join(directory, kSingle))) return ShardList{{kSingle}, {}};
  const std::string index = path_join(directory, kIndex);
  if (file_exists(index)) return read_index(directory, index);
  for (const char* pickle : {"pytorch_model.bin", "pytorch_model.bin.index.json",
                             "consolidated.00.pth", "model.pt"}) {
    if (!file_exists(path_join(directory, pickle))) continue;
    return bad_input(cat(printable(directory), ": holds only ", pickle,
                         "; pickle files are not read, convert the model to safetensors"));
  }
  return bad_input(cat(printable(directory), ": neither ", kSingle, " nor ", kIndex, " is there"));
}

}  // namespace awq
