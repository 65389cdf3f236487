#include "kernels/cuda/decode_graph.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <map>

#include "kernels/cuda/decode.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/rows.h"
#include "kernels/cuda/step_attention.h"
#include "kernels/cuda/tile_product.h"
#include "kernels/cuda/weights.h"

namespace awq::cuda {
namespace {

// What a step reads and writes for the next one.
struct State {
  int32_t token, position;
};

template <class T>
__global__ void embed_token(const T* table, const State* state, int64_t hidden, float* x) {
  const T* row = table + state->token * hidden;
  for (int64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < hidden; i += gridDim.x * blockDim.x) {
    x[i] = static_cast<float>(row[i]);
  }
}

struct RopeAppend {
  float *q, *k;
  const float *v, *frequency;
  int heads, kv_heads, head_dim, half;
  bool interleaved;
  KvView kv;
  const State* state;
};

// A block a head: the queries turn in place, the keys on their way to the cache, the values go there.
template <class T>
__global__ void rope_append(RopeAppend r) {
  const int64_t position = r.state->position;
  const int head = blockIdx.x < r.heads ? blockIdx.x : (blockIdx.x - r.heads) % r.kv_heads;
  const bool query = blockIdx.x < r.heads, value = blockIdx.x >= r.heads + r.kv_heads;
  const int64_t at = head * r.kv.head_stride + position * r.head_dim;
  if (value) {
    T* to = static_cast<T*>(r.kv.v) + at;
    for (int i = threadIdx.x; i < r.head_dim; i += blockDim.x) {
      to[i] = static_cast<T>(r.v[head * r.head_dim + i]);
    }
    return;
  }
  float* x = (query ? r.q : r.k) + head * r.head_dim;
  T* cached = static_cast<T*>(r.kv.k) + at;
  for (int pair = threadIdx.x; pair < r.half; pair += blockDim.x) {
    const int first = r.interleaved ? 2 * pair : pair;
    const int second = r.interleaved ? 2 * pair + 1 : pair + r.half;
    const float2 turned =
        rotate(x[first], x[second], static_cast<float>(position) * r.frequency[pair], 1);
    if (query) {
      x[first] = turned.x;
      x[second] = turned.y;
    } else {
      cached[first] = static_cast<T>(turned.x);
      cached[second] = static_cast<T>(turned.y);
    }
  }
  for (int i = 2 * r.half + threadIdx.x; i < r.head_dim && !query; i += blockDim.x) {
    cached[i] = static_cast<T>(x[i]);
  }
}

constexpr int kArgmaxBlocks = 64;

__global__ void part_argmax(const float* logits, int64_t vocab, Best* parts) {
  __shared__ Best shared[32];
  Best best = Best::none();
  for (int64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < vocab; i += gridDim.x * blockDim.x) {
    best.take({logits[i], static_cast<int32_t>(i)});
  }
  best = block_best(best, shared);
  if (threadIdx.x == 0) parts[blockIdx.x] = best;
}

// The answer becomes the next token; answers[position] keeps it for the host.
__global__ void advance(const Best* parts, State* state, int32_t* answers) {
  __shared__ Best shared[32];
  const Best best = block_best(parts[threadIdx.x], shared);
  if (threadIdx.x != 0) return;
  state->token = best.index == INT32_MAX ? 0 : best.index;
  answers[state->position] = state->token;
  ++state->position;
}

class GraphStep : public DecodeStep {
 public:
  GraphStep(CudaDevice& device, const DecodeSpec& spec)
      : device_(device), spec_(spec), state_(device, sizeof(State)),
        parts_(device, kArgmaxBlocks * sizeof(Best)),
        answers_(device, static_cast<size_t>(spec.capacity) * sizeof(int32_t)),
        frequency_(device, spec.kinds[0].inverse_frequency.size_bytes()) {
    device.upload(frequency_.data(), spec.kinds[0].inverse_frequency.data(), frequency_.size());
    spec_.kinds[0].inverse_frequency = {};
    const int64_t heads = spec.heads * spec.head_dim, kv = spec.kv_heads * spec.head_dim;
    const int64_t sizes[] = {spec.hidden, spec.hidden, spec.hidden, heads, kv, kv, heads, spec.ffn,
                             spec.ffn, spec.vocab};
    for (int i = 0; i < kRows; ++i) {
      rows_[i] = DeviceBuffer(device, static_cast<size_t>(sizes[i]) * sizeof(float));
    }
  }

  ~GraphStep() override { forget(); }

  std::string_view name() const override { return "CUDA graph"; }

  Matrix step(int32_t token, int64_t past) override {
    begin(token, past);
    launch(past);
    return row(kLogits);
  }

