// Matrix products of the CUDA backend against what the device can do, measured in the same run: the
// rate of a read-only sweep, and cuBLAS on the same shapes in half precision. Weights are rotated
// over more than four times the L2 cache; times are medians of CUDA graph replays.
//
//   cuda_kernels_bench [--json] [--quick] [--check] | --plans
//
// --plans times every way to cut a product for warpgroups, and cuBLAS without and behind decoding;
// --check only compares with a float64 reference; --quick measures fewer shapes and token counts.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kernels/cuda.h"
#include "kernels/cuda/blas.h"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/tile_product.h"
#include "kernels/cuda/warpgroup_product.h"

namespace awq::cuda {

namespace {

// ---- data ----

__host__ __device__ inline uint32_t hash(uint64_t x) {
  x ^= x >> 33, x *= 0xff51afd7ed558ccdull, x ^= x >> 33, x *= 0xc4ceb9fe1a85ec53ull;
  return static_cast<uint32_t>(x ^ x >> 33);
}
__device__ float gauss(uint64_t i) {  // a sum of four uniform numbers, variance 1
  float sum = 0;
  for (int q = 0; q < 4; ++q) sum += static_cast<float>(hash(i * 4 + q)) * 0x1p-32f - 0.5f;
  return sum * 1.7320508f;
}
__global__ void random_words(uint32_t* words, int64_t count, uint64_t seed) {
  for (int64_t i = blockIdx.x * int64_t{256} + threadIdx.x; i < count;
       i += gridDim.x * int64_t{256}) {
    words[i] = hash(seed * 0x9e3779b97f4a7c15ull + i);
  }
}
template <class T>
__global__ void random_floats(T* v, int64_t count, float sigma, uint64_t seed) {
  for (int64_t i = blockIdx.x * int64_t{256} + threadIdx.x; i < count;
       i += gridDim.x * int64_t{256}) {
    v[i] = static_cast<T>(sigma * gauss(seed * 1000003 + i));
  }
}
/// Scales of 0.5..1.5 times `scale`; zeros are any code.
__global__ void random_meta(uint8_t* meta, int64_t groups, int bytes, float scale, int bits,
                            uint64_t seed) {
  for (int64_t i = blockIdx.x * int64_t{256} + threadIdx.x; i < groups;
       i += gridDim.x * int64_t{256}) {
    auto* scales = reinterpret_cast<__half*>(meta + i * bytes);
    for (int e = 0; e < 32; ++e) {
      scales[e] = __float2half(scale * (0.5f + hash(seed + i * 128 + e) * 0x1p-32f));
    }
    const uint32_t mask = bits == 8 ? 0xff : ((1u << bits) - 1) * 0x11u;
    for (int b = 64; b < bytes; ++b) meta[i * bytes + b] = hash(seed + i * 128 + b) & mask;
  }
}

/// The value of (row, input), read by the words of quant_tiles.h and no code of the kernels.
struct TileReader {
  const uint8_t *codes, *meta;
  int bits, groups;
  int64_t strip_tiles;

