// Quantized linears on disk: which tensors of a module make one, and their exact re-packing
// to and from the canonical form (no float round trip). docs/formats/awq.md, docs/formats/gptq.md
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "checkpoint/source.h"
#include "checkpoint/writer.h"
#include "tensor/quant_format.h"

namespace awq {

enum class PackedFormat { awq_gemm, gptq };

/// `quantization_config` of config.json.
struct QuantizationConfig {
  PackedFormat packed = PackedFormat::awq_gemm;
  QuantFormat format;
  bool gptq_v2 = false;  ///< zeros stored as they are, not minus one
  /// Modules have bit widths of their own ("dynamic"): read from the shape of their qweight.
  bool mixed = false;
  /// To be written: the modules whose bits are not format.bits; 0: kept in float.
  std::vector<std::pair<std::string, int>> exceptions;
  bool head = false;  ///< to be written: the head is quantized

  /// Nothing when the model is not quantized; an error for methods that are not read.
  static Result<std::optional<QuantizationConfig>> from_json(const Json& config,
                                                             std::string_view origin);
  Json to_json() const;
};

/// 4-bit asymmetric goes to AutoAWQ's gemm layout, everything else to GPTQ's. AWQ needs out % 8 ==
/// 0 and GPTQ in % (32 / bits) == 0 (3 bits: in % 32) and whole words along out.
PackedFormat packed_format_for(const QuantFormat& format);

/// Error naming the module when `format` of a [out, in] weight has no layout in `packed`.
Status check_packable(PackedFormat packed, const QuantFormat& format, int64_t out, int64_t in,
                      std::string_view module);

/// The format of `module`, which has `in` inputs: the config's, or its own where they are mixed.
QuantFormat module_format(const Checkpoint& checkpoint, std::string_view module,
                          const QuantizationConfig& config, int64_t in);

/// The tensors of one packed module: declarations and, after pack(), their bytes.
std::vector<TensorDeclaration> packed_tensors(PackedFormat packed, const QuantFormat& format,
                                              int64_t out, int64_t in, std::string_view module);
Status write_packed(SafetensorsWriter& writer, PackedFormat packed, std::string_view module,
                    const QuantWeight& weight);

/// What write_packed() wrote, in this run or an earlier one.
Result<QuantWeight> read_packed(const SafetensorsWriter& writer, PackedFormat packed,
                                const QuantFormat& format, int64_t out, int64_t in,
                                std::string_view module);

/// Whether a symmetric or asymmetric GPTQ checkpoint of ours stores zeros as they are (version 2).
/// Version 1 cannot hold the zero 0, which only asymmetric weights have.
inline bool writes_gptq_v2(const QuantFormat& format) { return !format.symmetric; }

/// Whether `module` is stored quantized (has "<module>.qweight").
bool has_quantized(const Checkpoint& checkpoint, std::string_view module);

/// Error naming the tensor of the module that is missing or has not the type or shape of [out, in].
Status check_quantized(const Checkpoint& checkpoint, std::string_view module,
                       const QuantizationConfig& config, int64_t out, int64_t in);

/// Reads it; checks as check_quantized() and that scales are finite and groups consecutive.
Result<QuantWeight> read_quantized(const Checkpoint& checkpoint, std::string_view module,
                                   const QuantizationConfig& config, int64_t out, int64_t in);

/// A weight whose codes are still words: `facts` without codes; `words` lie in the checkpoint's
/// mapping or in `storage`.
struct PackedQuant {
  QuantWeight facts;
  QuantWords words;
  std::vector<int32_t> storage;
};
/// As read_quantized().
Result<PackedQuant> read_packed(const Checkpoint& checkpoint, std::string_view module,
                                const QuantizationConfig& config, int64_t out, int64_t in);

}  // namespace awq
