#include "checkpoint/gguf.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

#include "base/bytes.h"

namespace awq {
namespace {

constexpr uint64_t kStringLimit = uint64_t{16} << 20;
constexpr uint64_t kAlignmentLimit = uint64_t{64} << 10;
constexpr uint32_t kStringType = 8, kArrayType = 9;

// Size of a scalar value type; 0 for strings, arrays and unknown types.
size_t scalar_size(uint32_t type) {
  static constexpr size_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return type < std::size(kSizes) ? kSizes[type] : 0;
}

std::optional<DType> ggml_type(uint32_t type) {
  switch (type) {
    case 0: return DType::f32;
    case 1: return DType::f16;
    case 2: return DType::q4_0;
    case 3: return DType::q4_1;
    case 6: return DType::q5_0;
    case 7: return DType::q5_1;
    case 8: return DType::q8_0;
    case 10: return DType::q2_k;
    case 11: return DType::q3_k;
    case 12: return DType::q4_k;
    case 13: return DType::q5_k;
    case 14: return DType::q6_k;
    case 24: return DType::i8;
    case 25: return DType::i16;
    case 26: return DType::i32;
    case 27: return DType::i64;
    case 28: return DType::f64;
    case 30: return DType::bf16;
    default: return std::nullopt;
  }
}

class Parser {
 public:
  Parser(std::span<const std::byte> file, std::string_view origin)
      : file_(file), reader_(file), origin_(origin) {}

  Result<GgufFile> parse() {
    uint64_t tensors = 0, values = 0;
    AWQ_TRY(parse_header(tensors, values));
    for (uint64_t i = 0; i < values; ++i) AWQ_TRY(parse_value());
    AWQ_TRY(read_alignment());
    AWQ_TRY(check_split());
    for (uint64_t i = 0; i < tensors; ++i) AWQ_TRY(parse_tensor());
    AWQ_TRY(place_tensors());
    return std::move(result_);
  }

 private:
  Error fail(std::string_view what) const {
    return bad_input(cat(origin_, ": ", what, " (at byte ", reader_.offset(), ")"));
  }

  template <class T>
  Result<T> read(std::string_view what) {
    const std::optional<T> value = reader_.read<T>();
    if (!value) return fail(cat("the file ends inside ", what));
    return *value;
  }

  Result<std::string> read_string(std::string_view what) {
    AWQ_ASSIGN(const uint64_t length, read<uint64_t>(what));
    if (length > reader_.remaining()) {
      return fail(cat(what, " has a length of ", length, ", the file has ", reader_.remaining(),
                      " bytes left"));
    }
    if (length > kStringLimit) return fail(cat(what, " is longer than ", kStringLimit, " bytes"));
    return std::string(as_text(*reader_.take(length)));
  }

  Status parse_header(uint64_t& tensors, uint64_t& values) {
    const auto magic = reader_.take(4);
    if (!magic || as_text(*magic) != "GGUF") {
      return bad_input(cat(origin_, ": not a GGUF file (no \"GGUF\" at its start)"));
    }
    AWQ_ASSIGN(const uint32_t version, read<uint32_t>("the version"));
    if (version != 0 && (version & 0xFFFF) == 0) return fail("big-endian files are not read");
    if (version == 1) return fail("version 1 is not read; convert the file again");
    if (version != 2 && version != 3) {
      return fail(cat("version ", version, " is not known; versions 2 and 3 are read"));
    }
    AWQ_ASSIGN(tensors, read<uint64_t>("the tensor count"));
    AWQ_ASSIGN(values, read<uint64_t>("the metadata count"));
    // A tensor record takes at least 8 + 4 + 8 + 4 + 8 bytes, a metadata record 8 + 4 + 1.
    if (tensors > reader_.remaining() / 32) {
      return fail(cat(tensors, " tensors do not fit the file"));
    }
    if (values > reader_.remaining() / 13) {
      return fail(cat(values, " metadata values do not fit the file"));
    }
    return {};
  }