  __device__ uint32_t field(const uint8_t* base, int64_t bit, int width) const {
    return base[bit / 8] >> (bit % 8) & ((1u << width) - 1);
  }
  __device__ double value(int64_t row, int64_t input) const {
    const int64_t tile = row / 32 * strip_tiles + input / 128;
    const uint8_t* c = codes + tile * 512 * bits;
    const int r = row % 32, i = input % 128;
    const int h = r / 16, r8 = r / 8 % 2, g = r % 8, u = i / 64, j = i % 32 / 8;
    const int s = i % 64 / 32 * 2 + i % 8 / 4, hi = i % 4 / 2, el = i % 2;
    // Place among 4-bit codes, in codes.
    const int64_t at = (((2 * h + u) * 32 + 4 * g + j) * 4 + s) * 8 + el * 4 + hi * 2 + r8;
    uint32_t code;
    if (bits == 2)
      code = field(c, at * 2, 2);
    else if (bits == 3)
      code = field(c, at * 2, 2) | field(c + 1024, at, 1) << 2;
    else if (bits == 4)
      code = field(c, at * 4, 4);
    else
      code = field(c, at * 4, 4) | field(c + 2048, at * 4, 4) << 4;
    const int bytes = bits == 8 ? 96 : 80;
    const uint8_t* m = meta + (tile * groups + i / (128 / groups)) * bytes;
    const int e = r % 8 * 4 + r / 8;
    const int zero = bits == 8 ? m[64 + e] : m[64 + r % 8 * 2 + r / 16] >> (r / 8 % 2 * 4) & 15;
    return (static_cast<int>(code) - zero) *
           static_cast<double>(__half2float(reinterpret_cast<const __half*>(m)[e]));
  }
};

/// One warp an output.
__global__ void reference(TileReader w, const float* x, const float* bias, double* y, int64_t in,
                          int64_t out) {
  const int64_t o = (blockIdx.x * int64_t{256} + threadIdx.x) / 32, t = blockIdx.y;
  const int lane = threadIdx.x % 32;
  if (o >= out) return;
  double sum = 0;
  for (int64_t i = lane; i < in; i += 32) sum += w.value(o, i) * x[t * in + i];
  for (int s = 16; s; s >>= 1) sum += __shfl_xor_sync(~0u, sum, s);
  if (lane == 0) y[t * out + o] = sum + bias[o];
}

std::unique_ptr<QuantTilesCuda> random_tiles(CudaDevice& device, int bits, int64_t group,
                                             int64_t out, int64_t in, uint64_t seed) {
  auto w = std::make_unique<QuantTilesCuda>();
  w->out = out, w->in = in;
  w->shape = TileShape({bits, group, false}, out, in);
  const int64_t codes = w->shape.tiles() * w->shape.code_bytes(),
                meta = w->shape.tiles() * w->shape.meta_bytes();
  w->bytes = static_cast<uint64_t>(codes + meta);
  w->code_buffer = DeviceBuffer(device, static_cast<size_t>(codes));
  w->meta_buffer = DeviceBuffer(device, static_cast<size_t>(meta));
  random_words<<<1024, 256, 0, device.stream()>>>(w->code_buffer.as<uint32_t>(), codes / 4, seed);
  random_meta<<<256, 256, 0, device.stream()>>>(
      w->meta_buffer.as<uint8_t>(), w->shape.tiles() * w->shape.groups,
      static_cast<int>(w->shape.group_meta_bytes()), 0.1f / (1 << bits), bits, seed << 40);
  check_launch("random_tiles");
  return w;
}

// ---- correctness ----

double relative_error(const std::vector<float>& got, const std::vector<double>& want) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += (got[i] - want[i]) * (got[i] - want[i]), norm += want[i] * want[i];
  }
  return std::sqrt(error / norm);
}

