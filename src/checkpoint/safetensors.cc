#include "checkpoint/safetensors.h"

#include <algorithm>

#include "base/bytes.h"
#include "checkpoint/impostor.h"
#include "checkpoint/safetensors_header.h"

namespace awq {
namespace {

// The header's text, or why these bytes cannot be a safetensors file.
Result<std::string_view> header_text(std::span<const std::byte> file, std::string_view origin) {
  if (file.size() < 8) {
    return bad_input(cat(origin, ": ", file.size(),
                         " bytes, shorter than the 8-byte header length; "
                         "download the file again"));
  }
  const auto length = load_le<uint64_t>(file.data());
  if (length > kSafetensorsHeaderLimit) {
    if (const std::string_view impostor = recognise_impostor(file); !impostor.empty()) {
      return bad_input(cat(origin, ": ", impostor));
    }
    return bad_input(cat(origin, ": header too large: byte 0 declares ", length,
                         " bytes, the limit is ", kSafetensorsHeaderLimit,
                         "; this is not a safetensors file"));
  }
  if (length > file.size() - 8) {
    return bad_input(cat(origin, ": byte 0 declares a header of ", length, " bytes, the file has ",
                         file.size() - 8, " more; it is truncated, download it again"));
  }
  const std::string_view header = as_text(file.subspan(8, length));
  if (header.empty() || header.front() != '{') {
    return bad_input(
        cat(origin, ": byte 8: the header of ", length, " bytes does not start with '{'"));
  }
  return header;
}

// Sorts by place and checks that the data is covered without holes or overlaps.
Status check_cover(std::vector<TensorInfo>& tensors, std::span<const std::byte> data,
                   uint64_t data_start, std::string_view origin) {
  // Empty tensors sort before the one that starts where they lie.
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return a.data.data() != b.data.data() ? a.data.data() < b.data.data()
                                          : a.data.size() < b.data.size();
  });
  const std::byte* expected = data.data();
  const auto place = [&](const std::byte* at) {
    return data_start + static_cast<uint64_t>(at - data.data());
  };
  for (const TensorInfo& tensor : tensors) {
    if (tensor.data.data() != expected) {
      return bad_input(cat(origin, ": tensor ", printable(tensor.name), " begins at byte ",
                           place(tensor.data.data()), ", expected ", place(expected), "; there is ",
                           tensor.data.data() > expected ? "a hole" : "an overlap"));
    }
    expected += tensor.data.size();
  }
  const std::byte* end = data.data() + data.size();
  if (expected != end) {
    return bad_input(cat(origin, ": the last tensor ends at byte ", place(expected),
                         ", the file has ", end - expected, " more; expected none"));
  }
  return {};
}

}  // namespace

Result<std::vector<TensorInfo>> parse_safetensors(std::span<const std::byte> file,
                                                  std::string_view origin) {
  AWQ_ASSIGN(const std::string_view text, header_text(file, origin));
  const uint64_t data_start = 8 + text.size();
  const std::span<const std::byte> data = file.subspan(data_start);
  SafetensorsHeader header(data);
  if (!Json::sax_parse(text.begin(), text.end(), &header)) {
    return bad_input(cat(origin, ": header: ", header.error));
  }
  if (header.needed > data.size()) {
    const auto past = std::find_if(header.tensors.begin(), header.tensors.end(),
                                   [](const auto& t) { return t.data.data() == nullptr; });
    return bad_input(cat(origin, ": the file has ", file.size(), " bytes, its header describes ",
                         cat(checked_add(data_start, header.needed).value_or(UINT64_MAX)),
                         " (tensor ", printable(past->name),
                         " ends past the end of the file); it is truncated, download it again"));
  }
  AWQ_TRY(check_cover(header.tensors, data, data_start, origin));
  return std::move(header.tensors);
}

}  // namespace awq
