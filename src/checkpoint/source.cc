#include "checkpoint/source.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <unordered_map>

#include "base/checksum.h"
#include "base/file.h"
#include "checkpoint/blocks.h"
#include "checkpoint/gguf.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/shards.h"

namespace awq {

static constexpr JsonLimits kConfigLimits = {.depth = 64, .bytes = size_t{4} << 20};

struct Checkpoint::Impl {
  Container container = Container::hugging_face;
  std::string path;
  Json config;
  Metadata metadata;
  std::vector<MappedFile> maps;
  std::vector<std::string> files;
  std::vector<TensorInfo> tensors;
  std::vector<std::string> warnings;
  std::unordered_map<std::string_view, size_t> by_name;

  Status add_shard(MappedFile map, const std::string& name, const ShardList& shards) {
    const std::string origin = printable(map.path());
    AWQ_ASSIGN(std::vector<TensorInfo> found, parse_safetensors(map.bytes(), origin));
    for (TensorInfo& tensor : found) {
      tensor.file = static_cast<int>(maps.size());
      const auto mapped = shards.weight_map.find(tensor.name);
      if (!shards.weight_map.empty() &&
          (mapped == shards.weight_map.end() || mapped->second != name)) {
        return bad_input(cat(origin, ": tensor ", printable(tensor.name), " is ",
                             mapped == shards.weight_map.end()
                                 ? std::string("not in the index")
                                 : cat("mapped to ", printable(mapped->second), " by the index"),
                             "; download the files again"));
      }
      tensors.push_back(std::move(tensor));
    }
    files.push_back(map.path());
    maps.push_back(std::move(map));
    return {};
  }

  Status read_config_json() {
    Result<Json> read = read_json_file(path_join(path, "config.json"), kConfigLimits);
    if (!read.ok()) {
      const std::string why =
          file_exists(path_join(path, "config.json")) ? std::string() : explain_directory(path);
      return bad_input(cat(read.error().message, why.empty() ? "" : "; ", why));
    }
    config = std::move(*read);
    return {};
  }

  Status open_directory() {
    AWQ_TRY(read_config_json());
    AWQ_ASSIGN(const ShardList shards, list_shards(path));
    for (const std::string& name : shards.files) {
      AWQ_ASSIGN(MappedFile map, MappedFile::open(path_join(path, name)));
      AWQ_TRY(add_shard(std::move(map), name, shards));
    }
    AWQ_TRY(index_names());
    uint64_t total = 0;
    for (const TensorInfo& tensor : tensors) total += tensor.data.size();
    if (shards.total_size && *shards.total_size != total) {
      warnings.push_back(cat(printable(path), ": the index declares a total_size of ",
                             *shards.total_size, " bytes, the tensors have ", total));
    }
    for (const auto& [tensor, file] : shards.weight_map) {
      if (by_name.count(tensor) == 0) {
        return bad_input(cat(printable(path), ": tensor ", printable(tensor),
                             " is in the index but not in ", printable(file)));
      }
    }
    return {};
  }

  Status add_gguf(MappedFile map) {
    container = Container::gguf;
    AWQ_ASSIGN(GgufFile file, parse_gguf(map.bytes(), printable(path)));
    metadata = std::move(file.metadata);
    tensors = std::move(file.tensors);
    maps.push_back(std::move(map));
    files.push_back(path);
    return index_names();
  }

  Status index_names() {
    by_name.reserve(tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (!by_name.emplace(tensors[i].name, i).second) {
        const TensorInfo& first = tensors[by_name[tensors[i].name]];
        return bad_input(cat(printable(path), ": tensor ", printable(tensors[i].name), " is in ",
                             printable(files[static_cast<size_t>(first.file)]), " and in ",
                             printable(files[static_cast<size_t>(tensors[i].file)]),
                             "; download the files again"));
      }
    }
    return {};
  }
};

Checkpoint::Checkpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

Result<Checkpoint> Checkpoint::open(const std::string& path) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  struct stat info;
  if (path.empty() || ::stat(path.c_str(), &info) != 0) {
    return bad_input(cat(
        "\"", printable(path), "\": cannot open: ", path.empty() ? "no name" : std::strerror(errno),
        "; expected a directory with config.json and safetensors, or a .gguf file"));
  }
  if (S_ISDIR(info.st_mode)) {
    AWQ_TRY(impl->open_directory());
  } else if (S_ISREG(info.st_mode)) {
    AWQ_ASSIGN(MappedFile map, MappedFile::open(path));
    AWQ_TRY(impl->add_gguf(std::move(map)));
  } else {
    return bad_input(cat(printable(path), ": neither a directory nor a regular file"));
  }
  return Checkpoint(std::move(impl));
}

