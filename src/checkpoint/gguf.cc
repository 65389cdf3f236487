#include "checkpoint/gguf.h"

#include <bit>
#include <unordered_set>

#include "checkpoint/extents.h"
#include "checkpoint/gguf_reader.h"
#include "checkpoint/impostor.h"

namespace awq {
namespace {

constexpr uint64_t kAlignmentLimit = uint64_t{64} << 10;

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

struct Counts {
  uint64_t tensors = 0, values = 0;
};

Status check_version(const GgufReader& reader, uint32_t version) {
  if (version == 2 || version == 3) return {};
  const std::string found = cat("version ", version);
  if (version == 1) return reader.fail_at(4, cat(found, " is not read; convert the model again"));
  if (version != 0 && (version & 0xFFFF) == 0) {
    return reader.fail_at(4, cat(found, ": a big-endian file, which is not read"));
  }
  return reader.fail_at(4, cat(found, " is unknown, expected 2 or 3",
                               version > 3 ? "; a newer program may be needed" : ""));
}

Result<Counts> read_header(GgufReader& reader, std::span<const std::byte> file) {
  const auto magic = reader.take(4);
  if (!magic || as_text(*magic) != "GGUF") {
    const std::string_view impostor = recognise_impostor(file);
    return bad_input(
        cat(reader.origin(), ": ",
            impostor.empty() ? "not a GGUF file (byte 0: expected \"GGUF\")" : impostor));
  }
  AWQ_ASSIGN(const uint32_t version, reader.read<uint32_t>("the version"));
  AWQ_TRY(check_version(reader, version));
  Counts counts;
  AWQ_ASSIGN(counts.tensors, reader.read<uint64_t>("the tensor count"));
  AWQ_ASSIGN(counts.values, reader.read<uint64_t>("the metadata count"));
  // A tensor record takes at least 8 + 1 + 4 + 4 + 8 bytes, a metadata record 8 + 1 + 4 + 1.
  if (counts.tensors > reader.remaining() / 25) {
    return reader.fail_at(8, cat(counts.tensors, " tensors do not fit the ", reader.remaining(),
                                 " bytes that are left"));
  }
  if (counts.values > reader.remaining() / 14) {
    return reader.fail_at(16, cat(counts.values, " metadata values do not fit the ",
                                  reader.remaining(), " bytes that are left"));
  }
  return counts;
}

Result<uint64_t> read_alignment(const GgufReader& reader, const Metadata& metadata) {
  const auto found = metadata.find("general.alignment");
  if (found == metadata.end()) return uint64_t{32};
  const auto* value = std::get_if<uint64_t>(&found->second);
  if (value == nullptr || *value < 8 || *value > kAlignmentLimit || !std::has_single_bit(*value)) {
    return bad_input(cat(reader.origin(), ": general.alignment is ",
                         value == nullptr ? std::string("not an unsigned integer") : cat(*value),
                         ", expected a power of two from 8 to ", kAlignmentLimit));
  }
  return *value;
}

Status check_split(const GgufReader& reader, const Metadata& metadata) {
  const auto found = metadata.find("split.count");
  if (found == metadata.end()) return {};
  const auto* count = std::get_if<uint64_t>(&found->second);
  if (count != nullptr && *count <= 1) return {};
  return bad_input(cat(reader.origin(), ": one part of a split GGUF",
                       count == nullptr ? "" : cat(" of ", *count, " files"),
                       "; parts are not read, merge them into one file first"));
}

struct Place {
  uint64_t offset = 0, bytes = 0;  // from the start of the data
};

Status read_tensor(GgufReader& reader, GgufFile& result, std::vector<Place>& places,
                   std::unordered_set<std::string_view>& names) {
  const size_t at = reader.offset();
  AWQ_ASSIGN(const std::string_view name,
             reader.read_string("the name of tensor ", result.tensors.size()));
  const auto fail = [&](std::string_view what) {
    return reader.fail_at(at, cat("tensor ", printable(name), ": ", what));
  };
  if (name.empty() || name.size() >= 64) {
    return fail(cat("a name of ", name.size(), " bytes, expected 1 to 63"));
  }
  if (!names.insert(name).second) return fail("is there twice");
  AWQ_ASSIGN(const uint32_t rank, reader.read<uint32_t>("tensor ", name));
  if (rank > 4) return fail(cat(rank, " dimensions, expected at most 4"));
  std::vector<int64_t> extents(rank);
  for (uint32_t i = 0; i < rank; ++i) {
    AWQ_ASSIGN(const uint64_t extent, reader.read<uint64_t>("tensor ", name));
    if (extent > uint64_t{INT64_MAX}) return fail(cat("dimension ", i, " is ", extent));
    extents[rank - 1 - i] = static_cast<int64_t>(extent);  // the file has the innermost first
  }
  AWQ_ASSIGN(const uint32_t type, reader.read<uint32_t>("tensor ", name));
  AWQ_ASSIGN(const uint64_t offset, reader.read<uint64_t>("tensor ", name));
  const std::optional<uint64_t> elements = checked_elements(extents);
  if (!elements) return fail(cat("the product of ", Shape(extents).text(), " is too large"));
  const std::optional<DType> dtype = ggml_type(type);
  if (!dtype) {
    return fail(cat("ggml type ", type,
                    " is not supported; convert it to one of Q4_0 to Q8_0, "
                    "Q2_K to Q6_K, F16, BF16 or F32"));
  }
  const DTypeInfo& info = dtype_info(*dtype);
  const Shape shape(extents);
  if (shape.columns() % info.block_elements != 0) {
    return fail(cat("rows of ", shape.columns(), " are not whole ", info.name, " blocks of ",
                    info.block_elements));
  }
  const auto bytes = checked_mul(*elements / info.block_elements, info.block_bytes);
  if (!bytes) return fail("its size is too large");
  result.tensors.push_back({std::string(name), *dtype, shape, {}, 0});
  places.push_back({offset, *bytes});
  return {};
}

// Data begins at the next aligned offset; each tensor where the one before ended, padded.
Status place_tensors(const GgufReader& reader, std::span<const std::byte> file, uint64_t alignment,
                     const std::vector<Place>& places, std::vector<TensorInfo>& tensors) {
  const uint64_t start = (reader.offset() + alignment - 1) / alignment * alignment;
  const uint64_t available = start > file.size() ? 0 : file.size() - start;
  uint64_t expected = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    const auto [offset, bytes] = places[i];
    const std::string where = cat("tensor ", printable(tensors[i].name), ": ");
    if (offset != expected) {
      return reader.fail_at(start, cat(where, "data offset ", offset, ", expected ", expected,
                                       ", where the tensor before it ends"));
    }
    if (bytes > available || offset > available - bytes) {
      return reader.fail_at(
          start, cat(where, bytes, " bytes at data offset ", offset, " end past the ", available,
                     " bytes of data; the file is truncated, download it again"));
    }
    // A tensor without bytes may lie at the end of a file that lacks the last padding.
    if (bytes > 0) tensors[i].data = file.subspan(start + offset, bytes);
    expected = (offset + bytes + alignment - 1) / alignment * alignment;  // inside: cannot wrap
  }
  return {};
}

}  // namespace

Result<GgufFile> parse_gguf(std::span<const std::byte> file, std::string_view origin) {
  GgufReader reader(file, origin);
  AWQ_ASSIGN(const Counts counts, read_header(reader, file));
  GgufFile result;
  AWQ_ASSIGN(result.metadata, read_gguf_metadata(reader, counts.values));
  AWQ_ASSIGN(const uint64_t alignment, read_alignment(reader, result.metadata));
  AWQ_TRY(check_split(reader, result.metadata));
  std::vector<Place> places;
  std::unordered_set<std::string_view> names;  // views of the file
  for (uint64_t i = 0; i < counts.tensors; ++i) {
    AWQ_TRY(read_tensor(reader, result, places, names));
  }
  AWQ_TRY(place_tensors(reader, file, alignment, places, result.tensors));
  return result;
}

}  // namespace awq
