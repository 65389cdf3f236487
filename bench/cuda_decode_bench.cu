// The fused decode step by itself: correctness against naive kernels in float, and time per token
// of models of known shape with random weights, against the read-only roof of the same run.
//
//   cuda_decode_bench --check                     small shapes, every layer, several positions
//   cuda_decode_bench [MODEL...]                  7b 8b 13b 70b (default 7b 8b)
//     --layers N  --depth 2048,8192  --tokens 200
//     --tuning warps,stages,in_flight,raw,split_keys[,rotate]    may be repeated
//     --times                                     where the time of a token goes
//
//   nvcc -O3 -std=c++20 -arch=sm_90a -Isrc -o cuda_decode_bench bench/cuda_decode_bench.cu
//     src/kernels/cuda/decode/*.cu src/kernels/cuda/decode/partition.cc src/base/{check,format}.cc
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/cuda/decode.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/weights.h"

namespace awq::cuda {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(status));
  std::exit(1);
}

namespace {

class BenchDevice : public CudaDevice {
 public:
  BenchDevice() {
    check(cudaGetDeviceProperties(&properties_, 0), "cudaGetDeviceProperties");
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
  }
  std::string description() const override { return properties_.name; }
  void* allocate(size_t bytes) override {
    void* p = nullptr;
    check(cudaMalloc(&p, std::max<size_t>(bytes, 1)), "cudaMalloc");
    return p;
  }
  void release(void* data, size_t) override {
    synchronize();
    check(cudaFree(data), "cudaFree");
  }
  void upload(void* device, const void* host, size_t bytes) override {
    check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_), "upload");
    synchronize();
  }
  void download(void* host, const void* device, size_t bytes) override {
    check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_), "download");
    synchronize();
  }
  void synchronize() override { check(cudaStreamSynchronize(stream_), "synchronize"); }
  ThreadPool& pool() override { std::abort(); }
  cudaStream_t stream() override { return stream_; }
  cublasHandle_t blas() override { std::abort(); }
  int multiprocessors() const override { return properties_.multiProcessorCount; }
  int compute_capability() const override { return properties_.major * 10 + properties_.minor; }
  void* scratch(int, size_t) override { std::abort(); }
  uint64_t held() const override { return 0; }
  uint64_t peak() const override { return 0; }

 private:
  cudaDeviceProp properties_ = {};
  cudaStream_t stream_ = nullptr;
};

// ---- random models ----