Result<Checkpoint> Checkpoint::from_gguf(std::span<const std::byte> file, const std::string& name) {
  auto impl = std::make_unique<Impl>();
  impl->path = name;
  AWQ_TRY(impl->add_gguf(MappedFile::copy_of(file, name)));
  return Checkpoint(std::move(impl));
}

Result<Checkpoint> Checkpoint::from_safetensors(std::string_view config,
                                                std::span<const std::byte> file,
                                                const std::string& name) {
  auto impl = std::make_unique<Impl>();
  impl->path = name;
  AWQ_ASSIGN(impl->config, parse_json(config, path_join(name, "config.json"), kConfigLimits));
  AWQ_TRY(impl->add_shard(MappedFile::copy_of(file, path_join(name, "model.safetensors")), "", {}));
  AWQ_TRY(impl->index_names());
  return Checkpoint(std::move(impl));
}

Result<Checkpoint> Checkpoint::from_tensors(Json config, std::vector<TensorInfo> tensors,
                                            MappedFile bytes, const std::string& name) {
  auto impl = std::make_unique<Impl>();
  impl->path = name;
  impl->config = std::move(config);
  impl->tensors = std::move(tensors);
  impl->files.push_back(name);
  impl->maps.push_back(std::move(bytes));
  AWQ_TRY(impl->index_names());
  return Checkpoint(std::move(impl));
}

Container Checkpoint::container() const { return impl_->container; }
const std::string& Checkpoint::path() const { return impl_->path; }
const Json& Checkpoint::config() const { return impl_->config; }
const Metadata& Checkpoint::metadata() const { return impl_->metadata; }
const std::vector<TensorInfo>& Checkpoint::tensors() const { return impl_->tensors; }
const std::vector<std::string>& Checkpoint::files() const { return impl_->files; }
const std::vector<std::string>& Checkpoint::warnings() const { return impl_->warnings; }

const TensorInfo* Checkpoint::find(std::string_view name) const {
  const auto found = impl_->by_name.find(name);
  return found == impl_->by_name.end() ? nullptr : &impl_->tensors[found->second];
}

uint64_t Checkpoint::file_bytes() const {
  uint64_t bytes = 0;
  for (const MappedFile& map : impl_->maps) bytes += map.bytes().size();
  return bytes;
}

Status Checkpoint::read_rows(const TensorInfo& tensor, int64_t row, int64_t rows,
                             float* out) const {
  if (!can_decode(tensor.dtype)) {
    return bad_input(cat(printable(files()[static_cast<size_t>(tensor.file)]), ": tensor ",
                         printable(tensor.name), " holds ", dtype_name(tensor.dtype),
                         ", expected a float type"));
  }
  const int64_t columns = tensor.shape.columns();
  AWQ_CHECK(row >= 0 && rows >= 0 && row + rows <= tensor.shape.rows(), row, "+", rows);
  const uint64_t row_bytes = dtype_bytes(tensor.dtype, static_cast<uint64_t>(columns));
  decode_elements(tensor.dtype, tensor.data.data() + static_cast<uint64_t>(row) * row_bytes,
                  rows * columns, out);
  // After the read: a file that was cut short meanwhile reads as zeros (base/map_guard.h).
  return impl_->maps[static_cast<size_t>(tensor.file)].check_unchanged();
}

Status Checkpoint::check_unchanged() const {
  for (const MappedFile& map : impl_->maps) AWQ_TRY(map.check_unchanged());
  return {};
}

void Checkpoint::release(const TensorInfo& tensor) const {
  if (tensor.data.empty()) return;
  const MappedFile& map = impl_->maps[static_cast<size_t>(tensor.file)];
  map.release(static_cast<size_t>(tensor.data.data() - map.bytes().data()), tensor.data.size());
}

// FNV-1a over names, types, shapes and up to 4 KiB from the start and middle of each tensor.
std::string Checkpoint::fingerprint() const {
  uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&](const void* data, size_t size) {
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3u;
  };
  for (const TensorInfo& tensor : tensors()) {
    add(tensor.name.data(), tensor.name.size());
    add(dtype_name(tensor.dtype).data(), dtype_name(tensor.dtype).size());
    add(tensor.shape.extents().data(), tensor.shape.rank() * sizeof(int64_t));
    const size_t sample = std::min<size_t>(tensor.data.size(), 4096);
    add(tensor.data.data(), sample);
    add(tensor.data.data() + (tensor.data.size() - sample) / 2, sample);
  }
  if (!check_unchanged().ok()) return "changed";
  return hex_of(hash);
}

}  // namespace awq