/// The largest relative L2 error over token counts and paths; also that a product repeats exactly.
bool check_format(CudaDevice& device, int bits, int64_t group, int64_t out, int64_t in,
                  bool json) {
  const auto w = random_tiles(device, bits, group, out, in, 77);
  constexpr int64_t kMost = 300;
  DeviceBuffer x(device, kMost * in * 4), y(device, kMost * out * 4),
      exact(device, kMost * out * 8), bias(device, out * 4);
  random_floats<<<256, 256, 0, device.stream()>>>(x.as<float>(), kMost * in, 1.f, 5);
  random_floats<<<256, 256, 0, device.stream()>>>(bias.as<float>(), out, 1.f, 6);
  reference<<<dim3((out + 7) / 8, kMost), 256, 0, device.stream()>>>(
      {w->codes(), w->meta(), bits, w->shape.groups, w->shape.strip_tiles()}, x.as<float>(),
      bias.as<float>(), exact.as<double>(), in, out);
  check_launch("reference");
  std::vector<double> want(kMost * out);
  device.download(want.data(), exact.data(), want.size() * 8);
  bool good = true;
  struct Case {
    TilePath path;
    std::string name;
    std::vector<int64_t> tokens;
    WarpgroupPlan plan;
  };
  std::vector<Case> cases = {{TilePath::strips, "strips", {1, 2, 5, 8}, {}},
                             {TilePath::blocks, "blocks", {1, 7, 9, 16, 31, 64, 100}, {}},
                             {TilePath::dense, "dense", {3, 150}, {}}};
  for (const int columns : {32, 64, 128, 256}) {
    for (const int inputs : {1, 2, 3, 8}) {
      if (!has_warpgroups(device) || inputs > w->shape.strip_tiles()) continue;
      cases.push_back({TilePath::warpgroups,
                       std::to_string(columns) + " k" + std::to_string(inputs),
                       {1, columns - 3, columns, kMost},
                       {columns, inputs, false}});
    }
    if (has_warpgroups(device)) {
      cases.push_back({TilePath::warpgroups,
                       std::to_string(columns) + " even",
                       {1, columns - 3, columns, kMost},
                       {columns, 1, true}});
    }
  }
  for (const Case& c : cases) {
    double worst = 0;
    bool repeats = true;
    for (const int64_t tokens : c.tokens) {
      std::vector<float> got(tokens * out), again(tokens * out);
      for (auto* result : {&got, &again}) {
        check(cudaMemsetAsync(y.data(), 0xff, y.size(), device.stream()), "memset");
        const Matrix from(x.as<float>(), tokens, in), to(y.as<float>(), tokens, out);
        if (c.path == TilePath::warpgroups) {
          multiply_warpgroups(device, from, *w, bias.as<float>(), to, c.plan);
        } else {
          multiply_tiles(device, from, *w, bias.as<float>(), to, c.path);
        }
        device.download(result->data(), y.data(), got.size() * 4);
      }
      repeats &= std::memcmp(got.data(), again.data(), got.size() * 4) == 0;
      const double error =
          relative_error(got, std::vector<double>(want.begin(), want.begin() + tokens * out));
      worst = std::isnan(error) ? INFINITY : std::max(worst, error);
    }
    const bool ok = worst < 1e-3 && repeats;
    good &= ok;
    if (json) {
      std::printf(
          "{\"kind\":\"error\",\"bits\":%d,\"group\":%ld,\"out\":%ld,\"in\":%ld,"
          "\"path\":\"%s\",\"relative_l2\":%.3g,\"repeats\":%s},\n",
          bits, static_cast<long>(group), static_cast<long>(out), static_cast<long>(in),
          c.name.c_str(), worst, repeats ? "true" : "false");
    } else {
      std::printf("INT%d-g%-3ld %5ldx%-5ld %-9s %.2e%s%s\n", bits, static_cast<long>(group),
                  static_cast<long>(out), static_cast<long>(in), c.name.c_str(), worst,
                  repeats ? "" : "  NOT REPEATABLE", ok ? "" : "  WRONG");
    }
  }
  return good;
}