__host__ __device__ inline uint32_t hash(uint64_t x) {
  x ^= x >> 33, x *= 0xff51afd7ed558ccdull, x ^= x >> 33, x *= 0xc4ceb9fe1a85ec53ull;
  return static_cast<uint32_t>(x ^ x >> 33);
}
__device__ float gauss(uint64_t i) {
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
__global__ void random_floats(T* v, int64_t count, float mean, float sigma, uint64_t seed) {
  for (int64_t i = blockIdx.x * int64_t{256} + threadIdx.x; i < count;
       i += gridDim.x * int64_t{256}) {
    v[i] = static_cast<T>(mean + sigma * gauss(seed * 1000003 + i));
  }
}
__global__ void random_meta(uint8_t* meta, int64_t groups, float scale, uint64_t seed) {
  for (int64_t i = blockIdx.x * int64_t{256} + threadIdx.x; i < groups;
       i += gridDim.x * int64_t{256}) {
    auto* scales = reinterpret_cast<__half*>(meta + i * 80);
    for (int e = 0; e < 32; ++e) {
      scales[e] = __float2half(scale * (0.5f + hash(seed + i * 128 + e) * 0x1p-32f));
    }
    // Zeros of 6..9: about the middle, never the same.
    for (int b = 64; b < 80; ++b) {
      const uint32_t r = hash(seed + i * 128 + b);
      meta[i * 80 + b] = static_cast<uint8_t>((6 + (r & 3)) | (6 + (r >> 2 & 3)) << 4);
    }
  }
}

struct ModelShape {
  const char* name;
  int64_t hidden, heads, kv_heads, head_dim, ffn, layers, vocab;
  int groups;                    // of a tile
  enum { f16, bf16, tiles } head;
  RopePairing pairing;
};

class Model {
 public:
  Model(BenchDevice& device, const ModelShape& shape, int64_t capacity) : device_(device) {
    const int64_t heads = shape.heads * shape.head_dim, kv = shape.kv_heads * shape.head_dim;
    spec.hidden = shape.hidden;
    spec.heads = shape.heads;
    spec.kv_heads = shape.kv_heads;
    spec.head_dim = spec.rotary_dim = shape.head_dim;
    spec.ffn = shape.ffn;
    spec.vocab = shape.vocab;
    spec.capacity = capacity;
    spec.attention_scale = 1 / std::sqrt(static_cast<float>(shape.head_dim));
    spec.pairing = shape.pairing;
    for (int64_t i = 0; i < shape.head_dim / 2; ++i) {
      frequency_.push_back(std::pow(10000.0f, -2.0f * i / shape.head_dim));
    }
    spec.inverse_frequency = frequency_;
    spec.final_norm = norm(shape.hidden);
    spec.embed = table<__half>(DType::f16, shape.vocab, shape.hidden, 0.5f);
    if (shape.head == ModelShape::tiles) {
      spec.head = quant(shape.vocab, shape.hidden, shape.groups);
    } else if (shape.head == ModelShape::f16) {
      spec.head = table<__half>(DType::f16, shape.vocab, shape.hidden,
                                1 / std::sqrt(static_cast<float>(shape.hidden)));
    } else {
      spec.head = table<__nv_bfloat16>(DType::bf16, shape.vocab, shape.hidden,
                                       1 / std::sqrt(static_cast<float>(shape.hidden)));
    }
    bytes += spec.head->bytes;
    for (int64_t l = 0; l < shape.layers; ++l) {
      DecodeLayer layer;
      layer.attn_norm = norm(shape.hidden);
      layer.ffn_norm = norm(shape.hidden);
      layer.q = counted(quant(heads, shape.hidden, shape.groups));
      layer.k = counted(quant(kv, shape.hidden, shape.groups));
      layer.v = counted(quant(kv, shape.hidden, shape.groups));
      layer.o = counted(quant(shape.hidden, heads, shape.groups));
      layer.gate = counted(quant(shape.ffn, shape.hidden, shape.groups));
      layer.up = counted(quant(shape.ffn, shape.hidden, shape.groups));
      layer.down = counted(quant(shape.hidden, shape.ffn, shape.groups));
      layer.kv = cache();
      spec.layers.push_back(layer);
    }
    device.synchronize();
  }

  // The same keys and values in every cache made with this.
  KvView cache() {
    const int64_t elements = spec.kv_heads * spec.capacity * spec.head_dim;
    KvView view;
    view.dtype = DType::f16;
    view.head_stride = spec.capacity * spec.head_dim;
    view.k = take(elements * 2);
    view.v = take(elements * 2);
    return view;
  }
  void fill(const KvView& view, uint64_t seed) {
    const int64_t elements = spec.kv_heads * spec.capacity * spec.head_dim;
    random_floats<<<1024, 256, 0, device_.stream()>>>(static_cast<__half*>(view.k), elements, 0.f,
                                                      1.f, seed * 2);
    random_floats<<<1024, 256, 0, device_.stream()>>>(static_cast<__half*>(view.v), elements, 0.f,
                                                      1.f, seed * 2 + 1);
  }
  uint64_t kv_bytes(int64_t position) const {
    return static_cast<uint64_t>(spec.layers.size() * spec.kv_heads * position * spec.head_dim * 4);
  }
  void* take(int64_t size) {
    buffers_.emplace_back(device_, static_cast<size_t>(size));
    return buffers_.back().data();
  }

  DecodeSpec spec;
  uint64_t bytes = 0;  // that a token reads, without keys and values

 private:
  const PackedWeight* counted(const PackedWeight* weight) {
    bytes += weight->bytes;
    return weight;
  }
  float* norm(int64_t n) {
    auto* data = static_cast<float*>(take(n * 4));
    random_floats<<<64, 256, 0, device_.stream()>>>(data, n, 1.f, 0.2f, ++seed_);
    bytes += n * 4;
    return data;
  }
  template <class T>
  const PackedWeight* table(DType dtype, int64_t out, int64_t in, float sigma) {
    auto weight = std::make_unique<FloatWeightCuda>();
    weight->out = out;
    weight->in = in;
    weight->dtype = dtype;
    weight->buffer = DeviceBuffer(device_, static_cast<size_t>(out * in * 2));
    weight->bytes = weight->buffer.size();
    random_floats<<<1024, 256, 0, device_.stream()>>>(weight->buffer.as<T>(), out * in, 0.f, sigma,
                                                      ++seed_);
    weights_.push_back(std::move(weight));
    return weights_.back().get();
  }
  const PackedWeight* quant(int64_t out, int64_t in, int groups) {
    auto weight = std::make_unique<QuantTilesCuda>();
    weight->out = out;
    weight->in = in;
    weight->shape.out = out;
    weight->shape.in = in;
    weight->shape.bits = 4;
    weight->shape.groups = groups;
    const int64_t tiles = weight->shape.tiles();
    weight->code_buffer = DeviceBuffer(device_, static_cast<size_t>(tiles * 2048));
    weight->meta_buffer = DeviceBuffer(device_, static_cast<size_t>(tiles * groups * 80));
    weight->bytes = weight->code_buffer.size() + weight->meta_buffer.size();
    random_words<<<1024, 256, 0, device_.stream()>>>(weight->code_buffer.as<uint32_t>(),
                                                     tiles * 512, ++seed_);
    random_meta<<<256, 256, 0, device_.stream()>>>(
        weight->meta_buffer.as<uint8_t>(), tiles * groups,
        0.2f / std::sqrt(static_cast<float>(in)), ++seed_);
    weights_.push_back(std::move(weight));
    return weights_.back().get();
  }

  BenchDevice& device_;
  std::vector<float> frequency_;
  std::vector<std::unique_ptr<PackedWeight>> weights_;
  std::vector<DeviceBuffer> buffers_;
  uint64_t seed_ = 0;
};

// ---- the naive step: every formula again, from quant_tiles.h and the definition of the model ----

__device__ float naive_weight(const uint8_t* codes, const uint8_t* meta, int tiles, int groups,
                              int row, int input) {
  const int64_t tile = static_cast<int64_t>(row / 32) * tiles + input / 128;
  const int r = row % 32, k = input % 128;
  const int h = r / 16, u = k / 64, in_run = k % 32, j = in_run / 8, rest = in_run % 8;
  const int s = (k % 64) / 32 * 2 + rest / 4, hi = rest % 4 / 2, el = rest % 2;
  const int lane = 4 * (r % 8) + j, r8 = r % 16 / 8;
  const uint32_t word = reinterpret_cast<const uint32_t*>(
      codes + tile * 2048)[((2 * h + u) * 32 + lane) * 4 + s];
  const int code = word >> (el * 16 + hi * 8 + r8 * 4) & 15;
  const uint8_t* group = meta + (tile * groups + k / (128 / groups)) * 80;
  const float scale =
      __half2float(reinterpret_cast<const __half*>(group)[(r % 8) * 4 + r / 8]);
  const uint8_t byte = group[64 + (r % 8) * 2 + r / 16];
  const int zero = r / 8 % 2 == 0 ? byte & 15 : byte >> 4;
  return scale * static_cast<float>(code - zero);
}

struct NaiveMatrix {
  const uint8_t *codes, *meta;
  const void* table;  // instead of tiles
  bool bf16;
  int tiles, groups, out, in;
};

__global__ void naive_multiply(NaiveMatrix w, const float* x, const float* add, float* y) {
  const int row = blockIdx.x * 8 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= w.out) return;
  float sum = 0;
  for (int i = lane; i < w.in; i += 32) {
    const int64_t at = static_cast<int64_t>(row) * w.in + i;
    const float weight = w.table == nullptr
                             ? naive_weight(w.codes, w.meta, w.tiles, w.groups, row, i)
                         : w.bf16 ? __bfloat162float(static_cast<const __nv_bfloat16*>(w.table)[at])
                                  : __half2float(static_cast<const __half*>(w.table)[at]);
    sum += weight * x[i];
  }
  for (int s = 16; s; s >>= 1) sum += __shfl_xor_sync(~0u, sum, s);
  if (lane == 0) y[row] = sum + (add != nullptr ? add[row] : 0);
}
__global__ void naive_embed(const __half* table, int token, int hidden, float* x) {
  for (int i = threadIdx.x; i < hidden; i += 256) {
    x[i] = __half2float(table[int64_t{token} * hidden + i]);
  }
}
__global__ void naive_norm(const float* x, const float* w, int n, float epsilon, float* y) {
  __shared__ float sums[256];
  float sum = 0;
  for (int i = threadIdx.x; i < n; i += 256) sum += x[i] * x[i];
  sums[threadIdx.x] = sum;
  __syncthreads();
  sum = 0;
  for (int i = 0; i < 256; ++i) sum += sums[i];
  for (int i = threadIdx.x; i < n; i += 256) y[i] = x[i] * w[i] / sqrtf(sum / n + epsilon);
}
__global__ void naive_silu(const float* g, const float* u, int n, float* y) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i < n) y[i] = g[i] / (1 + expf(-g[i])) * u[i];
}
// One block a query head; its kv head's first query head appends.
__global__ void naive_attention(float* q, const float* k, const float* v, KvView kv, int heads,
                                int kv_heads, int dim, int position, const float* frequency,
                                bool interleaved, float scale, float* scores, float* out) {
  const int head = blockIdx.x, group = heads / kv_heads, kvh = head / group;
  __half* keys = static_cast<__half*>(kv.k) + kvh * kv.head_stride;
  __half* values = static_cast<__half*>(kv.v) + kvh * kv.head_stride;
  __shared__ float mine[128], key[128];
  for (int p = threadIdx.x; p < dim / 2; p += 256) {
    const float angle = position * frequency[p], c = cosf(angle), s = sinf(angle);
    const int a = interleaved ? 2 * p : p, b = interleaved ? 2 * p + 1 : p + dim / 2;
    const float* x = q + head * dim;
    mine[a] = x[a] * c - x[b] * s;
    mine[b] = x[a] * s + x[b] * c;
    const float* y = k + kvh * dim;
    key[a] = y[a] * c - y[b] * s;
    key[b] = y[a] * s + y[b] * c;
  }
  __syncthreads();
  for (int d = threadIdx.x; d < dim; d += 256) key[d] = __half2float(__float2half(key[d]));
  __syncthreads();
  float* row = scores + int64_t{head} * (position + 1);
  for (int t = threadIdx.x; t <= position; t += 256) {
    float sum = 0;
    for (int d = 0; d < dim; ++d) {
      sum += mine[d] * (t == position ? key[d] : __half2float(keys[int64_t{t} * dim + d]));
    }
    row[t] = sum * scale;
  }
  __syncthreads();
  float top = -INFINITY, total = 0;
  for (int t = 0; t <= position; ++t) top = fmaxf(top, row[t]);
  for (int t = 0; t <= position; ++t) total += expf(row[t] - top);
  for (int d = threadIdx.x; d < dim; d += 256) {
    float sum = 0;
    for (int t = 0; t <= position; ++t) {
      const float value = __half2float(t == position ? __float2half(v[kvh * dim + d])
                                                     : values[int64_t{t} * dim + d]);
      sum += expf(row[t] - top) * value;
    }
    out[head * dim + d] = sum / total;
    if (head % group == 0) {
      keys[int64_t{position} * dim + d] = __float2half(key[d]);
      values[int64_t{position} * dim + d] = __float2half(v[kvh * dim + d]);
    }
  }
}

