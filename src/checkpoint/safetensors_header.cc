#include "checkpoint/safetensors_header.h"

#include <algorithm>
#include <optional>

#include "checkpoint/extents.h"

namespace awq {
namespace {

constexpr DType kTypes[] = {DType::f64,     DType::f32, DType::f16, DType::bf16, DType::f8_e4m3,
                            DType::f8_e5m2, DType::i64, DType::i32, DType::i16,  DType::i8,
                            DType::u64,     DType::u32, DType::u16, DType::u8,   DType::boolean};

std::optional<DType> dtype_of(std::string_view name) {
  for (const DType type : kTypes) {
    if (dtype_name(type) == name) return type;
  }
  return std::nullopt;
}

std::string known_types() {
  std::string list;
  for (const DType type : kTypes) append_item(list, dtype_name(type));
  return list;
}

}  // namespace

bool SafetensorsHeader::fail(std::string message) {
  error = cat(depth_ > 0 && !name_.empty() ? cat("tensor ", printable(name_), ": ") : "", message);
  return false;
}

bool SafetensorsHeader::refuse(std::string_view what) {
  static constexpr std::string_view kFields[] = {"", "dtype: ", "shape: ", "data_offsets: "};
  const std::string_view wanted = depth_ <= 1              ? "an object"
                                  : depth_ == 3            ? "an integer that is not negative"
                                  : metadata_              ? "a string"
                                  : field_ == Field::dtype ? "a string"
                                                           : "an array";
  const std::string_view field = depth_ >= 2 ? kFields[static_cast<size_t>(field_)] : "";
  return fail(cat(field, what, ", expected ", wanted));
}

bool SafetensorsHeader::number_unsigned(number_unsigned_t value) {
  if (depth_ != 3) return refuse("a number");
  if (field_ == Field::shape) {
    if (value > uint64_t{INT64_MAX}) return fail(cat("shape: extent ", value, " is too large"));
    if (shape_.size() >= Shape::kMaxRank) return fail(cat("shape: rank above ", Shape::kMaxRank));
    shape_.push_back(static_cast<int64_t>(value));
    return true;
  }
  if (offsets_.size() >= 2) return fail("data_offsets: more than two entries, expected two");
  offsets_.push_back(value);
  return true;
}

bool SafetensorsHeader::string(string_t& value) {
  if (depth_ == 2 && metadata_) return true;
  if (depth_ != 2 || field_ != Field::dtype) return refuse("a string");
  dtype_ = std::move(value);
  return true;
}

bool SafetensorsHeader::start_object(size_t) {
  if (depth_ >= 2) return refuse("an object");
  ++depth_;
  return true;
}

bool SafetensorsHeader::end_object() {
  if (depth_ == 2 && !metadata_ && !add_tensor()) return false;
  --depth_;
  metadata_ = false;
  return true;
}

bool SafetensorsHeader::start_array(size_t) {
  if (depth_ != 2 || metadata_ || field_ == Field::dtype) return refuse("an array");
  ++depth_;
  return true;
}

bool SafetensorsHeader::end_array() {
  --depth_;
  return true;
}

bool SafetensorsHeader::key(string_t& name) {
  if (depth_ == 1) {
    name_ = std::move(name);
    metadata_ = name_ == "__metadata__";
    seen_ = 0;
    field_ = Field::none;
    shape_.clear();
    offsets_.clear();
    metadata_keys_.clear();
    return names_.insert(name_).second || fail("named twice");
  }
  if (metadata_) {
    return metadata_keys_.insert(name).second ||
           fail(cat("key ", printable(name), " is there twice"));
  }
  field_ = name == "dtype"          ? Field::dtype
           : name == "shape"        ? Field::shape
           : name == "data_offsets" ? Field::data_offsets
                                    : Field::none;
  if (field_ == Field::none) {
    return fail(cat("unknown key ", printable(name), ", expected dtype, shape or data_offsets"));
  }
  const unsigned bit = 1u << static_cast<unsigned>(field_);
  if ((seen_ & bit) != 0) return fail(cat("key ", name, " is there twice"));
  seen_ |= bit;
  return true;
}

bool SafetensorsHeader::parse_error(size_t offset, const std::string&,
                                    const nlohmann::detail::exception& problem) {
  std::string_view reason = problem.what();
  if (const size_t colon = reason.find(": "); colon != std::string_view::npos) {
    reason.remove_prefix(colon + 2);
  }
  // The position counts from 1 after the 8 bytes of the length.
  error = cat("not valid JSON at byte ", 7 + offset, " of the file: ", printable(reason));
  return false;
}

bool SafetensorsHeader::add_tensor() {
  if (seen_ != 0b1110 || offsets_.size() != 2) {
    return fail(cat("expected dtype, shape and data_offsets [begin, end], found ", offsets_.size(),
                    " data_offsets"));
  }
  const std::optional<DType> dtype = dtype_of(dtype_);
  if (!dtype) {
    return fail(
        cat("dtype \"", printable(dtype_, 40), "\" is not supported; supported: ", known_types()));
  }
  const uint64_t begin = offsets_[0], end = offsets_[1];
  if (end < begin) return fail(cat("data_offsets [", begin, ", ", end, "] end before they begin"));
  const std::optional<uint64_t> elements = checked_elements(shape_);
  const std::optional<uint64_t> bytes =
      elements ? checked_mul(*elements, dtype_info(*dtype).block_bytes) : std::nullopt;
  if (!bytes || *bytes != end - begin) {
    return fail(cat("shape ", Shape(shape_).text(), " of ", dtype_, " needs ",
                    bytes ? cat(*bytes) : std::string("more than 2^63"), " bytes, data_offsets [",
                    begin, ", ", end, "] span ", end - begin));
  }
  needed = std::max(needed, end);
  const bool inside = end <= data_.size();
  tensors.push_back({name_, *dtype, Shape(shape_),
                     inside ? data_.subspan(begin, end - begin) : std::span<const std::byte>(), 0});
  return true;
}

}  // namespace awq
