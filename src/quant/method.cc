#include "quant/method.h"

#include "checkpoint/quantization.h"

namespace awq {

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

Status check_format(const Arch& arch, const QuantFormat& format) {
  for (const Linear& linear : block_linears(arch.block)) {
    if (linear.keep_float) continue;
    const Shape shape = linear_shape(arch, linear);
    if (format.group > 0 && shape[1] % format.group != 0) {
      const auto fit = auto_group(arch);
      return usage_error(cat("--group ", format.group, " does not divide the ", shape[1],
                             " inputs of ", slot_name(linear.slot), "; use --group ",
                             fit.ok() ? cat(*fit) : std::string("none")));
    }
    AWQ_TRY(check_packable(packed_format_for(format), format, shape[0], shape[1],
                           slot_name(linear.slot)));
  }
  return {};
}

}  // namespace awq