NaiveMatrix naive(const PackedWeight* weight) {
  NaiveMatrix w = {};
  w.out = static_cast<int>(weight->out);
  w.in = static_cast<int>(weight->in);
  const auto* cuda = static_cast<const CudaWeight*>(weight);
  if (cuda->kind == CudaWeight::Kind::tiles) {
    const auto* tiles = static_cast<const QuantTilesCuda*>(cuda);
    w.codes = tiles->codes();
    w.meta = tiles->meta();
    w.tiles = static_cast<int>(tiles->shape.strip_tiles());
    w.groups = tiles->shape.groups;
  } else {
    w.table = static_cast<const FloatWeightCuda*>(cuda)->data();
    w.bf16 = static_cast<const FloatWeightCuda*>(cuda)->dtype == DType::bf16;
  }
  return w;
}

class Naive {
 public:
  Naive(BenchDevice& device, Model& model) : device_(device), spec_(model.spec) {
    for (size_t l = 0; l < spec_.layers.size(); ++l) caches.push_back(model.cache());
    const auto floats = [&](int64_t n) { return static_cast<float*>(model.take(n * 4)); };
    const int64_t wide = std::max({spec_.hidden, spec_.ffn, spec_.heads * spec_.head_dim});
    for (float** p : {&x_, &n_, &q_, &k_, &v_, &a_, &g_, &u_}) *p = floats(wide);
    scores_ = floats(spec_.heads * spec_.capacity);
    trace = floats(spec_.hidden * static_cast<int64_t>(spec_.layers.size()));
    logits = floats(spec_.vocab);
    frequency_ = floats(spec_.head_dim);
    device.upload(frequency_, spec_.inverse_frequency.data(), spec_.inverse_frequency.size_bytes());
  }