  Status parse_value() {
    AWQ_ASSIGN(std::string key, read_string("a metadata key"));
    if (key.empty()) return fail("empty metadata key");
    AWQ_ASSIGN(const uint32_t type, read<uint32_t>(cat("the type of ", printable(key))));
    AWQ_ASSIGN(MetaValue value, read_value(type, key));
    const std::string name = printable(key);
    if (!result_.metadata.emplace(std::move(key), std::move(value)).second) {
      return fail(cat("duplicate metadata key ", name));
    }
    return {};
  }

  Result<MetaValue> read_value(uint32_t type, std::string_view key) {
    if (type == kArrayType) return read_array(key);
    if (type == kStringType) {
      AWQ_ASSIGN(std::string text, read_string(cat("the value of ", printable(key))));
      return MetaValue(std::move(text));
    }
    return read_scalar(type, key);
  }

  Result<MetaValue> read_scalar(uint32_t type, std::string_view key) {
    const size_t size = scalar_size(type);
    if (size == 0) return fail(cat(printable(key), " has the unknown value type ", type));
    const auto bytes = reader_.take(size);
    if (!bytes) return fail(cat("the file ends inside the value of ", printable(key)));
    const std::byte* data = bytes->data();
    switch (type) {
      case 0: return MetaValue(uint64_t{load_le<uint8_t>(data)});
      case 1: return MetaValue(int64_t{load_le<int8_t>(data)});
      case 2: return MetaValue(uint64_t{load_le<uint16_t>(data)});
      case 3: return MetaValue(int64_t{load_le<int16_t>(data)});
      case 4: return MetaValue(uint64_t{load_le<uint32_t>(data)});
      case 5: return MetaValue(int64_t{load_le<int32_t>(data)});
      case 6: return MetaValue(double{load_le<float>(data)});
      case 7:
        if (load_le<uint8_t>(data) > 1) return fail(cat(printable(key), ": a boolean above 1"));
        return MetaValue(load_le<uint8_t>(data) == 1);
      case 10: return MetaValue(load_le<uint64_t>(data));
      case 11: return MetaValue(load_le<int64_t>(data));
      default: return MetaValue(load_le<double>(data));
    }
  }

  Result<MetaValue> read_array(std::string_view key) {
    AWQ_ASSIGN(const uint32_t type, read<uint32_t>(cat("the array ", printable(key))));
    AWQ_ASSIGN(const uint64_t count, read<uint64_t>(cat("the array ", printable(key))));
    if (type == kArrayType) return fail(cat(printable(key), ": nested arrays are not read"));
    const size_t size = type == kStringType ? 8 : scalar_size(type);
    if (size == 0) return fail(cat(printable(key), " has the unknown element type ", type));
    if (count > reader_.remaining() / size) {
      return fail(cat("the array ", printable(key), " of ", count, " does not fit the file"));
    }
    if (type == kStringType) {
      std::vector<std::string> list;
      list.reserve(count);
      for (uint64_t i = 0; i < count; ++i) {
        AWQ_ASSIGN(std::string text, read_string(cat(printable(key), "[", i, "]")));
        list.push_back(std::move(text));
      }
      return MetaValue(std::move(list));
    }
    if (type == 6 || type == 12) {
      std::vector<double> list(count);
      for (double& value : list) {
        AWQ_ASSIGN(const MetaValue element, read_scalar(type, key));
        value = std::get<double>(element);
      }
      return MetaValue(std::move(list));
    }
    std::vector<int64_t> list(count);
    for (int64_t& value : list) {
      AWQ_ASSIGN(const MetaValue element, read_scalar(type, key));
      if (const auto* flag = std::get_if<bool>(&element)) value = *flag;
      if (const auto* number = std::get_if<int64_t>(&element)) value = *number;
      if (const auto* number = std::get_if<uint64_t>(&element)) {
        if (*number > uint64_t{INT64_MAX}) return fail(cat(printable(key), ": value too large"));
        value = static_cast<int64_t>(*number);
      }
    }
    return MetaValue(std::move(list));
  }

  Status read_alignment() {
    const auto found = result_.metadata.find("general.alignment");
    if (found == result_.metadata.end()) return {};
    const auto* value = std::get_if<uint64_t>(&found->second);
    if (value == nullptr || *value < 8 || *value > kAlignmentLimit || !std::has_single_bit(*value)) {
      return fail(cat("general.alignment must be a power of two from 8 to ", kAlignmentLimit));
    }
    alignment_ = *value;
    return {};
  }

