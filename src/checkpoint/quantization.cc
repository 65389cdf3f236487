#include "checkpoint/quantization.h"

#include <cmath>
#include <cstring>
#include <optional>

#include "base/float16.h"
#include "checkpoint/packing.h"

namespace awq {
namespace {

std::optional<int64_t> integer_of(const Json& json, const char* key, const char* old_key) {
  for (const char* name : {key, old_key}) {
    const auto found = json.find(name);
    if (found != json.end() && found->is_number_integer()) return found->get<int64_t>();
  }
  return std::nullopt;
}

bool flag_of(const Json& json, const char* key, bool fallback) {
  const auto found = json.find(key);
  return found != json.end() && found->is_boolean() ? found->get<bool>() : fallback;
}

std::string text_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Status check_format_values(const QuantizationConfig& config, std::string_view where) {
  const QuantFormat& format = config.format;
  const bool bits = format.bits == 4 || (config.packed == PackedFormat::gptq &&
                                         (format.bits == 2 || format.bits == 3 || format.bits == 8));
  if (!bits) return bad_input(cat(where, ": bits ", format.bits, " is not supported"));
  if (format.group < 0 || format.group > (1 << 20)) {
    return bad_input(cat(where, ": group_size ", format.group, " is not supported"));
  }
  return {};
}

}  // namespace

Result<std::optional<QuantizationConfig>> QuantizationConfig::from_json(const Json& config,
                                                                        std::string_view origin) {
  const auto found = config.find("quantization_config");
  if (found == config.end() || found->is_null()) return std::optional<QuantizationConfig>();
  const std::string where = cat(origin, ": quantization_config");
  if (!found->is_object()) return bad_input(cat(where, ": expected an object"));
  const Json& json = *found;
  const std::string method = text_of(json, "quant_method");
  QuantizationConfig result;
  if (method == "awq") {
    result.packed = PackedFormat::awq_gemm;
    const std::string version = text_of(json, "version");
    if (!version.empty() && version != "gemm" && version != "GEMM") {
      return bad_input(cat(where, ": AWQ version \"", printable(version, 40),
                           "\" is not read; only gemm is"));
    }
    if (!flag_of(json, "zero_point", true)) {
      return bad_input(cat(where, ": AWQ without zero points is not read"));
    }
  } else if (method == "gptq") {
    result.packed = PackedFormat::gptq;
    result.format.symmetric = flag_of(json, "sym", true);
    const std::string format = text_of(json, "checkpoint_format");
    if (!format.empty() && format != "gptq" && format != "gptq_v2") {
      return bad_input(cat(where, ": checkpoint_format \"", printable(format, 40),
                           "\" is not read; gptq and gptq_v2 are"));
    }
    result.gptq_v2 = format == "gptq_v2";
  } else {
    return bad_input(cat(where, ": quant_method \"", printable(method, 40),
                         "\" is not read; awq and gptq are"));
  }
  const auto bits = integer_of(json, "bits", "w_bit");
  const auto group = integer_of(json, "group_size", "q_group_size");
  if (!bits || !group || *bits < 1 || *bits > 32) {
    return bad_input(cat(where, ": bits and group_size are missing or out of range"));
  }
  result.format.bits = static_cast<int>(*bits);
  result.format.group = *group == -1 ? 0 : *group == 0 ? -1 : *group;
  AWQ_TRY(check_format_values(result, where));
  return std::optional(result);
}

Json QuantizationConfig::to_json() const {
  const int64_t group = format.group == 0 ? -1 : format.group;
  if (packed == PackedFormat::awq_gemm) {
    return {{"quant_method", "awq"}, {"bits", format.bits},  {"group_size", group},
            {"zero_point", true},    {"version", "gemm"},    {"modules_to_not_convert", nullptr}};
  }
  return {{"quant_method", "gptq"}, {"bits", format.bits},      {"group_size", group},
          {"desc_act", false},      {"sym", format.symmetric},  {"checkpoint_format", "gptq"},
          {"true_sequential", true}, {"damp_percent", 0.01},    {"lm_head", false}};
}

PackedFormat packed_format_for(const QuantFormat& format) {
  return format.bits == 4 && !format.symmetric ? PackedFormat::awq_gemm : PackedFormat::gptq;
}

Status check_packable(PackedFormat packed, const QuantFormat& format, int64_t out, int64_t in,
                      std::string_view module) {
  if (packed == PackedFormat::awq_gemm) {
    if (out % 8 == 0) return {};
    return usage_error(cat(module, ": ", out, " outputs are not a multiple of 8, which the AWQ "
                           "layout packs into a word; use --sym for the GPTQ layout"));
  }
  // Whole words along both axes: 32 values of 3 bits, else 32 / bits.
  const int64_t unit = format.bits == 3 ? 32 : 32 / format.bits;
  if (in % unit == 0 && out % unit == 0) return {};
  return usage_error(cat(module, ": [", out, ", ", in, "] is not a multiple of ", unit,
                         ", which the GPTQ layout packs into a word at ", format.bits, " bits"));
}

std::vector<TensorDeclaration> packed_tensors(PackedFormat packed, const QuantFormat& format,
                                              int64_t out, int64_t in, std::string_view module) {
  const int64_t groups = format.groups(in);
  const auto name = [&](std::string_view suffix) { return cat(module, suffix); };
  if (packed == PackedFormat::awq_gemm) {
    return {{name(".qweight"), DType::i32, {in, out / 8}},
            {name(".qzeros"), DType::i32, {groups, out / 8}},
            {name(".scales"), DType::f16, {groups, out}}};
  }
  return {{name(".qweight"), DType::i32, {in * format.bits / 32, out}},
          {name(".qzeros"), DType::i32, {groups, out * format.bits / 32}},
          {name(".scales"), DType::f16, {groups, out}},
          {name(".g_idx"), DType::i32, {in}}};
}

Status write_packed(SafetensorsWriter& writer, PackedFormat packed, std::string_view module,
                    const QuantWeight& weight) {
  const PackedWords words =
      packed == PackedFormat::awq_gemm ? pack_awq(weight) : pack_gptq(weight);
  AWQ_TRY(writer.write(cat(module, ".qweight"), words.qweight.data(), words.qweight.size() * 4));
  AWQ_TRY(writer.write(cat(module, ".qzeros"), words.qzeros.data(), words.qzeros.size() * 4));
  AWQ_TRY(writer.write(cat(module, ".scales"), words.scales.data(), words.scales.size() * 2));
  if (packed == PackedFormat::awq_gemm) return {};
  std::vector<int32_t> groups(static_cast<size_t>(weight.in));
  const int64_t size = weight.format.group_size(weight.in);
  for (size_t k = 0; k < groups.size(); ++k) {
    groups[k] = static_cast<int32_t>(static_cast<int64_t>(k) / size);
  }
  return writer.write(cat(module, ".g_idx"), groups.data(), groups.size() * 4);
}

bool has_quantized(const Checkpoint& checkpoint, std::string_view module) {
  return checkpoint.find(cat(module, ".qweight")) != nullptr;
}

namespace {

Result<const TensorInfo*> need(const Checkpoint& checkpoint, const TensorDeclaration& wanted) {
  const TensorInfo* tensor = checkpoint.find(wanted.name);
  const std::string where =
      cat(printable(checkpoint.path()), ": tensor ", printable(wanted.name));
  if (tensor == nullptr) return bad_input(cat(where, " is missing"));
  // Scales may be stored as bfloat16 or float by other writers.
  const bool type = tensor->dtype == wanted.dtype ||
                    (wanted.dtype == DType::f16 && (tensor->dtype == DType::bf16 ||
                                                    tensor->dtype == DType::f32));
  if (!type || !(tensor->shape == wanted.shape)) {
    return bad_input(cat(where, " is ", dtype_name(tensor->dtype), " ", tensor->shape.text(),
                         ", expected ", dtype_name(wanted.dtype), " ", wanted.shape.text()));
  }
  return tensor;
}

Result<std::vector<uint16_t>> read_scales(const Checkpoint& checkpoint, const TensorInfo& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.shape.elements()));
  AWQ_TRY(checkpoint.read_rows(tensor, 0, tensor.shape.rows(), values.data()));
  std::vector<uint16_t> halves(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    halves[i] = float_to_half(values[i]);
    if (!std::isfinite(half_to_float(halves[i]))) {
      return bad_input(cat(printable(checkpoint.path()), ": tensor ", printable(tensor.name),
                           " holds the scale ", values[i], " at element ", i));
    }
  }
  return halves;
}