  void step(int token, int64_t past) {
    const cudaStream_t s = device_.stream();
    const int hidden = static_cast<int>(spec_.hidden);
    naive_embed<<<1, 256, 0, s>>>(static_cast<const __half*>(
        static_cast<const FloatWeightCuda*>(spec_.embed)->data()), token, hidden, x_);
    for (size_t l = 0; l < spec_.layers.size(); ++l) {
      const DecodeLayer& layer = spec_.layers[l];
      naive_norm<<<1, 256, 0, s>>>(x_, layer.attn_norm, hidden, spec_.epsilon, n_);
      multiply(layer.q, n_, nullptr, q_);
      multiply(layer.k, n_, nullptr, k_);
      multiply(layer.v, n_, nullptr, v_);
      naive_attention<<<static_cast<unsigned>(spec_.heads), 256, 0, s>>>(
          q_, k_, v_, caches[l], static_cast<int>(spec_.heads), static_cast<int>(spec_.kv_heads),
          static_cast<int>(spec_.head_dim), static_cast<int>(past), frequency_,
          spec_.pairing == RopePairing::interleaved, spec_.attention_scale, scores_, a_);
      multiply(layer.o, a_, x_, x_);
      naive_norm<<<1, 256, 0, s>>>(x_, layer.ffn_norm, hidden, spec_.epsilon, n_);
      multiply(layer.gate, n_, nullptr, g_);
      multiply(layer.up, n_, nullptr, u_);
      naive_silu<<<static_cast<unsigned>((spec_.ffn + 255) / 256), 256, 0, s>>>(
          g_, u_, static_cast<int>(spec_.ffn), g_);
      multiply(layer.down, g_, x_, x_);
      check(cudaMemcpyAsync(trace + l * spec_.hidden, x_, spec_.hidden * 4,
                            cudaMemcpyDeviceToDevice, s), "trace");
    }
    naive_norm<<<1, 256, 0, s>>>(x_, spec_.final_norm, hidden, spec_.epsilon, n_);
    multiply(spec_.head, n_, nullptr, logits);
    check(cudaGetLastError(), "naive step");
  }