bool check_floats(CudaDevice& device, DType dtype, int64_t out, int64_t in, bool json) {
  std::vector<float> w(out * in), x(8 * in), got(8 * out);
  for (size_t i = 0; i < w.size(); ++i) w[i] = (hash(i) % 2001 - 1000.f) * 0x1p-10f;
  for (size_t i = 0; i < x.size(); ++i) x[i] = (hash(i + 1000000) % 255 - 127.f) * 0x1p-7f;
  std::vector<uint16_t> narrow;  // 11 bits of a half hold the weights exactly; bfloat is cut
  for (float& v : w) {
    if (dtype == DType::bf16) {
      uint32_t bits;
      std::memcpy(&bits, &v, 4);
      bits &= 0xffff0000u;
      std::memcpy(&v, &bits, 4);
      narrow.push_back(static_cast<uint16_t>(bits >> 16));
    } else if (dtype == DType::f16) {
      const __half h(v);
      uint16_t bits;
      std::memcpy(&bits, &h, 2);
      narrow.push_back(bits);
      v = static_cast<float>(h);
    }
  }
  const auto packed = pack_float(
      device,
      {dtype == DType::f32 ? static_cast<const void*>(w.data()) : narrow.data(), dtype, out, in});
  DeviceBuffer dx(device, x.size() * 4), dy(device, got.size() * 4);
  device.upload(dx.data(), x.data(), x.size() * 4);
  double worst = 0;
  for (const int64_t tokens : {1, 2, 3, 4, 8}) {
    matmul(device, {dx.as<float>(), tokens, in}, *packed, nullptr, {dy.as<float>(), tokens, out});
    got.resize(tokens * out);
    device.download(got.data(), dy.data(), got.size() * 4);
    std::vector<double> want(tokens * out);
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t o = 0; o < out; ++o) {
        for (int64_t i = 0; i < in; ++i) want[t * out + o] += double{w[o * in + i]} * x[t * in + i];
      }
    }
    worst = std::max(worst, relative_error(got, want));
  }
  const bool ok = worst < 1e-5;
  std::printf(json ? "{\"kind\":\"error\",\"dtype\":\"%s\",\"out\":%ld,\"in\":%ld,"
                     "\"relative_l2\":%.3g,\"good\":%s},\n"
                   : "%-9s %5ldx%-5ld        %.2e %s\n",
              std::string(dtype_name(dtype)).c_str(), static_cast<long>(out), static_cast<long>(in),
              worst, json ? (ok ? "true" : "false") : (ok ? "" : " WRONG"));
  return ok;
}

// ---- time ----

/// Median time of one call of `f(i)`, i = 0..count-1, in microseconds.
double graph_us(CudaDevice& device, int count, const std::function<void(int)>& f) {
  const cudaStream_t stream = device.stream();
  f(0);  // scratch memory and cuBLAS make their allocations outside the capture
  device.synchronize();
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
  for (int i = 0; i < count; ++i) f(i);
  check(cudaStreamEndCapture(stream, &graph), "capture");
  check(cudaGraphInstantiate(&exec, graph, 0), "cudaGraphInstantiate");
  cudaEvent_t begin, end;
  check(cudaEventCreate(&begin), "event");
  check(cudaEventCreate(&end), "event");
  std::vector<float> times;
  for (int i = 0; i < 8; ++i) {
    float ms = 0;
    check(cudaEventRecord(begin, stream), "event");
    check(cudaGraphLaunch(exec, stream), "cudaGraphLaunch");
    check(cudaEventRecord(end, stream), "event");
    device.synchronize();
    check(cudaEventElapsedTime(&ms, begin, end), "event");
    if (i > 0) times.push_back(ms);
  }
  check(cudaEventDestroy(begin), "event");
  check(cudaEventDestroy(end), "event");
  check(cudaGraphExecDestroy(exec), "graph");
  check(cudaGraphDestroy(graph), "graph");
  std::sort(times.begin(), times.end());
  return times[times.size() / 2] * 1e3 / count;
}

__global__ void read_all(const uint4* p, size_t block_words, uint32_t* out) {
  uint32_t sum = 0;
  const uint4* q = p + blockIdx.x * block_words;
  for (size_t i = threadIdx.x; i + 3 * 256 < block_words; i += 4 * 256) {
    uint4 v[4];
#pragma unroll
    for (int u = 0; u < 4; ++u) {
      asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                   : "=r"(v[u].x), "=r"(v[u].y), "=r"(v[u].z), "=r"(v[u].w)
                   : "l"(q + i + u * 256));
    }
#pragma unroll
    for (int u = 0; u < 4; ++u) sum ^= v[u].x ^ v[u].y ^ v[u].z ^ v[u].w;
  }
  if (sum == 0x12345678) *out = sum;
}

/// Bytes per second of a read-only sweep, the best of 1, 2 and 4 GiB.
double read_roof(CudaDevice& device) {
  const size_t most = size_t{4} << 30;
  DeviceBuffer buffer(device, most);
  random_words<<<4096, 256, 0, device.stream()>>>(buffer.as<uint32_t>(), most / 4, 1);
  double best = 0;
  for (const size_t bytes : {most / 4, most / 2, most}) {
    const unsigned blocks = static_cast<unsigned>(bytes / 65536);
    const double us = graph_us(device, 1, [&](int) {
      read_all<<<blocks, 256, 0, device.stream()>>>(buffer.as<uint4>(), 4096,
                                                    buffer.as<uint32_t>());
    });
    best = std::max(best, static_cast<double>(bytes) / us * 1e6);
  }
  return best;
}

