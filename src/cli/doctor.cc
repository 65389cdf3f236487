// awq doctor: what this binary holds and what this machine offers.
#include "base/format.h"
#include "cli/verb.h"
#include "kernels/backend.h"

namespace awq {
namespace {

constexpr double kGib = 1073741824.0;

Json device_json(const CudaDeviceInfo& info) {
  return {{"device", cat("cuda:", info.ordinal)},
          {"name", info.name},
          {"compute_capability", cat(info.major, ".", info.minor)},
          {"multiprocessors", info.multiprocessors},
          {"bytes", info.bytes},
          {"free_bytes", info.free},
          {"l2_bytes", info.l2_bytes}};
}

Status doctor(bool json) {
  const std::unique_ptr<Device> cpu = make_cpu_device();
  const auto driver = cuda_driver();
  const auto devices = cuda_devices(true);
  Json result = {{"cpu", cpu->description()},
                 {"cpu_backends", cpu_backends()},
                 {"cuda_architectures", cuda_architectures()},
                 {"cuda_driver", driver.ok() ? Json(*driver) : Json(nullptr)},
                 {"cuda_devices", Json::array()}};
  if (!devices.ok()) result["cuda_problem"] = devices.error().message;
  if (devices.ok()) {
    for (const CudaDeviceInfo& info : *devices) result["cuda_devices"].push_back(device_json(info));
  }
  if (json) return print_json(result);
  std::string names;
  for (const std::string_view name : cpu_backends()) append_item(names, name);
  std::string text = cat("cpu            ", cpu->description(), "\ncpu tables     ", names,
                         "\ncuda code for  ",
                         cuda_architectures().empty() ? "none: built without CUDA"
                                                      : cuda_architectures(),
                         "\n");
  if (driver.ok()) text += cat("cuda driver    ", *driver, "\n");
  if (!devices.ok()) return print(cat(text, "cuda devices   none: ", devices.error().message, "\n"));
  for (const CudaDeviceInfo& info : *devices) {
    text += cat("cuda:", info.ordinal, "         ", info.name, ", ", info.multiprocessors,
                " SMs, compute capability ", info.major, ".", info.minor, ", ",
                fixed(static_cast<double>(info.free) / kGib, 1), " of ",
                fixed(static_cast<double>(info.bytes) / kGib, 1), " GiB free\n");
  }
  return print(text);
}

}  // namespace

void add_doctor(CLI::App& app, Outcome& outcome) {
  auto json = std::make_shared<bool>(false);
  CLI::App* verb = app.add_subcommand("doctor", "show processors, GPUs and what this build can use");
  add_json_option(*verb, *json);
  verb->footer("Example:\n  awq doctor --json");
  verb->callback([json, &outcome] { outcome.status = doctor(*json); });
}

}  // namespace awq