  Status check_split() const {
    const auto found = result_.metadata.find("split.count");
    if (found == result_.metadata.end()) return {};
    const auto* count = std::get_if<uint64_t>(&found->second);
    if (count != nullptr && *count <= 1) return {};
    return bad_input(cat(origin_, ": one part of a split GGUF; splits are not read, merge them "
                         "into one file first"));
  }

  Status parse_tensor() {
    AWQ_ASSIGN(std::string name, read_string("a tensor name"));
    const std::string where = cat("tensor ", printable(name));
    if (name.empty() || name.size() >= 64) return fail(cat(where, ": name of ", name.size(), " bytes"));
    if (!names_.insert(name).second) return fail(cat("duplicate ", where));
    AWQ_ASSIGN(const uint32_t rank, read<uint32_t>(where));
    if (rank > 4) return fail(cat(where, ": ", rank, " dimensions, at most 4"));
    std::vector<int64_t> extents(rank);
    std::optional<uint64_t> elements = 1;
    for (uint32_t i = 0; i < rank; ++i) {
      AWQ_ASSIGN(const uint64_t extent, read<uint64_t>(where));
      elements = checked_mul(*elements, extent);
      if (!elements || *elements > uint64_t{INT64_MAX} || extent > uint64_t{INT64_MAX}) {
        return fail(cat(where, ": the dimensions' product is too large"));
      }
      extents[rank - 1 - i] = static_cast<int64_t>(extent);  // the file has the innermost first
    }
    AWQ_ASSIGN(const uint32_t type, read<uint32_t>(where));
    AWQ_ASSIGN(const uint64_t offset, read<uint64_t>(where));
    const std::optional<DType> dtype = ggml_type(type);
    if (!dtype) return fail(cat(where, ": ggml type ", type, " is not supported"));
    const DTypeInfo& info = dtype_info(*dtype);
    const auto columns = static_cast<uint64_t>(rank == 0 ? 1 : extents[rank - 1]);
    if (columns % info.block_elements != 0) {
      return fail(cat(where, ": rows of ", columns, " are not whole blocks of ",
                      info.block_elements));
    }
    const auto bytes = checked_mul(*elements / info.block_elements, info.block_bytes);
    if (!bytes) return fail(cat(where, ": its size is too large"));
    result_.tensors.push_back({std::move(name), *dtype, Shape(extents), {}, 0});
    places_.push_back({offset, *bytes});
    return {};
  }

  // Data begins at the next aligned offset; each tensor where the one before ended, padded.
  Status place_tensors() {
    const size_t start = (reader_.offset() + alignment_ - 1) / alignment_ * alignment_;
    uint64_t expected = 0;
    for (size_t i = 0; i < places_.size(); ++i) {
      const auto [offset, bytes] = places_[i];
      const std::string where = cat("tensor ", printable(result_.tensors[i].name));
      if (offset != expected) {
        return fail(cat(where, ": offset ", offset, ", expected ", expected));
      }
      if (start > file_.size() || bytes > file_.size() - start ||
          offset > file_.size() - start - bytes) {
        return fail(cat(where, ": ", bytes, " bytes at offset ", offset, " reach past the end of "
                        "the file; it is truncated"));
      }
      result_.tensors[i].data = file_.subspan(start + offset, bytes);
      expected = offset + bytes;  // inside the file: cannot wrap
      expected = (expected + alignment_ - 1) / alignment_ * alignment_;
    }
    return {};
  }

  std::span<const std::byte> file_;
  ByteReader reader_;
  std::string_view origin_;
  uint64_t alignment_ = 32;
  GgufFile result_;
  std::unordered_set<std::string> names_;
  std::vector<std::pair<uint64_t, uint64_t>> places_;  // offset, bytes
};

}  // namespace

Result<GgufFile> parse_gguf(std::span<const std::byte> file, std::string_view origin) {
  return Parser(file, origin).parse();
}

}  // namespace awq