std::vector<int32_t> read_words(const TensorInfo& tensor) {
  std::vector<int32_t> words(tensor.data.size() / 4);
  std::memcpy(words.data(), tensor.data.data(), words.size() * 4);
  return words;
}

// Rows must belong to consecutive groups: act-order needs a permutation that is not read yet.
Status check_group_index(const Checkpoint& checkpoint, std::string_view module,
                         const QuantFormat& format, int64_t in) {
  const TensorInfo* tensor = checkpoint.find(cat(module, ".g_idx"));
  if (tensor == nullptr) return {};
  if (tensor->dtype != DType::i32 || tensor->shape.elements() != in) {
    return bad_input(cat(printable(checkpoint.path()), ": tensor ", printable(tensor->name),
                         " is not I32 [", in, "]"));
  }
  const std::vector<int32_t> groups = read_words(*tensor);
  const int64_t size = format.group_size(in);
  for (int64_t k = 0; k < in; ++k) {
    if (groups[static_cast<size_t>(k)] == k / size) continue;
    return bad_input(cat(printable(checkpoint.path()), ": ", printable(module),
                         " was quantized with act-order (g_idx), which is not read yet"));
  }
  return {};
}

}  // namespace

Result<QuantWeight> read_quantized(const Checkpoint& checkpoint, std::string_view module,
                                   const QuantizationConfig& config, int64_t out, int64_t in) {
  AWQ_TRY(check_packable(config.packed, config.format, out, in, module));
  const auto wanted = packed_tensors(config.packed, config.format, out, in, module);
  AWQ_TRY(checkpoint.check_unchanged());
  AWQ_ASSIGN(const TensorInfo* qweight, need(checkpoint, wanted[0]));
  AWQ_ASSIGN(const TensorInfo* qzeros, need(checkpoint, wanted[1]));
  AWQ_ASSIGN(const TensorInfo* scales, need(checkpoint, wanted[2]));
  AWQ_ASSIGN(const std::vector<uint16_t> halves, read_scales(checkpoint, *scales));
  const std::vector<int32_t> codes = read_words(*qweight), zeros = read_words(*qzeros);
  if (config.packed == PackedFormat::awq_gemm) {
    return unpack_awq(codes.data(), zeros.data(), halves.data(), config.format, out, in);
  }
  AWQ_TRY(check_group_index(checkpoint, module, config.format, in));
  return unpack_gptq(codes.data(), zeros.data(), halves.data(), config.format, out, in,
                     config.gptq_v2);
}

}  // namespace awq
