// Which CPU tables there are, and which of them this processor runs.
#include "base/format.h"
#include "kernels/cpu.h"
#include "kernels/cpu/features.h"
#include "kernels/reference.h"

namespace awq {

std::vector<std::string_view> cpu_backends() { return {"scalar"}; }

Result<Ops> make_cpu_ops(Device& device, std::string_view name) {
  const std::vector<std::string_view> names = cpu_backends();
  if (name == "auto") name = names.back();
  if (name == "scalar") return reference_ops(device);
  std::string offered;
  for (const std::string_view each : names) offered += cat(offered.empty() ? "" : ", ", each);
  return usage_error(cat("no CPU backend \"", printable(name), "\" on this processor; choose one of: ",
                         offered, ", auto"));
}

}  // namespace awq