  Matrix step_from(const int32_t* token, int64_t past) override {
    begin(0, past);
    check(cudaMemcpyAsync(&state_.as<State>()->token, token, sizeof *token, cudaMemcpyDeviceToDevice,
                          device_.stream()), "a token");
    launch(past);
    return row(kLogits);
  }

  void greedy(int32_t token, int64_t past, std::span<int32_t> ids) override {
    begin(token, past);
    for (size_t i = 0; i < ids.size(); ++i) launch(past + static_cast<int64_t>(i));
    device_.download(ids.data(), answers_.as<int32_t>() + past, ids.size_bytes());
  }

 private:
  enum Row { kX, kNormed, kBranch, kQ, kK, kV, kAttention, kGate, kUp, kLogits, kRows };
  struct Captured {
    cudaGraphExec_t graph = nullptr;
    DeviceBuffer partial;
  };

  Matrix row(Row which) const {
    return {rows_[which].as<float>(), 1, static_cast<int64_t>(rows_[which].size() / sizeof(float))};
  }

  void begin(int32_t token, int64_t past) {
    const State state{token, static_cast<int32_t>(past)};
    check(cudaMemcpyAsync(state_.data(), &state, sizeof state, cudaMemcpyHostToDevice,
                          device_.stream()), "a token");  // staged: `state` may go away
  }

  // Positions up to which the keys are split alike.
  static int64_t bucket(int64_t past) {
    int64_t most = 256;
    while (most <= past) most *= 4;
    return most;
  }

  void launch(int64_t past) {
    // Kernels of the table use the device's scratch: when that moved, what was captured is void.
    const void* now[4];
    for (int slot = 0; slot < 4; ++slot) now[slot] = device_.scratch(slot, 1);
    if (!std::equal(now, now + 4, scratch_)) forget();
    Captured& captured = captured_[bucket(past)];
    if (captured.graph == nullptr) capture(captured, bucket(past));
    check(cudaGraphLaunch(captured.graph, device_.stream()), "launching a step");
  }

  void forget() {
    device_.synchronize();
    for (auto& [most, captured] : captured_) {
      if (captured.graph != nullptr) cudaGraphExecDestroy(captured.graph);
    }
    captured_.clear();
  }

  void capture(Captured& captured, int64_t most) {
    const StepAttention first = attention_of(spec_.layers.front(), captured);
    captured.partial = DeviceBuffer(
        device_, static_cast<size_t>(step_attention_floats(device_, first, most)) * sizeof(float));
    // Once for real: scratch grows now, not while capturing. The state is put back.
    State state;
    device_.download(&state, state_.data(), sizeof state);
    run(captured, most);
    device_.upload(state_.data(), &state, sizeof state);
    for (int slot = 0; slot < 4; ++slot) scratch_[slot] = device_.scratch(slot, 1);
    cudaGraph_t graph;
    check(cudaStreamBeginCapture(device_.stream(), cudaStreamCaptureModeThreadLocal), "capturing");
    run(captured, most);
    check(cudaStreamEndCapture(device_.stream(), &graph), "capturing a step");
    check(cudaGraphInstantiate(&captured.graph, graph, 0), "making a graph of a step");
    check(cudaGraphDestroy(graph), "making a graph of a step");
  }

  StepAttention attention_of(const DecodeLayer& layer, const Captured& captured) const {
    return {row(kQ).data, row(kAttention).data, spec_.heads, spec_.kv_heads, spec_.head_dim,
            spec_.attention_scale, layer.kv, &state_.as<State>()->position,
            captured.partial.as<float>()};
  }

  NormArgs norm_of(Row x, const float* weight) const {
    NormArgs args;
    args.x = row(x);
    args.y = row(kNormed);
    args.weight = weight;
    args.epsilon = spec_.epsilon;
    return args;
  }

  void product(const PackedWeight* weight, Row x, Row y) {
    matmul(device_, row(x), *weight, nullptr, row(y));
  }

  // Products of one input: in one launch where the weights allow it.
  template <size_t kCount>
  void products(const PackedWeight* const (&weights)[kCount], Row x, const Row (&ys)[kCount]) {
    const QuantTilesCuda* tiles[kCount];
    Matrix outs[kCount];
    bool all = true;
    for (size_t i = 0; i < kCount; ++i) {
      all &= static_cast<const CudaWeight*>(weights[i])->kind == CudaWeight::Kind::tiles;
      tiles[i] = static_cast<const QuantTilesCuda*>(weights[i]);
      outs[i] = row(ys[i]);
    }
    if (all && multiply_together(device_, row(x), tiles, outs)) return;
    for (size_t i = 0; i < kCount; ++i) product(weights[i], x, ys[i]);
  }

