// The persistent decode kernel by itself: time per token of models of known shape with random
// weights, against the read-only roof of the same run, under tunings that `awq bench` does not
// offer.
//
//   cuda_decode_bench [SHAPE...]                  as of awq bench --synthetic (default llama-2-7b)
//     --layers N  --depth 2048,8192  --tokens 200
//     --bits 4
//     --tuning stages,in_flight_bytes,split_keys,rotate,copies,worth_percent   may be repeated
//     --times                                     where the time of a token goes
#include <cuda_fp16.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/cuda.h"
#include "kernels/cuda/decode.h"
#include "kernels/cuda/device.h"
#include "model/decode_spec.h"
#include "model/synthetic.h"
#include "runtime/kv_cache.h"

namespace awq::cuda {
namespace {

struct Options {
  std::vector<std::string> shapes;
  std::vector<int64_t> depths;
  std::vector<DecodeTuning> tunings;
  int64_t layers = 0, tokens = 200;
  int bits = 4;
  bool times = false;
};

template <class T>
T value_or_exit(Result<T> result) {
  if (result.ok()) return std::move(result).value();
  std::fprintf(stderr, "%s\n", result.error().message.c_str());
  std::exit(1);
}

class Timer {
 public:
  explicit Timer(cudaStream_t stream) : stream_(stream) {
    check(cudaEventCreate(&begin_), "event");
    check(cudaEventCreate(&end_), "event");
  }
  template <class F>
  double ms(const F& work) {
    check(cudaEventRecord(begin_, stream_), "event");
    work();
    check(cudaEventRecord(end_, stream_), "event");
    check(cudaEventSynchronize(end_), "event");
    float ms = 0;
    check(cudaEventElapsedTime(&ms, begin_, end_), "event");
    return ms;
  }

