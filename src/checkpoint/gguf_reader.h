// A cursor over a GGUF file whose every failure names the file, the field and the byte.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "checkpoint/source.h"

namespace awq {

class GgufReader {
 public:
  GgufReader(std::span<const std::byte> file, std::string_view origin)
      : bytes_(file), origin_(origin) {}

  std::string_view origin() const { return origin_; }
  size_t offset() const { return bytes_.offset(); }
  size_t remaining() const { return bytes_.remaining(); }

  Error fail(std::string_view what) const { return fail_at(offset(), what); }
  Error fail_at(uint64_t offset, std::string_view what) const {
    return bad_input(cat(origin_, ": byte ", offset, ": ", what));
  }

  std::optional<std::span<const std::byte>> take(uint64_t size) { return bytes_.take(size); }

  /// `what` names the field: texts are joined only when the read fails.
  template <class T, class... Texts>
  Result<T> read(const Texts&... what) {
    const std::optional<T> value = bytes_.read<T>();
    if (!value) return ends_inside(cat(what...), sizeof(T));
    return *value;
  }

  /// u64 length and bytes.
  template <class... Texts>
  Result<std::string_view> read_string(const Texts&... what) {
    const size_t start = offset();
    AWQ_ASSIGN(const uint64_t length, read<uint64_t>(what...));
    if (length > kStringLimit || length > remaining()) {
      return bad_length(start, length, cat(what...));
    }
    return as_text(*bytes_.take(length));
  }

 private:
  static constexpr uint64_t kStringLimit = uint64_t{16} << 20;
  Error ends_inside(std::string_view what, size_t size) const;
  Error bad_length(size_t start, uint64_t length, std::string_view what) const;

  ByteReader bytes_;
  std::string_view origin_;
};

/// `count` key-value pairs.
Result<Metadata> read_gguf_metadata(GgufReader& reader, uint64_t count);

}  // namespace awq