struct Shape {
  const char* name;
  int64_t out, in;
  bool quick;
};
constexpr Shape kShapes[] = {
    {"7B qkv", 12288, 4096, true},       {"7B o", 4096, 4096, true},
    {"7B gate+up", 22016, 4096, true},   {"7B down", 4096, 11008, true},
    {"8B qkv", 6144, 4096, false},       {"8B kv", 1024, 4096, true},
    {"8B gate+up", 28672, 4096, false},  {"8B down", 4096, 14336, false},
    {"70B qkv", 10240, 8192, false},     {"70B o", 8192, 8192, false},
    {"70B gate+up", 57344, 8192, false}, {"70B down", 8192, 28672, true},
};

class Timings {
 public:
  Timings(CudaDevice& device, bool json) : device_(device), json_(json), roof_(read_roof(device)) {
    // Enough for any shape twice, and for more than four times the cache.
    halves_bytes_ = size_t{2} << 30;
    halves_ = DeviceBuffer(device, halves_bytes_);
    random_floats<<<4096, 256, 0, device.stream()>>>(halves_.as<__half>(), halves_bytes_ / 2, 0.02f,
                                                     3);
    x_ = DeviceBuffer(device, size_t{2048} * 28672 * 4);
    x16_ = DeviceBuffer(device, size_t{2048} * 28672 * 2);
    y_ = DeviceBuffer(device, size_t{2048} * 57344 * 4);
    random_floats<<<1024, 256, 0, device.stream()>>>(x_.as<float>(), x_.size() / 4, 1.f, 4);
    random_floats<<<1024, 256, 0, device.stream()>>>(x16_.as<__half>(), x16_.size() / 2, 1.f, 4);
    check_launch("data");
    if (json_) {
      std::printf(
          "{\"kind\":\"device\",\"name\":\"%s\",\"multiprocessors\":%d,\"read_gbs\":%.1f},\n",
          device.description().c_str(), device.multiprocessors(), roof_ / 1e9);
    } else {
      std::printf("%s, %d multiprocessors, reads %.1f GB/s\n", device.description().c_str(),
                  device.multiprocessors(), roof_ / 1e9);
    }
  }

  int copies(double bytes) const {
    return static_cast<int>(
        std::max(2.0, 4.2 * l2_bytes_ / bytes + 1));
  }

  double cublas_us(const Shape& s, int64_t tokens) {
    const auto bytes = static_cast<size_t>(s.out * s.in * 2);
    const int n = static_cast<int>(
        std::min<size_t>(static_cast<size_t>(copies(double(bytes))), halves_bytes_ / bytes));
    return graph_us(device_, launches(n, tokens), [&](int i) {
      gemm_f16(device_, halves_.as<uint8_t>() + i % n * bytes, DType::f16, x16_.data(),
               y_.as<float>(), s.out, s.in, tokens, s.out);
    });
  }

  void tiles(const Shape& s, int bits, const std::vector<int64_t>& token_counts) {
    std::vector<std::unique_ptr<QuantTilesCuda>> w;
    const double bytes = static_cast<double>(s.out * s.in) * (bits / 8.0 + 80.0 / 4096);
    for (int i = 0; i < copies(bytes); ++i)
      w.push_back(random_tiles(device_, bits, 128, s.out, s.in, i + 1));
    const int n = static_cast<int>(w.size());
    for (const int64_t tokens : token_counts) {
      const double cublas = cublas_us(s, tokens);
      std::map<std::string, double> us;
      const auto measure = [&](const char* name, TilePath path) {
        us[name] = graph_us(device_, launches(n, tokens), [&](int i) {
          multiply_tiles(device_, {x_.as<float>(), tokens, s.in}, *w[i % n], nullptr,
                         {y_.as<float>(), tokens, s.out}, path);
        });
      };
      if (tokens <= 8) measure("strips", TilePath::strips);
      if (tokens >= 4 && tokens <= 256) measure("blocks", TilePath::blocks);
      if (tokens >= 8 && has_warpgroups(device_)) measure("warpgroups", TilePath::warpgroups);
      if (tokens >= 128) measure("dense", TilePath::dense);
      for (const auto& [path, time] : us) print(s, bits, tokens, path, time, w[0]->bytes, cublas);
    }
  }