  std::vector<KvView> caches;
  float *trace, *logits;

 private:
  void multiply(const PackedWeight* weight, const float* x, const float* add, float* y) {
    naive_multiply<<<static_cast<unsigned>((weight->out + 7) / 8), 256, 0, device_.stream()>>>(
        naive(weight), x, add, y);
  }

  BenchDevice& device_;
  const DecodeSpec& spec_;
  float *x_, *n_, *q_, *k_, *v_, *a_, *g_, *u_, *scores_, *frequency_;
};

// ---- checks ----

std::vector<float> fetch(BenchDevice& device, const float* data, int64_t n) {
  std::vector<float> v(static_cast<size_t>(n));
  device.download(v.data(), data, v.size() * 4);
  return v;
}
double error(const std::vector<float>& got, const std::vector<float>& want, size_t first,
             size_t n) {
  double off = 0, all = 0;
  for (size_t i = first; i < first + n; ++i) {
    off += (double{got[i]} - want[i]) * (double{got[i]} - want[i]);
    all += double{want[i]} * want[i];
  }
  const double e = std::sqrt(off / all);
  return std::isfinite(e) ? e : 1e9;
}

// One step of both; the worst error of layers and logits.
double compare(BenchDevice& device, const DecodeSpec& spec, DecodeStep& fused, Naive& naive_step,
               const float* trace, int token, int64_t past, bool print) {
  const auto layers = static_cast<int64_t>(spec.layers.size());
  naive_step.step(token, past);
  const Matrix logits = fused.step(token, past);
  const auto got = fetch(device, trace, layers * spec.hidden);
  const auto want = fetch(device, naive_step.trace, layers * spec.hidden);
  double worst = 0;
  if (print) std::printf("  position %5ld: layers", static_cast<long>(past));
  for (int64_t l = 0; l < layers; ++l) {
    const double e = error(got, want, static_cast<size_t>(l * spec.hidden),
                           static_cast<size_t>(spec.hidden));
    worst = std::max(worst, e);
    if (print) std::printf(" %.1e", e);
  }
  const auto a = fetch(device, logits.data, spec.vocab);
  const auto b = fetch(device, naive_step.logits, spec.vocab);
  const double e = error(a, b, 0, a.size());
  // The same step again must give the same bits.
  const Matrix again = fused.step(token, past);
  const bool same = fetch(device, again.data, spec.vocab) == a &&
                    fetch(device, trace, layers * spec.hidden) == got;
  worst = std::max(worst, e);
  if (!same) worst = 1e9;
  if (print) std::printf(", logits %.1e, again %s%s\n", e, same ? "equal" : "DIFFERENT",
                         worst < 2e-3 ? "" : "   <-- FAILED");
  return worst;
}

