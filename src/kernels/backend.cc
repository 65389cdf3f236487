#include "kernels/backend.h"

#include <charconv>

#include "base/format.h"

namespace awq {
namespace {

Result<Backend> cpu_backend(const BackendOptions& options, std::string remark) {
  Backend backend{make_cpu_device(options.threads), {}, std::move(remark)};
  AWQ_ASSIGN(backend.ops, make_cpu_ops(*backend.device, options.backend, options.activations));
  return backend;
}

Result<Backend> cuda_backend(const BackendOptions& options, int ordinal) {
  Backend backend;
  AWQ_ASSIGN(backend.device, make_cuda_device(ordinal, options.max_vram));
  backend.ops = make_cuda_ops(*backend.device);
  return backend;
}

}  // namespace

Result<Backend> make_backend(const BackendOptions& options) {
  const std::string_view device = options.device;
  if (device == "cpu") return cpu_backend(options, "");
  if (device == "auto") {
    const bool of_cpu = options.backend != "auto" || options.activations != Activations::a16;
    if (cuda_architectures().empty() || of_cpu) return cpu_backend(options, "");
    const auto devices = cuda_devices();
    if (!devices.ok()) return cpu_backend(options, cat(devices.error().message, "; using the CPU"));
    std::string remark;
    for (const CudaDeviceInfo& info : devices.value()) {
      auto backend = cuda_backend(options, info.ordinal);
      if (backend.ok()) return backend;
      if (remark.empty()) remark = backend.error().message;
    }
    return cpu_backend(options, cat(remark, "; using the CPU"));
  }
  if (device.substr(0, 4) == "cuda") {
    int ordinal = 0;
    const std::string_view rest = device.substr(4);
    const auto [end, code] =
        std::from_chars(rest.data() + !rest.empty(), rest.data() + rest.size(), ordinal);
    const bool whole = code == std::errc() && end == rest.data() + rest.size();
    if (rest.empty() || (rest.front() == ':' && whole && ordinal >= 0)) {
      if (options.backend != "auto") {
        return usage_error("--backend chooses among CPU tables; it does not go with --device cuda");
      }
      if (options.activations != Activations::a16) {
        return usage_error("--activations a8 is for the CPU; it does not go with --device cuda");
      }
      return cuda_backend(options, ordinal);
    }
  }
  return usage_error(cat("no device \"", printable(device, 40),
                         "\"; choose auto, cpu, cuda or cuda:N with N from `awq doctor`"));
}

Ops quantization_ops(const Backend& backend, bool tf32) {
  if (!tf32 || backend.device->host_visible()) return backend.ops;
  return make_cuda_quantization_ops(*backend.device);
}

double measure_read_roof(Device& device) {
  return device.host_visible() ? measure_read_bandwidth(device, uint64_t{256} << 20, 0.1)
                               : measure_cuda_read_bandwidth(device, uint64_t{1} << 30);
}

}  // namespace awq
