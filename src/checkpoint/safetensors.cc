#include "checkpoint/safetensors.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "base/bytes.h"
#include "base/json.h"

namespace awq {
namespace {

std::optional<DType> dtype_of(std::string_view name) {
  static constexpr DType kTypes[] = {
      DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8_e4m3, DType::f8_e5m2, DType::i64,
      DType::i32, DType::i16, DType::i8,  DType::u64,  DType::u32,     DType::u16,     DType::u8,
      DType::boolean};
  for (const DType type : kTypes) {
    if (dtype_name(type) == name) return type;
  }
  return std::nullopt;
}

struct Entry {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::vector<uint64_t> offsets;
  bool has_dtype = false, has_shape = false, has_offsets = false;
};

// {"name": {"dtype": "F32", "shape": [..], "data_offsets": [b, e]}, "__metadata__": {"k": "v"}}
class HeaderReader final : public nlohmann::json_sax<Json> {
 public:
  std::vector<Entry> entries;
  std::string error;

  bool null() override { return refuse("null"); }
  bool boolean(bool) override { return refuse("a boolean"); }
  bool number_float(number_float_t, const string_t&) override { return refuse("a fraction"); }
  bool binary(binary_t&) override { return refuse("binary data"); }
  bool number_integer(number_integer_t) override { return refuse("a negative number"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (depth_ != 3 || metadata_) return refuse("a number");
    if (field_ == "shape") {
      if (value > uint64_t{INT64_MAX}) return fail("shape extent is too large");
      if (entries.back().shape.size() >= Shape::kMaxRank) return fail("rank above 8");
      entries.back().shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (entries.back().offsets.size() >= 2) return fail("data_offsets has more than 2 entries");
    entries.back().offsets.push_back(value);
    return true;
  }

  bool string(string_t& value) override {
    if (depth_ != 2) return refuse("a string");
    if (metadata_) return true;
    if (field_ != "dtype") return refuse("a string");
    entries.back().dtype = std::move(value);
    entries.back().has_dtype = true;
    return true;
  }

  bool start_object(size_t) override {
    if (depth_ >= 2) return refuse("an object");
    ++depth_;
    if (depth_ == 2) fields_.clear();
    return true;
  }
  bool end_object() override {
    if (depth_ == 2) metadata_ = false;
    --depth_;
    return true;
  }
  bool start_array(size_t) override {
    if (depth_ != 2 || metadata_ || (field_ != "shape" && field_ != "data_offsets")) {
      return refuse("an array");
    }
    (field_ == "shape" ? entries.back().has_shape : entries.back().has_offsets) = true;
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }

  bool key(string_t& name) override {
    if (depth_ == 1) {
      if (!names_.insert(name).second) return fail(cat("duplicate tensor ", printable(name)));
      metadata_ = name == "__metadata__";
      if (!metadata_) entries.push_back({name, {}, {}, {}});
      return true;
    }
    if (!fields_.insert(name).second) return fail(cat("duplicate key ", printable(name)));
    field_ = name;
    if (metadata_ || name == "dtype" || name == "shape" || name == "data_offsets") return true;
    return fail(cat("unknown key ", printable(name)));
  }

  bool parse_error(size_t offset, const std::string&,
                   const nlohmann::detail::exception&) override {
    return fail(cat("not valid JSON at byte ", offset));
  }

 private:
  bool fail(std::string message) {
    const bool named = !entries.empty() && depth_ >= 2 && !metadata_;
    error = cat(named ? cat("tensor ", printable(entries.back().name), ": ") : "", message);
    return false;
  }
  bool refuse(std::string_view what) { return fail(cat("unexpected ", what)); }

  int depth_ = 0;
  bool metadata_ = false;
  std::string field_;
  std::unordered_set<std::string> names_, fields_;
};

// Bytes of a shape, or nothing when the product leaves 64 bits.
std::optional<uint64_t> shape_bytes(const std::vector<int64_t>& shape, DType dtype) {
  std::optional<uint64_t> elements = 1;
  for (const int64_t extent : shape) {
    elements = checked_mul(*elements, static_cast<uint64_t>(extent));
    if (!elements) return std::nullopt;
  }
  if (*elements > uint64_t{INT64_MAX}) return std::nullopt;
  return checked_mul(*elements, dtype_info(dtype).block_bytes);
}

Result<TensorInfo> check_entry(const Entry& entry, std::span<const std::byte> data,
                               std::string_view origin) {
  const std::string where = cat(origin, ": tensor ", printable(entry.name), ": ");
  if (!entry.has_dtype || !entry.has_shape || !entry.has_offsets || entry.offsets.size() != 2) {
    return bad_input(cat(where, "expected dtype, shape and two data_offsets"));
  }
  const std::optional<DType> dtype = dtype_of(entry.dtype);
  if (!dtype) {
    return bad_input(cat(where, "dtype ", printable(entry.dtype, 40), " is not supported"));
  }
  const auto [begin, end] = std::pair(entry.offsets[0], entry.offsets[1]);
  if (end < begin || end > data.size()) {
    return bad_input(cat(where, "data_offsets [", begin, ", ", end, "] do not lie in the ",
                         data.size(), " bytes of data"));
  }
  const std::optional<uint64_t> bytes = shape_bytes(entry.shape, *dtype);
  if (!bytes || *bytes != end - begin) {
    return bad_input(cat(where, "shape ", Shape(entry.shape).text(), " of ", entry.dtype,
                         " needs ", bytes ? cat(*bytes) : std::string("more than 2^63"),
                         " bytes, data_offsets span ", end - begin));
  }
  return TensorInfo{entry.name, *dtype, Shape(entry.shape), data.subspan(begin, end - begin), 0};
}

}  // namespace

Result<std::vector<TensorInfo>> parse_safetensors(std::span<const std::byte> file,
                                                  std::string_view origin) {
  if (file.size() < 8) {
    return bad_input(cat(origin, ": ", file.size(), " bytes, shorter than the 8-byte header"));
  }
  const auto length = load_le<uint64_t>(file.data());
  if (length > kSafetensorsHeaderLimit) {
    const std::string_view start = as_text(file.first(std::min<size_t>(file.size(), 64)));
    if (start.rfind("version https://git-lfs", 0) == 0) {
      return bad_input(cat(origin, ": a git-LFS pointer, not the weights; run `git lfs pull`"));
    }
    if (start.find_first_not_of(" \t\r\n") < start.size() &&
        start[start.find_first_not_of(" \t\r\n")] == '<') {
      return bad_input(cat(origin, ": an HTML page, not the weights; download the file again"));
    }
    return bad_input(cat(origin, ": header too large: ", length, " bytes, the limit is ",
                         kSafetensorsHeaderLimit));
  }
  if (length > file.size() - 8) {
    return bad_input(cat(origin, ": the header says ", length, " bytes, the file has ",
                         file.size() - 8, " after the length; it is truncated"));
  }
  const std::string_view header = as_text(file.subspan(8, length));
  if (header.empty() || header.front() != '{') {
    return bad_input(cat(origin, ": the header does not start with '{'"));
  }
  HeaderReader reader;
  if (!Json::sax_parse(header.begin(), header.end(), &reader)) {
    return bad_input(cat(origin, ": header: ", reader.error));
  }

  const std::span<const std::byte> data = file.subspan(8 + length);
  std::vector<TensorInfo> tensors;
  tensors.reserve(reader.entries.size());
  for (const Entry& entry : reader.entries) {
    AWQ_ASSIGN(TensorInfo tensor, check_entry(entry, data, origin));
    tensors.push_back(std::move(tensor));
  }
  // Empty tensors sort before the one that starts where they lie.
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return a.data.data() != b.data.data() ? a.data.data() < b.data.data()
                                          : a.data.size() < b.data.size();
  });
  const std::byte* expected = data.data();
  for (const TensorInfo& tensor : tensors) {
    if (tensor.data.data() != expected) {
      return bad_input(cat(origin, ": tensor ", printable(tensor.name), " begins at byte ",
                           tensor.data.data() - data.data(), " of the data, expected ",
                           expected - data.data(), "; there is a hole or an overlap"));
    }
    expected += tensor.data.size();
  }
  if (expected != data.data() + data.size()) {
    return bad_input(cat(origin, ": ", data.data() + data.size() - expected,
                         " bytes after the last tensor"));
  }
  return tensors;
}

}  // namespace awq