bool check_shape(BenchDevice& device, const ModelShape& shape, DecodeTuning tuning) {
  std::printf("%s: hidden %ld, heads %ld/%ld x %ld, ffn %ld, %ld layers, vocab %ld, %d groups a "
              "tile; %d warps, %s\n", shape.name, long(shape.hidden), long(shape.heads),
              long(shape.kv_heads), long(shape.head_dim), long(shape.ffn), long(shape.layers),
              long(shape.vocab), shape.groups, tuning.warps, tuning.raw ? "raw" : "exact");
  Model model(device, shape, 3000);
  Naive naive_step(device, model);
  auto* trace = static_cast<float*>(model.take(shape.layers * shape.hidden * 4));
  tuning.trace = trace;
  const auto fused = plan_fused_decode(device, model.spec, tuning);
  if (fused == nullptr) {
    std::printf("  no plan\n");
    return false;
  }
  double worst = 0;
  int token = 7;
  for (int64_t past = 0; past < 6; ++past) {
    worst = std::max(worst, compare(device, model.spec, *fused, naive_step, trace, token, past,
                                    past < 2 || past == 5));
    token = (token * 31 + 11) % static_cast<int>(shape.vocab);
  }
  for (size_t l = 0; l < model.spec.layers.size(); ++l) {
    model.fill(model.spec.layers[l].kv, l + 1);
    model.fill(naive_step.caches[l], l + 1);
  }
  for (const int64_t past : {6, 63, 64, 65, 127, 128, 300, 301, 1000, 2900}) {
    worst = std::max(worst, compare(device, model.spec, *fused, naive_step, trace, token, past,
                                    true));
  }
  // Greedy against step by step, across launches, twice.
  std::vector<int32_t> ids(75), again(75), single(75);
  fused->greedy(3, 200, ids);
  fused->greedy(3, 200, again);
  int32_t next = 3;
  for (size_t i = 0; i < single.size(); ++i) {
    const auto logits = fetch(device, fused->step(next, 200 + static_cast<int64_t>(i)).data,
                              model.spec.vocab);
    next = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    single[i] = next;
  }
  const bool equal = ids == again && ids == single;
  std::printf("  greedy: %s (%d %d %d %d ...)\n", equal ? "equal" : "DIFFERENT   <-- FAILED",
              ids[0], ids[1], ids[2], ids[3]);
  const bool ok = worst < 2e-3 && equal;
  std::printf("  worst %.1e: %s\n", worst, ok ? "ok" : "FAILED");
  return ok;
}

int run_checks(BenchDevice& device) {
  const auto half = RopePairing::half, inter = RopePairing::interleaved;
  const ModelShape shapes[] = {
      {"smol g128", 576, 9, 3, 64, 1536, 3, 1024, 1, ModelShape::f16, half},
      {"smol g64", 576, 9, 3, 64, 1536, 3, 1000, 2, ModelShape::bf16, half},
      {"smol g32 int4 head", 576, 9, 3, 64, 1536, 2, 1024, 4, ModelShape::tiles, inter},
      {"mha 128", 1024, 8, 8, 128, 2816, 3, 1024, 1, ModelShape::f16, half},
      {"gqa 128 int4 head", 2048, 16, 2, 128, 5632, 3, 4100, 1, ModelShape::tiles, half},
      {"gqa 128 g64", 1024, 8, 2, 128, 2752, 3, 1024, 2, ModelShape::f16, inter},
      {"7b, 2 layers", 4096, 32, 32, 128, 11008, 2, 32000, 1, ModelShape::f16, half},
      {"8b, 2 layers", 4096, 32, 8, 128, 14336, 2, 128256, 1, ModelShape::f16, half},
      {"13b, 2 layers", 5120, 40, 40, 128, 13824, 2, 32000, 1, ModelShape::f16, half},
      {"70b, 1 layer", 8192, 64, 8, 128, 28672, 1, 32000, 1, ModelShape::f16, half},
  };
  int failed = 0;
  for (const ModelShape& shape : shapes) {
    failed += !check_shape(device, shape, {});
    if (std::strcmp(shape.name, "mha 128") == 0) {
      DecodeTuning tuning;
      tuning.raw = false;
      failed += !check_shape(device, shape, tuning);
      tuning.warps = 8;
      failed += !check_shape(device, shape, tuning);
      tuning.raw = true;
      tuning.in_flight = 1;
      tuning.stages = 4;
      failed += !check_shape(device, shape, tuning);
    }
  }
  std::printf(failed == 0 ? "all ok\n" : "%d shapes FAILED\n", failed);
  return failed != 0;
}

// ---- time ----

