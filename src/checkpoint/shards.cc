#include "checkpoint/shards.h"

#include <sys/stat.h>

#include <filesystem>
#include <set>

#include "base/file.h"
#include "base/json.h"

namespace awq {
namespace {

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

// There at all, be it a dangling link or a FIFO.
bool entry_exists(const std::string& path) {
  struct stat info;
  return ::lstat(path.c_str(), &info) == 0;
}

// The first name in `directory`, in the order of their letters, that ends with one of `endings`.
std::string find_ending(const std::string& directory,
                        std::initializer_list<std::string_view> endings) {
  std::set<std::string> names;
  std::error_code code;
  std::filesystem::directory_iterator entry(directory, code), end;
  for (; !code && entry != end; entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    for (const std::string_view ending : endings) {
      if (name.ends_with(ending)) names.insert(name);
    }
  }
  return names.empty() ? std::string() : *names.begin();
}

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
    return bad_input(cat(origin,
                         ": \"weight_map\" is missing or empty, expected an object of "
                         "tensor names and files"));
  }
  ShardList list;
  if (const auto metadata = index.find("metadata");
      metadata != index.end() && metadata->is_object()) {
    const auto size = metadata->find("total_size");
    if (size != metadata->end() && size->is_number_unsigned())
      list.total_size = size->get<uint64_t>();
  }
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
    if (!entry_exists(path_join(directory, name)))
      append_item(missing, name);
    list.files.push_back(name);
  }
  if (!missing.empty()) {
    return bad_input(
        cat(origin, ": missing shards: ", printable(missing, 2000), "; download them again"));
  }
  return list;
}

}  // namespace

Result<ShardList> list_shards(const std::string& directory) {
  if (entry_exists(path_join(directory, kSingle))) return ShardList{{kSingle}, {}, {}};
  const std::string index = path_join(directory, kIndex);
  if (entry_exists(index)) return read_index(directory, index);
  const std::string why = explain_directory(directory);
  return bad_input(cat(printable(directory), ": neither ", kSingle, " nor ", kIndex, " is there",
                       why.empty() ? "" : "; ", why));
}

std::string explain_directory(const std::string& directory) {
  if (const std::string name = find_ending(directory, {".safetensors"}); !name.empty()) {
    return cat(printable(name), " is: rename it to ", kSingle, ", or add the missing files");
  }
  if (const std::string name = find_ending(directory, {".gguf"}); !name.empty()) {
    return cat(printable(name), " is: name that file itself as the model");
  }
  if (const std::string name = find_ending(directory, {".bin", ".pt", ".pth", ".ckpt"});
      !name.empty()) {
    return cat(printable(name),
               " is, but pickle files are not read: convert the model to "
               "safetensors");
  }
  return {};
}

}  // namespace awq
