#include "checkpoint/quantization.h"

#include <optional>

#include "checkpoint/packing.h"

namespace awq {
namespace {

std::optional<int64_t> integer_of(const Json& json, const char* key, const char* old_key) {
  for (const char* name : {key, old_key}) {
    const auto found = json.find(name);
    if (found == json.end() || !found->is_number_integer()) continue;
    if (found->is_number_unsigned() && found->get<uint64_t>() > uint64_t{INT64_MAX}) continue;
    return found->get<int64_t>();
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

// "bits" and "group_size" (-1: the whole row), under their names of today or AutoAWQ's old ones.
Status read_sizes(const Json& json, std::string_view where, QuantizationConfig& config) {
  const auto bits = integer_of(json, "bits", "w_bit");
  const auto group = integer_of(json, "group_size", "q_group_size");
  const bool gptq = config.packed == PackedFormat::gptq;
  if (!bits || !(*bits == 4 || (gptq && (*bits == 2 || *bits == 3 || *bits == 8)))) {
    return bad_input(cat(where, ": bits is ", bits ? cat(*bits) : std::string("missing"),
                         ", expected ", gptq ? "2, 3, 4 or 8" : "4"));
  }
  if (!group || *group < -1 || *group == 0 || *group > (1 << 20)) {
    return bad_input(cat(where, ": group_size is ", group ? cat(*group) : std::string("missing"),
                         ", expected -1 (the whole row) or 1 to 1048576"));
  }
  config.format.bits = static_cast<int>(*bits);
  config.format.group = *group == -1 ? 0 : *group;
  return {};
}

// GPTQModel's exceptions: "+:<regex>" with what differs, "-:<regex>" for modules that stay in float.
// Only their bits may differ, which the shapes of their tensors tell.
Status read_dynamic(const Json& json, std::string_view where, QuantizationConfig& config) {
  const auto dynamic = json.find("dynamic");
  if (dynamic == json.end() || dynamic->is_null()) return {};
  if (!dynamic->is_object()) return bad_input(cat(where, ": dynamic: expected an object"));
  for (const auto& [pattern, values] : dynamic->items()) {
    if (pattern.rfind("-:", 0) == 0) continue;
    if (!values.is_object()) {
      return bad_input(cat(where, ": dynamic ", printable(pattern, 80), ": expected an object"));
    }
    for (const auto& [key, value] : values.items()) {
      const bool same = key == "group_size" && value == (config.format.group == 0
                                                             ? int64_t{-1}
                                                             : config.format.group);
      if (key == "bits" || same || (key == "sym" && value == config.format.symmetric)) continue;
      return bad_input(cat(where, ": dynamic ", printable(pattern, 80), " changes ",
                           printable(key, 40), "; only modules of other bits are read"));
    }
    config.mixed = true;
  }
  return {};
}

// `text` as a regular expression for itself.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '.') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

QuantFormat module_format(const Checkpoint& checkpoint, std::string_view module,
                          const QuantizationConfig& config, int64_t in) {
  QuantFormat format = config.format;
  if (!config.mixed) return format;
  const TensorInfo* words = checkpoint.find(cat(module, ".qweight"));
  if (words == nullptr || words->shape.rank() != 2) return format;
  for (const int bits : {2, 3, 4, 8}) {
    if (words->shape[0] * 32 == in * bits) format.bits = bits;
  }
  return format;
}

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
      return bad_input(
          cat(where, ": AWQ version \"", printable(version, 40), "\" is not read; only gemm is"));
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
    AWQ_TRY(read_dynamic(json, where, result));
  } else {
    return bad_input(cat(where, ": quant_method \"", printable(method, 40),
                         "\" is not read; awq and gptq are, quantize the float model instead"));
  }
  AWQ_TRY(read_sizes(json, where, result));
  return std::optional(result);
}

Json QuantizationConfig::to_json() const {
  const int64_t group = format.group == 0 ? -1 : format.group;
  if (packed == PackedFormat::awq_gemm) {
    Json kept;  // null where there are none
    for (const auto& [module, bits] : exceptions) kept.push_back(module);
    return {{"quant_method", "awq"}, {"bits", format.bits}, {"group_size", group},
            {"zero_point", true},    {"version", "gemm"},   {"modules_to_not_convert", kept}};
  }
  Json json = {{"quant_method", "gptq"},
               {"bits", format.bits},
               {"group_size", group},
               {"desc_act", false},
               {"sym", format.symmetric},
               {"lm_head", head},
               {"checkpoint_format", writes_gptq_v2(format) ? "gptq_v2" : "gptq"}};
  for (const auto& [module, bits] : exceptions) {
    const std::string pattern = cat(bits == 0 ? "-:" : "+:", "^", escaped(module), "$");
    json["dynamic"][pattern] = bits == 0 ? Json::object() : Json({{"bits", bits}});
  }
  return json;
}

PackedFormat packed_format_for(const QuantFormat& format) {
  return format.bits == 4 && !format.symmetric ? PackedFormat::awq_gemm : PackedFormat::gptq;
}

Status check_packable(PackedFormat packed, const QuantFormat& format, int64_t out, int64_t in,
                      std::string_view module) {
  if (packed == PackedFormat::awq_gemm) {
    if (out % 8 == 0) return {};
    return usage_error(cat(module, ": ", out,
                           " outputs are not a multiple of 8, which the AWQ "
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
  const PackedWords words = packed == PackedFormat::awq_gemm
                                ? pack_awq(weight)
                                : pack_gptq(weight, writes_gptq_v2(weight.format));
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

Result<QuantWeight> read_packed(const SafetensorsWriter& writer, PackedFormat packed,
                                const QuantFormat& format, int64_t out, int64_t in,
                                std::string_view module) {
  const auto tensors = packed_tensors(packed, format, out, in, module);
  const auto elements = [&](size_t i) { return static_cast<size_t>(tensors[i].shape.elements()); };
  std::vector<int32_t> codes(elements(0)), zeros(elements(1));
  std::vector<uint16_t> scales(elements(2));
  AWQ_TRY(writer.read_back(tensors[0].name, codes.data(), codes.size() * 4));
  AWQ_TRY(writer.read_back(tensors[1].name, zeros.data(), zeros.size() * 4));
  AWQ_TRY(writer.read_back(tensors[2].name, scales.data(), scales.size() * 2));
  if (packed == PackedFormat::awq_gemm) {
    return unpack_awq(codes.data(), zeros.data(), scales.data(), format, out, in);
  }
  return unpack_gptq(codes.data(), zeros.data(), scales.data(), format, out, in,
                     writes_gptq_v2(format));
}

}  // namespace awq
