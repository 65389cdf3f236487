// The JSON of a safetensors header, judged while it is parsed: no tree is built, so that a header
// of a million tensors costs little more than its text.
#pragma once

#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/json.h"
#include "checkpoint/source.h"

namespace awq {

// {"name": {"dtype": "F32", "shape": [..], "data_offsets": [b, e]}, "__metadata__": {"k": "v"}}
class SafetensorsHeader final : public nlohmann::json_sax<Json> {
 public:
  explicit SafetensorsHeader(std::span<const std::byte> data) : data_(data) {}

  std::vector<TensorInfo> tensors;  ///< `data` is empty where it lies outside the file
  uint64_t needed = 0;              ///< the largest end of any tensor
  std::string error;                ///< says which tensor and field

  bool null() override { return refuse("null"); }
  bool boolean(bool) override { return refuse("true or false"); }
  bool number_float(number_float_t, const string_t&) override { return refuse("a fraction"); }
  bool number_integer(number_integer_t) override { return refuse("a negative number"); }
  bool binary(binary_t&) override { return refuse("binary data"); }
  bool number_unsigned(number_unsigned_t value) override;
  bool string(string_t& value) override;
  bool start_object(size_t) override;
  bool end_object() override;
  bool start_array(size_t) override;
  bool end_array() override;
  bool key(string_t& name) override;
  bool parse_error(size_t offset, const std::string&,
                   const nlohmann::detail::exception& problem) override;

 private:
  enum class Field { none, dtype, shape, data_offsets };

  bool fail(std::string message);
  bool refuse(std::string_view what);
  bool add_tensor();

  std::span<const std::byte> data_;
  int depth_ = 0;          // 1: among the tensors, 2: inside one, 3: inside an array of it
  bool metadata_ = false;  // inside __metadata__
  Field field_ = Field::none;
  unsigned seen_ = 0;  // bit per Field
  std::string name_, dtype_;
  std::vector<int64_t> shape_;
  std::vector<uint64_t> offsets_;
  std::unordered_set<std::string> names_, metadata_keys_;
};

}  // namespace awq
