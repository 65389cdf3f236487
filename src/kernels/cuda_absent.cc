// What the functions of cuda.h answer in a build without CUDA.
#ifndef AWQ_WITH_CUDA
#include "kernels/cuda.h"

namespace awq {
namespace {

Error absent() {
  return resource_error("this awq was built without CUDA; build it where nvcc is found "
                        "(-DAWQ_CUDA=ON), or use --device cpu");
}

}  // namespace

std::string_view cuda_architectures() { return ""; }
Result<std::string> cuda_driver() { return absent(); }
Result<std::vector<CudaDeviceInfo>> cuda_devices(bool) { return absent(); }
Result<std::unique_ptr<Device>> make_cuda_device(int, uint64_t) { return absent(); }
Ops make_cuda_ops(Device&) { AWQ_CHECK(false, "no CUDA in this build"); return {}; }
Ops make_cuda_quantization_ops(Device&) { AWQ_CHECK(false, "no CUDA in this build"); return {}; }
double measure_cuda_read_bandwidth(Device&, uint64_t) { return 0; }

}  // namespace awq
#endif