  /// cuBLAS, cuBLAS behind decoding, and every plan of warpgroups, all from activations that lie as they
  /// are read: what kCosts of product_plan.cc are fitted to.
  void plans(const Shape& s, const std::vector<int64_t>& token_counts) {
    std::vector<std::unique_ptr<QuantTilesCuda>> w;
    const double bytes = static_cast<double>(s.out * s.in) * (0.5 + 80.0 / 4096);
    for (int i = 0; i < copies(bytes); ++i) {
      w.push_back(random_tiles(device_, 4, 128, s.out, s.in, i + 1));
    }
    const int n = static_cast<int>(w.size());
    for (const int64_t tokens : token_counts) {
      const WarpgroupPlan chosen = plan_warpgroups(w[0]->shape, tokens, device_.multiprocessors());
      const Matrix y(y_.as<float>(), tokens, s.out);
      const auto line = [&](const char* kind, int columns, int parts, double us, const char* mark) {
        std::printf("%s,%s,%ld,%ld,%ld,%d,%d,%.2f,%s\n", kind, s.name, static_cast<long>(s.out),
                    static_cast<long>(s.in), static_cast<long>(tokens), columns, parts, us, mark);
      };
      line("cublas", 0, 0, cublas_us(s, tokens), "");
      const double decoded = graph_us(device_, launches(n, tokens), [&](int i) {
        multiply_decoded(device_, x16_.data(), *w[i % n], nullptr, y);
      });
      line("decoded", 0, 0, decoded, "");
      for (const int columns : {32, 64, 128, 256}) {
        if (columns >= 2 * std::max<int64_t>(tokens, 32)) continue;
        for (const int parts : {0, 1, 2, 3, 4, 5, 6, 7, 8}) {  // 0: even
          const WarpgroupPlan plan{columns, std::max(parts, 1), parts == 0};
          const double us = graph_us(device_, launches(n, tokens), [&](int i) {
            const QuantTilesCuda* const one = w[i % n].get();
            multiply_warpgroup_inputs(device_, x16_.data(), tokens, {{&one, 1}, nullptr, {&y, 1}},
                                      plan);
          });
          line("plan", columns, parts, us, plan == chosen ? "chosen" : "");
        }
      }
    }
    std::fflush(stdout);
  }

  void floats(const Shape& s) {
    std::vector<std::unique_ptr<FloatWeightCuda>> w;
    const auto bytes = static_cast<uint64_t>(s.out * s.in * 2);
    for (int i = 0; i < copies(static_cast<double>(bytes)); ++i) {
      auto one = std::make_unique<FloatWeightCuda>();
      one->out = s.out, one->in = s.in, one->bytes = bytes, one->dtype = DType::f16;
      one->buffer = DeviceBuffer(device_, bytes);
      check(cudaMemcpyAsync(one->buffer.data(), halves_.data(), bytes, cudaMemcpyDeviceToDevice,
                            device_.stream()),
            "copy");
      w.push_back(std::move(one));
    }
    const int n = static_cast<int>(w.size());
    for (const int64_t tokens : {1, 2, 4}) {
      const double us = graph_us(device_, launches(n, tokens), [&](int i) {
        multiply_float_rows(device_, {x_.as<float>(), tokens, s.in}, *w[i % n], nullptr,
                            {y_.as<float>(), tokens, s.out});
      });
      print(s, 16, tokens, "rows", us, bytes, cublas_us(s, tokens));
    }
  }