  void embed() {
    const auto& table = static_cast<const FloatWeightCuda&>(*spec_.embed);
    const auto* state = state_.as<const State>();
    const auto blocks = static_cast<unsigned>((spec_.hidden + 255) / 256);
    float* x = row(kX).data;
    if (table.dtype == DType::f16) {
      embed_token<<<blocks, 256, 0, device_.stream()>>>(static_cast<const __half*>(table.data()),
                                                        state, spec_.hidden, x);
    } else if (table.dtype == DType::bf16) {
      embed_token<<<blocks, 256, 0, device_.stream()>>>(
          static_cast<const __nv_bfloat16*>(table.data()), state, spec_.hidden, x);
    } else {
      embed_token<<<blocks, 256, 0, device_.stream()>>>(static_cast<const float*>(table.data()),
                                                        state, spec_.hidden, x);
    }
    check_launch("an embedding");
  }

  void rotate(const DecodeLayer& layer) {
    const RopeAppend r{row(kQ).data, row(kK).data, row(kV).data, frequency_.as<float>(),
                       static_cast<int>(spec_.heads), static_cast<int>(spec_.kv_heads),
                       static_cast<int>(spec_.head_dim), static_cast<int>(spec_.kinds[0].rotary_dim / 2),
                       spec_.kinds[0].pairing == RopePairing::interleaved, layer.kv, state_.as<State>()};
    const auto blocks = static_cast<unsigned>(spec_.heads + 2 * spec_.kv_heads);
    if (layer.kv.dtype == DType::f16) {
      rope_append<__half><<<blocks, 64, 0, device_.stream()>>>(r);
    } else {
      rope_append<float><<<blocks, 64, 0, device_.stream()>>>(r);
    }
    check_launch("RoPE");
  }

  void run(const Captured& captured, int64_t most) {
    embed();
    bool pending = false;  // a branch that the next norm adds to x
    const auto normed = [&](const float* weight) {
      if (pending) {
        add_norm(device_, row(kBranch), row(kX), norm_of(kX, weight));
      } else {
        norm(device_, norm_of(kX, weight));
      }
      pending = true;
    };
    for (const DecodeLayer& layer : spec_.layers) {
      normed(layer.attn_norm.weight);
      products({layer.q, layer.k, layer.v}, kNormed, {kQ, kK, kV});
      rotate(layer);
      step_attention(device_, attention_of(layer, captured), most);
      product(layer.o, kAttention, kBranch);
      normed(layer.ffn_norm.weight);
      products({layer.gate, layer.up}, kNormed, {kGate, kUp});
      act_mul(device_, spec_.activation, row(kGate), row(kUp), row(kUp));
      product(layer.down, kUp, kBranch);
    }
    normed(spec_.final_norm.weight);
    product(spec_.head, kNormed, kLogits);
    part_argmax<<<kArgmaxBlocks, 256, 0, device_.stream()>>>(row(kLogits).data, spec_.vocab,
                                                             parts_.as<Best>());
    advance<<<1, kArgmaxBlocks, 0, device_.stream()>>>(parts_.as<Best>(), state_.as<State>(),
                                                       answers_.as<int32_t>());
    check_launch("the next token");
  }

  CudaDevice& device_;
  DecodeSpec spec_;
  DeviceBuffer state_, parts_, answers_, frequency_, rows_[kRows];
  std::map<int64_t, Captured> captured_;  // by bucket
  const void* scratch_[4] = {};
};

bool capturable(const PackedWeight* weight) {
  return static_cast<const CudaWeight*>(weight)->kind != CudaWeight::Kind::canonical;
}

}  // namespace

std::unique_ptr<DecodeStep> plan_decode(Device& device, const DecodeSpec& spec) {
  if (!is_plain(spec)) return nullptr;
  if (auto step = plan_fused_decode(device, spec)) return step;
  if (spec.head_dim > 256 || spec.layers.empty() || !capturable(spec.head) ||
      static_cast<const CudaWeight*>(spec.embed)->kind != CudaWeight::Kind::floats) {
    return nullptr;
  }
  for (const DecodeLayer& layer : spec.layers) {
    if (layer.kv.dtype == DType::i8) return nullptr;  // the plan of batches takes these
    for (const PackedWeight* weight :
         {layer.q, layer.k, layer.v, layer.o, layer.gate, layer.up, layer.down}) {
      if (!capturable(weight)) return nullptr;
    }
  }
  return std::make_unique<GraphStep>(cuda_device(device), spec);
}

}  // namespace awq::cuda
