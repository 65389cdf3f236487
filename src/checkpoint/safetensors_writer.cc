#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/file.h"
#include "checkpoint/in_place_file.h"
#include "checkpoint/writer.h"

namespace awq {
namespace {

uint64_t bytes_of(const TensorDeclaration& tensor) {
  return dtype_bytes(tensor.dtype, static_cast<uint64_t>(tensor.shape.elements()));
}

// Appends to an object whose keys are known to differ: operator[] would look for each in turn.
void append(Json& object, const std::string& key, Json value) {
  using Members = std::vector<Json::object_t::value_type, Json::object_t::allocator_type>;
  static_cast<Members&>(object.get_ref<Json::object_t&>()).emplace_back(key, std::move(value));
}

std::string padded(size_t number) {
  const std::string digits = cat(number);
  return std::string(5 - std::min<size_t>(5, digits.size()), '0') + digits;
}

}  // namespace

struct SafetensorsWriter::Impl {
  struct Shard {
    std::string name;
    std::vector<size_t> tensors;
    uint64_t bytes = 0;
    std::optional<InPlaceFile> file;
  };
  struct Place {
    size_t shard = 0;
    uint64_t offset = 0, bytes = 0;
    bool written = false;
  };
  std::vector<TensorDeclaration> tensors;
  std::vector<Place> places;
  std::unordered_map<std::string_view, size_t> by_name;
  std::vector<Shard> shards;
  std::string index_path;
  uint64_t total = 0, data_bytes = 0;
  uint64_t sum = 0;  // of the checksums of what was written since take_sum()

  explicit Impl(std::vector<TensorDeclaration> declared) : tensors(std::move(declared)) {
    places.resize(tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) {
      AWQ_CHECK(by_name.emplace(tensors[i].name, i).second, tensors[i].name);
    }
  }

  void assign_shards(uint64_t max_bytes) {
    if (tensors.empty()) shards.emplace_back();  // a file with an empty header
    for (size_t i = 0; i < tensors.size(); ++i) {
      const uint64_t bytes = bytes_of(tensors[i]);
      if (shards.empty() || (shards.back().bytes > 0 && shards.back().bytes + bytes > max_bytes)) {
        shards.emplace_back();
      }
      shards.back().tensors.push_back(i);
      shards.back().bytes += bytes;
      places[i].shard = shards.size() - 1;
    }
    for (size_t i = 0; i < shards.size(); ++i) {
      shards[i].name = shards.size() == 1 ? "model.safetensors"
                                          : cat("model-", padded(i + 1), "-of-",
                                                padded(shards.size()), ".safetensors");
    }
  }