 private:
  cudaStream_t stream_;
  cudaEvent_t begin_, end_;
};

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

// Keys and values of the size that normed inputs give.
__global__ void fill(__half* values, int64_t count, uint32_t seed) {
  for (int64_t i = blockIdx.x * int64_t{256} + threadIdx.x; i < count;
       i += gridDim.x * int64_t{256}) {
    uint32_t x = static_cast<uint32_t>(i) * 0x9e3779b9u ^ seed;
    x = (x ^ x >> 16) * 0x85ebca6bu;
    values[i] = __float2half((static_cast<float>(x ^ x >> 13) * 0x1p-32f - 0.5f) * 3.46f);
  }
}

std::vector<KvView> filled_caches(CudaDevice& device, KvCache& cache, int64_t layers) {
  std::vector<KvView> views;
  for (int64_t layer = 0; layer < layers; ++layer) {
    const KvView view = cache.view(layer);
    const int64_t count = static_cast<int64_t>(cache.bytes()) / layers / 4;
    uint32_t seed = static_cast<uint32_t>(layer) * 2;
    for (void* values : {view.k, view.v}) {
      fill<<<1024, 256, 0, device.stream()>>>(static_cast<__half*>(values), count, ++seed);
    }
    views.push_back(view);
  }
  return views;
}

uint64_t weight_bytes(const DecodeSpec& spec) {
  uint64_t bytes = spec.head->bytes;
  for (const DecodeLayer& layer : spec.layers) {
    for (const PackedWeight* weight :
         {layer.q, layer.k, layer.v, layer.o, layer.gate, layer.up, layer.down}) {
      bytes += weight->bytes;
    }
  }
  return bytes;
}

// Clocks of each block, averaged over blocks and the layers from the second on.
void print_times(int blocks, int layers, const std::vector<long long>& stamps) {
  const char* names[] = {"qkv", "attention", "o", "gate/up", "down"};
  const auto at = [&](int op, int event, int block) {
    return stamps[static_cast<size_t>((op * 4 + event) * blocks + block)];
  };
  std::printf("    mean clocks of one token's layers: input waited for, multiplied, others waited for, posted\n");
  for (int o = 0; o < 5; ++o) {
    double wait = 0, own = 0, work = 0, post = 0;
    long count = 0;
    for (int op = 5 + o; op < layers * 5; op += 5) {
      for (int b = 0; b < blocks; ++b) {
        const long long before = at(op - 1, 2, b), begin = at(op, 0, b), end = at(op, 2, b);
        if (end == 0 || before == 0 || (o != 1 && begin == 0)) continue;
        if (o == 1) {
          work += static_cast<double>(end - before);
        } else {
          wait += static_cast<double>(begin - before);
          own += static_cast<double>(at(op, 3, b) - begin);
          work += static_cast<double>(at(op, 1, b) - at(op, 3, b));
          post += static_cast<double>(end - at(op, 1, b));
        }
        ++count;
      }
    }
    if (count > 0) {
      std::printf("    %-10s %7.0f %7.0f %7.0f %7.0f\n", names[o], wait / count, own / count,
                  work / count, post / count);
    }
  }
}

// A prompt of four tokens, then greedy, in ten parts.
void measure_depth(CudaDevice& device, const DecodeSpec& spec, const DecodeTuning& tuning,
                   DecodeStep& step, int64_t depth, int64_t tokens, double roof) {
  Timer timer(device.stream());
  int64_t past = depth;
  for (int32_t i = 0; i < 4; ++i) step.step(i + 1, past++);
  const int64_t part = std::max<int64_t>(1, tokens / 10);
  std::vector<int32_t> ids(static_cast<size_t>(part));
  int32_t token = 5;
  step.greedy(token, past, ids);  // warm
  std::vector<double> ms, single;
  for (int i = 0; i < 10; ++i) {
    ms.push_back(timer.ms([&] { step.greedy(token, past, ids); }) / static_cast<double>(part));
    token = ids.back();
    past += part;
  }
  for (int i = 0; i < 9; ++i) single.push_back(timer.ms([&] { step.step(5, past); }));
  const double t = median(ms);
  const auto kv = static_cast<double>(spec.layers.size()) * static_cast<double>(spec.kv_heads) *
                  static_cast<double>(depth + 4 + tokens / 2) * static_cast<double>(spec.head_dim) *
                  4;
  const double bytes = static_cast<double>(weight_bytes(spec)) + kv;
  std::printf(
      "  stages %2d in flight %6d split %4d rotate %d copies %d worth %.2f depth %5ld: %7.4f ms "
      "%6.1f tok/s  %.4f GB  %5.1f%% of roof  (step() %.4f ms)\n",
      tuning.stages, tuning.in_flight, tuning.split_keys, tuning.rotate, tuning.copies,
      tuning.worth, static_cast<long>(depth), t, 1e3 / t, bytes * 1e-9,
      bytes * 1e3 / t / roof * 100, median(single));
  std::fflush(stdout);
}

void measure(Device& base, const Ops& ops, const std::string& shape, const Options& options,
             double roof) {
  CudaDevice& device = cuda_device(base);
  const Model model = value_or_exit(make_synthetic_model({.shape = shape, .bits = options.bits, .layers = options.layers}, ops));
  const int64_t deepest = *std::max_element(options.depths.begin(), options.depths.end());
  KvCache cache(base, model.arch, deepest + options.tokens + 64, DType::f16);
  const auto views = filled_caches(device, cache, model.arch.sizes.layers);
  const auto spec = decode_spec(model, views, cache.capacity());
  const int layers = static_cast<int>(model.arch.sizes.layers), blocks = device.multiprocessors();
  std::printf("%s: %d layers\n", shape.c_str(), layers);
  for (DecodeTuning tuning : options.tunings) {
    DeviceBuffer times;
    std::vector<long long> stamps;
    if (options.times) {
      stamps.resize(static_cast<size_t>((layers * 5 + 1) * 4 * blocks));
      times = DeviceBuffer(base, stamps.size() * sizeof(long long));
      base.upload(times.data(), stamps.data(), times.size());
      tuning.times = times.as<long long>();
    }
    const auto step = spec ? plan_fused_decode(base, *spec, tuning) : nullptr;
    if (step == nullptr) {
      std::printf("  no plan\n");
      return;
    }
    for (const int64_t depth : options.depths) {
      measure_depth(device, *spec, tuning, *step, depth, options.tokens, roof);
      if (!options.times) continue;
      base.download(stamps.data(), times.data(), times.size());
      print_times(blocks, layers, stamps);
    }
  }
}

std::vector<int64_t> numbers(const char* text) {
  std::vector<int64_t> v;
  for (const char* p = text; *p != 0;) {
    char* end = nullptr;
    const long value = std::strtol(p, &end, 10);
    if (end == p) break;
    v.push_back(value);
    p = *end == ',' ? end + 1 : end;
  }
  return v;
}

DecodeTuning tuning_of(const std::vector<int64_t>& v) {
  DecodeTuning t;
  if (v.size() > 0) t.stages = static_cast<int>(v[0]);
  if (v.size() > 1) t.in_flight = static_cast<int>(v[1]);
  if (v.size() > 2) t.split_keys = static_cast<int>(v[2]);
  if (v.size() > 3) t.rotate = v[3] != 0;
  if (v.size() > 4) t.copies = v[4] != 0;
  if (v.size() > 5) t.worth = static_cast<double>(v[5]) * 0.01;
  return t;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const char* next = i + 1 < argc ? argv[i + 1] : "";
    if (arg == "--times") {
      options.times = true;
    } else if (arg == "--layers") {
      options.layers = std::atol(next), ++i;
    } else if (arg == "--tokens") {
      options.tokens = std::max(1L, std::atol(next)), ++i;
    } else if (arg == "--bits") {
      options.bits = std::atoi(next), ++i;
    } else if (arg == "--depth") {
      options.depths = numbers(next), ++i;
    } else if (arg == "--tuning") {
      options.tunings.push_back(tuning_of(numbers(next))), ++i;
    } else {
      options.shapes.push_back(arg);
    }
  }
  if (options.shapes.empty()) options.shapes = {"llama-2-7b"};
  if (options.depths.empty()) options.depths = {0};
  if (options.tunings.empty()) options.tunings.push_back({});
  return options;
}

}  // namespace
}  // namespace awq::cuda

int main(int argc, char** argv) {
  using namespace awq;
  const cuda::Options options = cuda::parse(argc, argv);
  const auto device = cuda::value_or_exit(make_cuda_device(0));
  const Ops ops = make_cuda_ops(*device);
  const double roof = measure_cuda_read_bandwidth(*device, uint64_t{4} << 30);
  std::printf("%s, read roof %.1f GB/s\n", device->description().c_str(), roof * 1e-9);
  for (const std::string& shape : options.shapes) {
    cuda::measure(*device, ops, shape, options, roof);
  }
}