__global__ void read_sweep(const uint4* data, int64_t count, uint32_t* out) {
  const int64_t part = count / gridDim.x;
  const uint4* at = data + blockIdx.x * part;
  uint32_t mixed = 0;
  for (int64_t i = threadIdx.x; i + 3 * blockDim.x < part; i += 4 * blockDim.x) {
    uint4 v[4];
#pragma unroll
    for (int u = 0; u < 4; ++u) v[u] = __ldcs(at + i + u * blockDim.x);
#pragma unroll
    for (int u = 0; u < 4; ++u) mixed ^= v[u].x ^ v[u].y ^ v[u].z ^ v[u].w;
  }
  if (mixed == 0x12345678) *out = mixed;
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

double measure_roof(BenchDevice& device, Timer& timer) {
  const size_t bytes = size_t{4} << 30;
  DeviceBuffer buffer(device, bytes);
  check(cudaMemsetAsync(buffer.data(), 0x5a, bytes, device.stream()), "memset");
  double best = 1e9;
  for (int i = 0; i < 9; ++i) {
    best = std::min(best, timer.ms([&] {
      read_sweep<<<65536 / 4, 256, 0, device.stream()>>>(buffer.as<const uint4>(), bytes / 16,
                                                         buffer.as<uint32_t>());
    }));
  }
  return static_cast<double>(bytes) / best * 1e-6;  // GB/s
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

// Where the time of a token goes, in clocks of each block, averaged over layers and blocks.
void print_times(BenchDevice& device, const DecodeSpec& spec, const std::vector<long long>& t) {
  const int blocks = device.multiprocessors();
  const auto layers = static_cast<int>(spec.layers.size());
  const char* names[] = {"qkv", "attention", "o", "gate/up", "down"};
  const auto at = [&](int op, int event, int block) {
    return t[static_cast<size_t>((op * 3 + event) * blocks + block)];
  };
  std::printf("    mean clocks of layers 1.. of one token: input waited for, multiplied, posted\n");
  for (int o = 0; o < 5; ++o) {
    double wait = 0, work = 0, post = 0;
    long count = 0;
    for (int l = 1; l < layers; ++l) {
      for (int b = 0; b < blocks; ++b) {
        const int op = l * 5 + o, before = op - 1;
        if (at(op, 2, b) == 0 || at(before, 2, b) == 0) continue;
        if (o == 1) {
          work += static_cast<double>(at(op, 2, b) - at(before, 2, b));
        } else {
          if (at(op, 0, b) == 0) continue;
          wait += static_cast<double>(at(op, 0, b) - at(before, 2, b));
          work += static_cast<double>(at(op, 1, b) - at(op, 0, b));
          post += static_cast<double>(at(op, 2, b) - at(op, 1, b));
        }
        ++count;
      }
    }
    if (count > 0) {
      std::printf("    %-10s %7.0f %7.0f %7.0f\n", names[o], wait / count, work / count,
                  post / count);
    }
  }
}

struct Options {
  std::vector<std::string> models;
  std::vector<int64_t> depths;
  std::vector<DecodeTuning> tunings;
  int64_t layers = 0, tokens = 200;
  bool checks = false, times = false;
};

void measure(BenchDevice& device, Timer& timer, const ModelShape& shape, const Options& options,
             double roof) {
  int64_t deepest = 0;
  for (const int64_t depth : options.depths) deepest = std::max(deepest, depth);
  Model model(device, shape, deepest + options.tokens + 64);
  for (size_t l = 0; l < model.spec.layers.size(); ++l) model.fill(model.spec.layers[l].kv, l + 1);
  std::printf("%s: %ld layers, %.4f GB a token without keys, floor %.3f ms\n", shape.name,
              long(shape.layers), model.bytes * 1e-9, model.bytes * 1e-6 / roof);
  for (DecodeTuning tuning : options.tunings) {
    DeviceBuffer times;
    const auto stamps =
        static_cast<size_t>((shape.layers * 5 + 1) * 3 * device.multiprocessors());
    if (options.times) {
      times = DeviceBuffer(device, stamps * 8);
      check(cudaMemsetAsync(times.data(), 0, stamps * 8, device.stream()), "memset");
      tuning.times = times.as<long long>();
    }
    const auto step = plan_fused_decode(device, model.spec, tuning);
    if (step == nullptr) {
      std::printf("  no plan\n");
      return;
    }
    for (const int64_t depth : options.depths) {
      // A prompt of four tokens, then greedy, in ten parts.
      int64_t past = depth;
      for (int i = 0; i < 4; ++i) step->step(i + 1, past++);
      std::vector<double> ms;
      const int64_t part = std::max<int64_t>(1, options.tokens / 10);
      std::vector<int32_t> ids(static_cast<size_t>(part));
      int32_t token = 5;
      step->greedy(token, past, ids);  // warm
      for (int i = 0; i < 10; ++i) {
        ms.push_back(timer.ms([&] { step->greedy(token, past, ids); }) / part);
        token = ids.back();
        past += part;
      }
      const double single = median([&] {
        std::vector<double> v;
        for (int i = 0; i < 9; ++i) v.push_back(timer.ms([&] { step->step(5, past); }));
        return v;
      }());
      const double t = median(ms);
      const double bytes = model.bytes + model.kv_bytes(depth + 4 + options.tokens / 2);
      std::printf("  warps %2d stages %2d in flight %2d %s split %4d rotate %d depth %5ld: "
                  "%7.4f ms "
                  "%6.1f tok/s  %.4f GB  %5.1f%% of roof  (first %.4f, step() %.4f)\n",
                  tuning.warps, tuning.stages, tuning.in_flight, tuning.raw ? "raw  " : "exact",
                  tuning.split_keys, tuning.rotate, long(depth), t, 1e3 / t, bytes * 1e-9,
                  bytes * 1e-6 / t / roof * 100, ms[0], single);
      std::fflush(stdout);
      if (options.times) {
        std::vector<long long> t_host(stamps);
        device.download(t_host.data(), times.data(), stamps * 8);
        print_times(device, model.spec, t_host);
      }
    }
  }
}

std::vector<int64_t> numbers(const char* text) {
  std::vector<int64_t> v;
  for (const char* p = text; *p != 0;) {
    char* end = nullptr;
    v.push_back(std::strtol(p, &end, 10));
    p = *end == ',' ? end + 1 : end;
    if (end == p && *end != 0) break;
  }
  return v;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const char* next = i + 1 < argc ? argv[i + 1] : "";
    if (arg == "--check") {
      options.checks = true;
    } else if (arg == "--times") {
      options.times = true;
    } else if (arg == "--layers") {
      options.layers = std::atol(next), ++i;
    } else if (arg == "--tokens") {
      options.tokens = std::atol(next), ++i;
    } else if (arg == "--depth") {
      options.depths = numbers(next), ++i;
    } else if (arg == "--tuning") {
      const auto v = numbers(next);
      DecodeTuning t;
      if (v.size() > 0) t.warps = static_cast<int>(v[0]);
      if (v.size() > 1) t.stages = static_cast<int>(v[1]);
      if (v.size() > 2) t.in_flight = static_cast<int>(v[2]);
      if (v.size() > 3) t.raw = v[3] != 0;
      if (v.size() > 4) t.split_keys = static_cast<int>(v[4]);
      if (v.size() > 5) t.rotate = v[5] != 0;
      options.tunings.push_back(t), ++i;
    } else {
      options.models.push_back(arg);
    }
  }
  if (options.models.empty()) options.models = {"7b", "8b"};
  if (options.depths.empty()) options.depths = {0};
  if (options.tunings.empty()) options.tunings.push_back({});
  return options;
}

int main_of(int argc, char** argv) {
  const Options options = parse(argc, argv);
  BenchDevice device;
  std::printf("%s, %d SMs\n", device.description().c_str(), device.multiprocessors());
  if (options.checks) return run_checks(device);
  Timer timer(device.stream());
  const double roof = measure_roof(device, timer);
  std::printf("read roof %.1f GB/s\n", roof);
  const auto half = RopePairing::half;
  const ModelShape shapes[] = {
      {"7b", 4096, 32, 32, 128, 11008, 32, 32000, 1, ModelShape::f16, half},
      {"8b", 4096, 32, 8, 128, 14336, 32, 128256, 1, ModelShape::f16, half},
      {"13b", 5120, 40, 40, 128, 13824, 40, 32000, 1, ModelShape::f16, half},
      {"70b", 8192, 64, 8, 128, 28672, 80, 32000, 1, ModelShape::f16, half},
  };
  for (ModelShape shape : shapes) {
    if (std::find(options.models.begin(), options.models.end(), shape.name) ==
        options.models.end()) {
      continue;
    }
    if (options.layers > 0) shape.layers = std::min(shape.layers, options.layers);
    measure(device, timer, shape, options, roof);
  }
  return 0;
}

}  // namespace
}  // namespace awq::cuda

int main(int argc, char** argv) { return awq::cuda::main_of(argc, argv); }
