#include "quant/method.h"

#include "checkpoint/quantization.h"
#include "quant/output_placement.h"

namespace awq {

static constexpr std::string_view kMethodNames[] = {"rtn", "awq", "gptq", "awq+gptq"};

std::string_view method_name(Method method) { return kMethodNames[static_cast<size_t>(method)]; }

Result<Method> parse_method(std::string_view name) {
  for (size_t i = 0; i < std::size(kMethodNames); ++i) {
    if (kMethodNames[i] == name) return static_cast<Method>(i);
  }
  return usage_error(cat("--method ", printable(name), ": expected rtn, awq, gptq or awq+gptq"));
}

static bool divides_all(const Arch& arch, int64_t group) {
  for (const Linear& linear : block_linears(arch.block)) {
    if (!linear.keep_float && linear_shape(arch, linear)[1] % group != 0) return false;
  }
  return true;
}

Result<int64_t> auto_group(const Arch& arch) {
  for (const int64_t group : {128, 64, 32}) {
    if (divides_all(arch, group)) return group;
  }
  return usage_error("no group size of 128, 64 or 32 divides the inputs of every linear; "
                     "use --group none");
}

// Parts of one stored tensor share its words: one format for all of them.
static Status check_fused_format(const TensorReader& reader, const FormatPlan& formats,
                                 const Linear& linear, int64_t layer) {
  const Placement at = output_placement(reader, linear, layer);
  const auto format = formats.of(layer, linear.slot);
  for (const Slot other : at.sharers) {
    if (formats.of(layer, other) == format) continue;
    return usage_error(cat("--bits and --keep: ", slot_name(at.sharers.front()), " to ",
                           slot_name(at.sharers.back()), " of layer ", layer,
                           " are written as one tensor, ", at.module,
                           ": give them the same number of bits"));
  }
  return {};
}

static Status check_linear_format(const Arch& arch, const FormatPlan& formats, const Linear& linear,
                                  const QuantFormat& format) {
  const Shape shape = linear_shape(arch, linear);
  if (format.group > 0 && shape[1] % format.group != 0) {
    const auto fit = auto_group(arch);
    return usage_error(cat("--group ", format.group, " does not divide the ", shape[1],
                           " inputs of ", slot_name(linear.slot), "; use --group ",
                           fit.ok() ? cat(*fit) : std::string("none")));
  }
  return check_packable(formats.packed(), format, shape[0], shape[1], slot_name(linear.slot));
}

Status check_formats(const TensorReader& reader, const FormatPlan& formats) {
  const Arch& arch = reader.arch();
  for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
    for (const Linear& linear : block_linears(arch.block)) {
      AWQ_TRY(check_fused_format(reader, formats, linear, layer));
      const auto format = formats.of(layer, linear.slot);
      if (format) AWQ_TRY(check_linear_format(arch, formats, linear, *format));
    }
  }
  if (const auto head = formats.head()) {
    AWQ_TRY(check_linear_format(arch, formats, arch.lm_head, *head));
  }
  return {};
}

}  // namespace awq