 private:
  static int launches(int copies, int64_t tokens) {
    return std::max(copies, tokens > 256 ? 4 : 12);
  }

  void print(const Shape& s, int bits, int64_t tokens, const std::string& path, double us,
             uint64_t bytes, double cublas) {
    const double rate = static_cast<double>(bytes) / us * 1e6;
    const double tflops = 2e-6 * static_cast<double>(tokens * s.out * s.in) / us;
    if (json_) {
      std::printf(
          "{\"kind\":\"time\",\"shape\":\"%s\",\"out\":%ld,\"in\":%ld,\"bits\":%d,"
          "\"tokens\":%ld,\"path\":\"%s\",\"us\":%.2f,\"gbs\":%.1f,\"roof\":%.4f,"
          "\"tflops\":%.1f,\"cublas_us\":%.2f,\"ratio\":%.3f},\n",
          s.name, static_cast<long>(s.out), static_cast<long>(s.in), bits,
          static_cast<long>(tokens), path.c_str(), us, rate / 1e9, rate / roof_, tflops, cublas,
          cublas / us);
    } else {
      std::printf(
          "%-12s %5ldx%-5ld %2d bits %5ld tokens %-10s %8.2f us %7.1f GB/s %5.1f%% "
          "%6.1f TFLOP/s  cuBLAS %8.2f us, x %.2f\n",
          s.name, static_cast<long>(s.out), static_cast<long>(s.in), bits,
          static_cast<long>(tokens), path.c_str(), us, rate / 1e9, 100 * rate / roof_, tflops,
          cublas, cublas / us);
    }
    std::fflush(stdout);
  }

  CudaDevice& device_;
  bool json_;
  double roof_;
  const double l2_bytes_ = static_cast<double>(cuda_devices().value().front().l2_bytes);
  size_t halves_bytes_ = 0;
  DeviceBuffer halves_, x_, x16_, y_;
};

bool check_all(CudaDevice& device, bool json) {
  bool good = true;
  for (const int bits : {4, 3, 2, 8}) {
    for (const int64_t group : {128, 64, 32, 0}) {
      good &= check_format(device, bits, group, 576, 576, json);
      good &= check_format(device, bits, group, 203, 1100, json);
    }
    good &= check_format(device, bits, 128, 4096, 4096, json);
  }
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    good &= check_floats(device, dtype, 576, 576, json);
    good &= check_floats(device, dtype, 37, 1101, json);
  }
  return good;
}

int run(bool json, bool quick, bool only_check, bool plans) {
  const auto made = make_cuda_device(0);
  if (!made.ok()) {
    std::fprintf(stderr, "%s\n", made.error().message.c_str());
    return 1;
  }
  CudaDevice& device = cuda_device(**made);
  if (plans) {
    Timings timings(device, false);
    for (const Shape& s : kShapes) {
      if (s.quick && s.out > 1024) timings.plans(s, {16, 32, 64, 128, 256, 512, 1024, 2048});
    }
    return 0;
  }
  if (json) std::puts("[");
  const bool good = check_all(device, json);
  if (!only_check) {
    Timings timings(device, json);
    const std::vector<int64_t> counts =
        quick ? std::vector<int64_t>{1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048}
              : std::vector<int64_t>{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048};
    for (const Shape& s : kShapes) {
      if (quick && !s.quick) continue;
      timings.tiles(s, 4, counts);
      for (const int bits : {3, 2, 8}) timings.tiles(s, bits, {1, 64, 512});
      timings.floats(s);
    }
  }
  if (json) std::printf("{\"kind\":\"end\",\"correct\":%s}]\n", good ? "true" : "false");
  if (!json) std::puts(good ? "all results are right" : "SOME RESULTS ARE WRONG");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace awq::cuda

int main(int argc, char** argv) {
  const auto has = [&](const char* name) {
    return std::any_of(argv + 1, argv + argc,
                       [&](const char* a) { return std::strcmp(a, name) == 0; });
  };
  return awq::cuda::run(has("--json"), has("--quick"), has("--check"), has("--plans"));
}