  // Header, data places and disk space of one shard. Wide types first, so that data is aligned.
  Status open_shard(Shard& shard, const OutputDirectory& directory, bool resume) {
    std::stable_sort(shard.tensors.begin(), shard.tensors.end(), [&](size_t a, size_t b) {
      const auto width = [&](size_t i) { return dtype_info(tensors[i].dtype).block_bytes; };
      return width(a) != width(b) ? width(a) > width(b) : tensors[a].name < tensors[b].name;
    });
    Json header = Json::object();
    header["__metadata__"] = {{"format", "pt"}};
    uint64_t offset = 0;
    for (const size_t i : shard.tensors) {
      const TensorDeclaration& tensor = tensors[i];
      const uint64_t bytes = bytes_of(tensor);
      Json shape = Json::array();
      for (const int64_t extent : tensor.shape.extents()) shape.push_back(extent);
      append(header, tensor.name,
             {{"dtype", std::string(dtype_name(tensor.dtype))},
              {"shape", std::move(shape)},
              {"data_offsets", {offset, offset + bytes}}});
      places[i].offset = offset;
      places[i].bytes = bytes;
      offset += bytes;
    }
    std::string text = dump_json(header);
    text.resize((text.size() + 7) / 8 * 8, ' ');
    AWQ_ASSIGN(InPlaceFile file, InPlaceFile::open(directory.file(shard.name), resume));
    char length[8];
    store_le<uint64_t>(length, text.size());
    text.insert(0, length, sizeof length);
    if (resume) {
      AWQ_ASSIGN(const uint64_t size, file.size());
      std::string was(text.size(), '\0');
      if (size == text.size() + offset) AWQ_TRY(file.read_at(0, was.data(), was.size()));
      if (was != text) {
        return bad_input(cat(printable(directory.file(shard.name)), ": ", size, " bytes that are not what the "
                             "stopped run left (", text.size() + offset, ", with its header); leave --resume out "
                             "to begin again"));
      }
    } else {
      AWQ_TRY(file.reserve(text.size() + offset));
      AWQ_TRY(file.write_at(0, text.data(), text.size()));
    }
    for (const size_t i : shard.tensors) places[i].offset += text.size();
    total += text.size() + offset;
    data_bytes += offset;
    shard.file.emplace(std::move(file));
    return {};
  }
};

SafetensorsWriter::SafetensorsWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SafetensorsWriter::SafetensorsWriter(SafetensorsWriter&&) noexcept = default;
SafetensorsWriter::~SafetensorsWriter() = default;

Result<SafetensorsWriter> SafetensorsWriter::create(const OutputDirectory& directory,
                                                    std::vector<TensorDeclaration> tensors,
                                                    uint64_t max_shard_bytes, bool resume) {
  auto impl = std::make_unique<Impl>(std::move(tensors));
  impl->assign_shards(max_shard_bytes);
  impl->index_path = directory.file("model.safetensors.index.json");
  for (Impl::Shard& shard : impl->shards) {
    AWQ_TRY(impl->open_shard(shard, directory, resume));
  }
  return SafetensorsWriter(std::move(impl));
}

SafetensorsWriter SafetensorsWriter::discarding(std::vector<TensorDeclaration> tensors) {
  auto impl = std::make_unique<Impl>(std::move(tensors));
  for (size_t i = 0; i < impl->tensors.size(); ++i) {
    impl->places[i].bytes = bytes_of(impl->tensors[i]);
    impl->total += impl->places[i].bytes;
  }
  return SafetensorsWriter(std::move(impl));
}

Status SafetensorsWriter::write(std::string_view name, const void* data, size_t size) {
  const auto found = impl_->by_name.find(name);
  AWQ_CHECK(found != impl_->by_name.end(), name);
  Impl::Place& place = impl_->places[found->second];
  AWQ_CHECK(!place.written && size == place.bytes, name, ": ", size, " of ", place.bytes);
  place.written = true;
  impl_->sum += checksum(data, size, checksum(name.data(), name.size()));
  if (impl_->shards.empty()) return {};
  return impl_->shards[place.shard].file->write_at(place.offset, data, size);
}

void SafetensorsWriter::keep(std::string_view name) {
  const auto found = impl_->by_name.find(name);
  AWQ_CHECK(found != impl_->by_name.end(), name);
  impl_->places[found->second].written = true;
}

Status SafetensorsWriter::read_back(std::string_view name, void* data, size_t size) const {
  const auto found = impl_->by_name.find(name);
  AWQ_CHECK(found != impl_->by_name.end(), name);
  const Impl::Place& place = impl_->places[found->second];
  AWQ_CHECK(place.written && size == place.bytes, name, ": ", size, " of ", place.bytes);
  return impl_->shards[place.shard].file->read_at(place.offset, data, size);
}

std::string SafetensorsWriter::take_sum() { return hex_of(std::exchange(impl_->sum, 0)); }

Result<std::string> SafetensorsWriter::sum_of(std::span<const TensorDeclaration> tensors) const {
  uint64_t sum = 0;
  std::vector<char> data;
  for (const TensorDeclaration& tensor : tensors) {
    data.resize(static_cast<size_t>(bytes_of(tensor)));
    AWQ_TRY(read_back(tensor.name, data.data(), data.size()));
    sum += checksum(data.data(), data.size(), checksum(tensor.name.data(), tensor.name.size()));
  }
  return hex_of(sum);
}

Status SafetensorsWriter::sync() {
  for (Impl::Shard& shard : impl_->shards) AWQ_TRY(shard.file->sync());
  return {};
}

Status SafetensorsWriter::finish() {
  for (size_t i = 0; i < impl_->places.size(); ++i) {
    AWQ_CHECK(impl_->places[i].written, impl_->tensors[i].name);
  }
  AWQ_TRY(sync());
  if (impl_->shards.size() <= 1) return {};
  Json map = Json::object();
  for (size_t i = 0; i < impl_->tensors.size(); ++i) {
    append(map, impl_->tensors[i].name, impl_->shards[impl_->places[i].shard].name);
  }
  return write_file(
      impl_->index_path,
      dump_json({{"metadata", {{"total_size", impl_->data_bytes}}}, {"weight_map", map}}, 2) +
          "\n");
}

uint64_t SafetensorsWriter::bytes() const { return impl_->total; }

}  // namespace awq
