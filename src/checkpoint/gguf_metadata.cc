#include "checkpoint/gguf_reader.h"

namespace awq {
namespace {

constexpr uint32_t kStringType = 8, kArrayType = 9;
// An element takes up to 32 bytes in memory but one in the file: a limit far above any vocabulary
// keeps a small file from asking for a lot of memory.
constexpr uint64_t kArrayLimit = uint64_t{1} << 22;

// Size of a scalar value type; 0 for strings, arrays and unknown types.
size_t scalar_size(uint32_t type) {
  static constexpr size_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return type < std::size(kSizes) ? kSizes[type] : 0;
}

using Scalar = std::variant<bool, int64_t, uint64_t, double>;

// A boolean byte above 1 is judged by the caller.
Scalar load_scalar(uint32_t type, const std::byte* data) {
  switch (type) {
    case 0: return uint64_t{load_le<uint8_t>(data)};
    case 1: return int64_t{load_le<int8_t>(data)};
    case 2: return uint64_t{load_le<uint16_t>(data)};
    case 3: return int64_t{load_le<int16_t>(data)};
    case 4: return uint64_t{load_le<uint32_t>(data)};
    case 5: return int64_t{load_le<int32_t>(data)};
    case 6: return double{load_le<float>(data)};
    case 7: return load_le<uint8_t>(data) != 0;
    case 10: return load_le<uint64_t>(data);
    case 11: return load_le<int64_t>(data);
    default: return load_le<double>(data);
  }
}

Result<Scalar> read_scalar(GgufReader& reader, uint32_t type, std::string_view key) {
  const size_t size = scalar_size(type);
  if (size == 0) {
    return reader.fail(
        cat(printable(key), " has the unknown value type ", type, ", expected 0 to 12"));
  }
  const auto bytes = reader.take(size);
  if (!bytes) return reader.fail(cat("the file ends inside the value of ", printable(key)));
  if (type == 7 && load_le<uint8_t>(bytes->data()) > 1) {
    return reader.fail_at(reader.offset() - 1,
                          cat(printable(key), " is a boolean of ", load_le<uint8_t>(bytes->data()),
                              ", expected 0 or 1"));
  }
  return load_scalar(type, bytes->data());
}

Result<MetaValue> read_texts(GgufReader& reader, uint64_t count, std::string_view key) {
  std::vector<std::string> list;
  list.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    AWQ_ASSIGN(const std::string_view text, reader.read_string("string ", i, " of ", key));
    list.emplace_back(text);
  }
  return MetaValue(std::move(list));
}

Result<MetaValue> read_integers(GgufReader& reader, uint32_t type, uint64_t count,
                                std::string_view key) {
  std::vector<int64_t> list(count);
  for (int64_t& value : list) {
    AWQ_ASSIGN(const Scalar element, read_scalar(reader, type, key));
    if (const auto* flag = std::get_if<bool>(&element)) value = *flag;
    if (const auto* number = std::get_if<int64_t>(&element)) value = *number;
    if (const auto* number = std::get_if<uint64_t>(&element)) {
      if (*number > uint64_t{INT64_MAX}) {
        return reader.fail(cat(printable(key), " holds ", *number, ", above 2^63 - 1"));
      }
      value = static_cast<int64_t>(*number);
    }
  }
  return MetaValue(std::move(list));
}

Result<MetaValue> read_array(GgufReader& reader, std::string_view key) {
  AWQ_ASSIGN(const uint32_t type, reader.read<uint32_t>("the element type of ", key));
  const size_t at = reader.offset();
  AWQ_ASSIGN(const uint64_t count, reader.read<uint64_t>("the length of ", key));
  if (type == kArrayType) {
    return reader.fail(cat(printable(key), " is an array of arrays, which is not read"));
  }
  const size_t size = type == kStringType ? 8 : scalar_size(type);
  if (size == 0) {
    return reader.fail(
        cat(printable(key), " has the unknown element type ", type, ", expected 0 to 12"));
  }
  if (count > reader.remaining() / size || count > kArrayLimit) {
    return reader.fail_at(at, cat(printable(key), " declares ", count, " elements of ", size,
                                  " bytes or more, the file has ", reader.remaining(),
                                  " bytes left and the limit is ", kArrayLimit, " elements"));
  }
  if (type == kStringType) return read_texts(reader, count, key);
  if (type != 6 && type != 12) return read_integers(reader, type, count, key);
  std::vector<double> list(count);
  for (double& value : list) {
    AWQ_ASSIGN(const Scalar element, read_scalar(reader, type, key));
    value = std::get<double>(element);
  }
  return MetaValue(std::move(list));
}

Result<MetaValue> read_value(GgufReader& reader, uint32_t type, std::string_view key) {
  if (type == kArrayType) return read_array(reader, key);
  if (type == kStringType) {
    AWQ_ASSIGN(const std::string_view text, reader.read_string("the value of ", key));
    return MetaValue(std::string(text));
  }
  AWQ_ASSIGN(const Scalar scalar, read_scalar(reader, type, key));
  return std::visit([](auto value) { return MetaValue(value); }, scalar);
}

}  // namespace

Error GgufReader::ends_inside(std::string_view what, size_t size) const {
  return fail(cat("the file ends inside ", printable(what), ": expected ", size, " bytes, ",
                  remaining(), " are left; it is truncated"));
}

Error GgufReader::bad_length(size_t start, uint64_t length, std::string_view what) const {
  return fail_at(start, cat(printable(what), " declares ", length, " bytes, the file has ",
                            remaining(), " left and the limit is ", kStringLimit));
}

Result<Metadata> read_gguf_metadata(GgufReader& reader, uint64_t count) {
  Metadata metadata;
  for (uint64_t i = 0; i < count; ++i) {
    const size_t at = reader.offset();
    AWQ_ASSIGN(const std::string_view key, reader.read_string("metadata key ", i));
    if (key.empty()) return reader.fail_at(at, cat("metadata key ", i, " is empty"));
    AWQ_ASSIGN(const uint32_t type, reader.read<uint32_t>("the type of ", key));
    AWQ_ASSIGN(MetaValue value, read_value(reader, type, key));
    if (!metadata.emplace(key, std::move(value)).second) {
      return reader.fail_at(at, cat("metadata key ", printable(key), " is there twice"));
    }
  }
  return metadata;
}

}  // namespace awq
