#include "kernels/cuda/batch/plan.h"

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "kernels/cuda/batch/attention.h"
#include "kernels/cuda/batch/few.h"
#include "kernels/cuda/batch/marks.h"
#include "kernels/cuda/batch/products.h"
#include "kernels/cuda/batch/rows.h"
#include "kernels/cuda/rows.h"
#include "kernels/cuda/weights.h"

namespace awq::cuda {
namespace batch {
namespace {

class Plan : public BatchStep {
 public:
  Plan(CudaDevice& device, const DecodeSpec& spec)
      : device_(device),
        spec_(spec),
        few_(device, spec_),
        marks_(device),
        frequency_(device, spec.kinds[0].inverse_frequency.size_bytes()) {
    device.upload(frequency_.data(), spec.kinds[0].inverse_frequency.data(), frequency_.size());
    spec_.kinds[0].inverse_frequency = {};
  }

  ~Plan() override { forget(); }

  std::string_view name() const override { return "batch graph"; }

  bool takes(const KvView& cache) const override {
    const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
    return (cache.dtype == DType::f16 || cache.dtype == DType::i8) && cache.head_stride % 16 == 0 && aligned(cache.k) &&
           aligned(cache.v);
  }

  Matrix step(std::span<const int32_t> tokens, std::span<const int64_t> past,
              std::span<const KvView> caches) override {
    begin(tokens, past, caches);
    launch(sequences_, *std::max_element(past.begin(), past.end()));
    return {logits_.as<float>(), sequences_, spec_.vocab};
  }

  Matrix step_from(const int32_t* tokens, std::span<const int64_t> past,
                   std::span<const KvView> caches) override {
    begin({}, past, caches);
    check(cudaMemcpyAsync(state().tokens, tokens, past.size() * sizeof *tokens,
                          cudaMemcpyDeviceToDevice, device_.stream()), "tokens");
    launch(sequences_, *std::max_element(past.begin(), past.end()));
    return {logits_.as<float>(), sequences_, spec_.vocab};
  }

  void greedy(std::span<const int32_t> tokens, std::span<const int64_t> past,
              std::span<const KvView> caches, std::span<int32_t> ids) override {
    begin(tokens, past, caches);
    const auto steps = static_cast<int64_t>(ids.size()) / sequences_;
    const int64_t most = *std::max_element(past.begin(), past.end());
    for (int64_t first = 0; first < steps; first += kAnswers) {
      const int64_t count = std::min(kAnswers, steps - first);
      device_.clear(state_.as<int32_t>(), sizeof(int32_t));  // the count of steps
      for (int64_t i = 0; i < count; ++i) launch(sequences_, most + first + i);
      device_.download(ids.data() + first * sequences_, answers_.data(),
                       static_cast<size_t>(count * sequences_) * sizeof(int32_t));
    }
  }

  int64_t prompt_rows(int64_t rows) const override {
    const int64_t row = 4 * (2 * spec_.hidden + qkv_columns() + spec_.heads * spec_.head_dim +
                             2 * spec_.ffn + std::max(spec_.hidden, spec_.ffn));
    const auto there = static_cast<int64_t>(x_.size() + branch_.size() + qkv_.size() +
                                            attended_.size() + gate_up_.size() + inputs_.size());
    const auto free = static_cast<int64_t>(
        std::min<uint64_t>(device_.available(), uint64_t{1} << 50));
    while (rows > kFewestRows && rows * row + kReserved > free + there) rows = (rows + 1) / 2;
    return rows;
  }

  Matrix prompt(std::span<const int32_t> tokens, int64_t past,
                std::span<const KvView> caches) override {
    const auto rows = static_cast<int64_t>(tokens.size());
    if (reserve(rows, Mode::prompt)) forget();
    ids_.reserve(device_, tokens.size_bytes());
    check(cudaMemcpyAsync(ids_.data(), tokens.data(), tokens.size_bytes(), cudaMemcpyHostToDevice,
                          device_.stream()), "tokens");  // staged: `tokens` may go away
    embed(device_, table(), ids_.as<int32_t>(), nullptr, x(rows));
    marks_.add("embedding", 0);
    run_layers(rows, 1, caches, past);
    add(device_, branch(rows), x(rows));
    marks_.add("add", 0);
    return x(rows);
  }

  std::vector<PartTime> profile_step(std::span<const int32_t> tokens, std::span<const int64_t> past,
                                     std::span<const KvView> caches) override {
    step(tokens, past, caches);  // memory grows now
    forget();
    begin(tokens, past, caches);
    keys_ = 0;
    for (const int64_t p : past) keys_ += p + 1;
    const int64_t most = bucket(*std::max_element(past.begin(), past.end()));
    capturing_marks_ = true;
    const cudaGraphExec_t graph = capture(sequences_, most);
    capturing_marks_ = false;
    marks_.stop();
    for (int i = 0; i < 3; ++i) {  // the last of them counts
      check(cudaGraphLaunch(graph, device_.stream()), "launching a step");
    }
    device_.synchronize();
    std::vector<PartTime> parts = marks_.sums();
    cudaGraphExecDestroy(graph);
    marks_.clear();
    return parts;
  }

  std::vector<PartTime> profile_prompt(std::span<const int32_t> tokens, int64_t past,
                                       std::span<const KvView> caches) override {
    prompt(tokens, past, caches);
    const auto rows = static_cast<int64_t>(tokens.size());
    keys_ = past + rows;
    device_.synchronize();
    marks_.begin();
    prompt(tokens, past, caches);
    marks_.stop();
    device_.synchronize();
    std::vector<PartTime> parts = marks_.sums();
    marks_.clear();
    return parts;
  }

 private:
  enum class Mode { step, prompt };
  static constexpr int64_t kAnswers = 256;  // steps between two looks of the host
  static constexpr int64_t kFewestRows = 256, kReserved = int64_t{192} << 20;
  struct Key {
    int64_t sequences, most;
    DType dtype;
    auto operator<=>(const Key&) const = default;
  };

  int64_t q_columns() const { return spec_.heads * spec_.head_dim; }
  int64_t kv_columns() const { return spec_.kv_heads * spec_.head_dim; }
  int64_t qkv_columns() const { return q_columns() + 2 * kv_columns(); }
  const FloatWeightCuda& table() const { return static_cast<const FloatWeightCuda&>(*spec_.embed); }
  Matrix x(int64_t rows) const { return {x_.as<float>(), rows, spec_.hidden}; }
  Matrix branch(int64_t rows) const { return {branch_.as<float>(), rows, spec_.hidden}; }

  State state() const {
    auto* base = state_.as<int32_t>();
    return {base + 1, base + 1 + sequences_, answers_.as<int32_t>(), base};
  }

  // Whether any memory moved. Buffers only grow: what was had last need not be asked for again.
  bool reserve(int64_t rows, Mode mode) {
    if (rows == reserved_rows_ && mode == reserved_mode_) return false;
    bool moved = false;
    const auto grow = [&](DeviceBuffer& buffer, int64_t bytes) {
      moved |= static_cast<size_t>(bytes) > buffer.size();
      buffer.reserve(device_, static_cast<size_t>(bytes));
    };
    grow(x_, rows * spec_.hidden * 4);
    grow(branch_, rows * spec_.hidden * 4);
    grow(qkv_, rows * qkv_columns() * 4);
    grow(gate_up_, rows * 2 * spec_.ffn * 4);
    size_t bytes = 0;
    for (const DecodeLayer& l : spec_.layers) {
      for (const Product& p : products_of(l, rows)) bytes = std::max(bytes, input_bytes(p, rows));
    }
    if (mode == Mode::step) {
      bytes = std::max(bytes, input_bytes(plan_product(device_, {&spec_.head, 1}, rows), rows));
    }
    grow(inputs_, static_cast<int64_t>(bytes));
    if (mode == Mode::step && few_.fits(rows)) moved |= few_.reserve(rows);
    if (mode == Mode::prompt) {
      grow(attended_, rows * q_columns() * 4);
    } else {
      grow(logits_, rows * spec_.vocab * 4);
      grow(state_, (2 * rows + 1) * 4);
      grow(answers_, kAnswers * rows * 4);
    }
    reserved_rows_ = rows, reserved_mode_ = mode;
    return moved;
  }

  std::array<Product, 4> products_of(const DecodeLayer& l, int64_t rows) const {
    const PackedWeight *qkv[] = {l.q, l.k, l.v}, *gate_up[] = {l.gate, l.up};
    return {plan_product(device_, qkv, rows), plan_product(device_, {&l.o, 1}, rows),
            plan_product(device_, gate_up, rows), plan_product(device_, {&l.down, 1}, rows)};
  }

  // Without waiting for the device, unless memory moves or the caches are others than before.
  // `tokens` may be empty: they are put in place later.
  void begin(std::span<const int32_t> tokens, std::span<const int64_t> past,
             std::span<const KvView> caches) {
    const auto sequences = static_cast<int64_t>(past.size());
    AWQ_CHECK((tokens.empty() || past.size() == tokens.size()) &&
                  caches.size() == past.size() * spec_.layers.size(),
              past.size(), caches.size());
    if (reserve(sequences, Mode::step)) forget();
    sequences_ = sequences;
    cache_dtype_ = caches[0].dtype;
    host_state_.assign(1, 0);
    host_state_.insert(host_state_.end(), tokens.begin(), tokens.end());
    host_state_.resize(past.size() + 1);
    for (const int64_t p : past) host_state_.push_back(static_cast<int32_t>(p));
    check(cudaMemcpyAsync(state_.data(), host_state_.data(), host_state_.size() * sizeof(int32_t),
                          cudaMemcpyHostToDevice, device_.stream()),
          "the state of a step");  // staged: few bytes
    std::vector<Cache> now;
    for (const KvView& kv : caches) {
      AWQ_CHECK(takes(kv) && kv.dtype == caches[0].dtype, dtype_name(kv.dtype));
      now.push_back({kv.k, kv.v, kv.k_scales, kv.v_scales, kv.head_stride});
    }
    if (now == host_caches_) return;
    host_caches_ = std::move(now);
    const size_t bytes = host_caches_.size() * sizeof(Cache);
    if (bytes > caches_.size()) {
      forget();
      caches_.reserve(device_, bytes);
    }
    device_.upload(caches_.data(), host_caches_.data(), bytes);
  }

  // Positions up to which the keys are split alike.
  static int64_t bucket(int64_t past) {
    int64_t most = 256;
    while (most <= past) most *= 4;
    return most;
  }

  void launch(int64_t sequences, int64_t past) {
    // Products use the device's scratch: when that moved, what was captured is void.
    const void* now[kSlots];
    for (int slot = 0; slot < kSlots; ++slot) now[slot] = device_.scratch(slot, 1);
    if (!std::equal(now, now + kSlots, scratch_)) forget();
    const int64_t most = bucket(past);
    const auto floats = static_cast<size_t>(attention_floats(attention_of(sequences, most)));
    if (floats * sizeof(float) > partial_.size()) {
      forget();
      partial_.reserve(device_, floats * sizeof(float));
    }
    cudaGraphExec_t& graph = graphs_[{sequences, most, cache_dtype_}];
    if (graph == nullptr) graph = capture(sequences, most);
    check(cudaGraphLaunch(graph, device_.stream()), "launching a step");
  }

  void forget() {
    if (graphs_.empty()) return;
    device_.synchronize();
    for (auto& [key, graph] : graphs_) {
      if (graph != nullptr) cudaGraphExecDestroy(graph);
    }
    graphs_.clear();
  }

  cudaGraphExec_t capture(int64_t sequences, int64_t most) {
    // Once for real: scratch grows now, not while capturing. The state is put back; what the caches
    // got they will get again.
    std::vector<int32_t> before(static_cast<size_t>(2 * sequences + 1));
    device_.download(before.data(), state_.data(), before.size() * sizeof(int32_t));
    run_step(sequences, most);
    device_.upload(state_.data(), before.data(), before.size() * sizeof(int32_t));
    for (int slot = 0; slot < kSlots; ++slot) scratch_[slot] = device_.scratch(slot, 1);
    cudaGraph_t graph;
    cudaGraphExec_t made = nullptr;
    check(cudaStreamBeginCapture(device_.stream(), cudaStreamCaptureModeThreadLocal), "capturing");
    if (capturing_marks_) marks_.begin();
    run_step(sequences, most);
    check(cudaStreamEndCapture(device_.stream(), &graph), "capturing a step");
    check(cudaGraphInstantiate(&made, graph, 0), "making a graph of a step");
    check(cudaGraphDestroy(graph), "making a graph of a step");
    return made;
  }

  // Of the first layer; `most` 0: rows of one sequence.
  AttentionStep attention_of(int64_t rows, int64_t most) const {
    AttentionStep a = {};
    const Matrix all(qkv_.as<float>(), rows, qkv_columns());
    a.q = all.slice_cols(0, q_columns());
    a.k = all.slice_cols(q_columns(), kv_columns());
    a.v = all.slice_cols(q_columns() + kv_columns(), kv_columns());
    a.caches = caches_.as<Cache>();
    a.positions = most > 0 ? state().positions : nullptr;
    a.frequency = frequency_.as<float>();
    a.heads = static_cast<int>(spec_.heads);
    a.kv_heads = static_cast<int>(spec_.kv_heads);
    a.head_dim = static_cast<int>(spec_.head_dim);
    a.half = static_cast<int>(spec_.kinds[0].rotary_dim / 2);
    a.interleaved = spec_.kinds[0].pairing == RopePairing::interleaved;
    a.dtype = cache_dtype_;
    a.scale = spec_.attention_scale;
    a.splits = most > 0 ? choose_splits(device_, rows, spec_.kv_heads, most) : 1;
    a.partial = partial_.as<float>();
    return a;
  }

  void run_step(int64_t sequences, int64_t most) {
    const State s = state();
    embed(device_, table(), s.tokens, s.step, x(sequences));
    marks_.add("embedding", 0);
    const bool few = few_.fits(sequences);
    if (few) {
      run_few(sequences, most);
    } else {
      run_layers(sequences, most, {}, 0);
    }
    Product head = plan_product(device_, {&spec_.head, 1}, sequences);
    head.inputs.data = inputs_.data();
    norm(device_, x(sequences), few ? nullptr : branch(sequences).data, spec_.final_norm.weight,
         spec_.epsilon, head.inputs);
    marks_.add("norm", 0);
    const Matrix logits(logits_.as<float>(), sequences, spec_.vocab);
    multiply(device_, head, {&logits, 1});
    marks_.add("head", bytes_of(head));
    advance(device_, logits, s);
    marks_.add("next tokens", 0);
  }

  // x through all layers of a step, by products that take the norms and activations along.
  void run_few(int64_t rows, int64_t most) {
    AttentionStep attention = attention_of(rows, most);
    few_.begin(x(rows));
    marks_.add("norm", 0);
    for (size_t l = 0; l < spec_.layers.size(); ++l) {
      const DecodeLayer& layer = spec_.layers[l];
      few_.qkv(l, attention.q, attention.k, attention.v);
      marks_.add("q, k, v", bytes_of({layer.q, layer.k, layer.v}));
      attention.out = few_.attended(l, rows);
      attention.caches = caches_.as<Cache>() + static_cast<int64_t>(l) * rows;
      attend(device_, attention);
      marks_.add("attention", key_bytes(cache_dtype_));
      few_.o(l, x(rows));
      marks_.add("o", bytes_of({layer.o}));
      few_.gate_up(l, rows);
      marks_.add("gate, up", bytes_of({layer.gate, layer.up}));
      few_.down(l, x(rows));
      marks_.add("down", bytes_of({layer.down}));
    }
  }

  // x through all layers; the last branch is left for the next norm. Without caches: a step of
  // sequences; else rows of the one they belong to.
  void run_layers(int64_t rows, int64_t most, std::span<const KvView> caches, int64_t past) {
    const bool step = caches.empty();
    AttentionStep attention = attention_of(rows, step ? most : 0);
    const Matrix both(gate_up_.as<float>(), rows, 2 * spec_.ffn);
    const Matrix gate = both.slice_cols(0, spec_.ffn), up = both.slice_cols(spec_.ffn, spec_.ffn);
    for (size_t l = 0; l < spec_.layers.size(); ++l) {
      const DecodeLayer& layer = spec_.layers[l];
      auto products = products_of(layer, rows);
      for (Product& p : products) p.inputs.data = inputs_.data();
      auto& [qkv, o, gate_up, down] = products;
      norm(device_, x(rows), l == 0 ? nullptr : branch(rows).data, layer.attn_norm.weight, spec_.epsilon,
           qkv.inputs);
      marks_.add("norm", 0);
      multiply(device_, qkv, std::array{attention.q, attention.k, attention.v});
      marks_.add("q, k, v", bytes_of(qkv));
      attention.out = o.inputs;
      if (step) {
        attention.caches = caches_.as<Cache>() + static_cast<int64_t>(l) * rows;
        attend(device_, attention);
        marks_.add("attention", key_bytes(cache_dtype_));
      } else {
        attend_prompt(attention, caches[l], past);
      }
      const Matrix to = branch(rows);
      multiply(device_, o, {&to, 1});
      marks_.add("o", bytes_of(o));
      norm(device_, x(rows), to.data, layer.ffn_norm.weight, spec_.epsilon, gate_up.inputs);
      marks_.add("norm", 0);
      multiply(device_, gate_up, std::array{gate, up});
      marks_.add("gate, up", bytes_of(gate_up));
      act_mul(device_, spec_.activation, gate, up, down.inputs);
      marks_.add("activation", 0);
      multiply(device_, down, {&to, 1});
      marks_.add("down", bytes_of(down));
    }
  }

  void attend_prompt(const AttentionStep& a, const KvView& kv, int64_t past) {
    rotate_and_append(device_, a, kv, past);
    marks_.add("RoPE, append", 0);
    const int64_t rows = a.q.rows;
    const Matrix out(attended_.as<float>(), rows, q_columns());
    const Segment segment{0, rows, past, kv};
    AttentionArgs args;
    args.q = a.q, args.out = out;
    args.heads = a.heads, args.kv_heads = a.kv_heads, args.head_dim = a.head_dim;
    args.scale = a.scale;
    args.segments = {&segment, 1};
    attend_rows(device_, args, false);
    marks_.add("attention", key_bytes(kv.dtype));
    convert(device_, out, a.out);
    marks_.add("halves", 0);
  }

  double key_bytes(DType dtype) const {
    return static_cast<double>(2 * keys_ * kv_columns()) * (dtype == DType::i8 ? 1 : 2);
  }
  static double bytes_of(const Product& p) {
    double bytes = 0;
    for (int i = 0; i < p.count; ++i) bytes += static_cast<double>(p.weights[i]->bytes);
    return bytes;
  }
  static double bytes_of(std::initializer_list<const PackedWeight*> weights) {
    double bytes = 0;
    for (const PackedWeight* w : weights) bytes += static_cast<double>(w->bytes);
    return bytes;
  }

  static constexpr int kSlots = 4;
  bool capturing_marks_ = false;
  int64_t keys_ = 0;  // of a profiled pass
  CudaDevice& device_;
  DecodeSpec spec_;
  FewRows few_;
  Marks marks_;
  int64_t sequences_ = 0;
  int64_t reserved_rows_ = 0;
  Mode reserved_mode_ = Mode::step;
  DType cache_dtype_ = DType::f16;  // of the sequences
  DeviceBuffer frequency_, x_, branch_, qkv_, attended_, gate_up_, inputs_, logits_, partial_;
  DeviceBuffer caches_;   // Cache [layers][sequences]
  DeviceBuffer state_;    // int32: steps, tokens, positions
  DeviceBuffer answers_;  // int32 [kAnswers][sequences]
  DeviceBuffer ids_;      // of a prompt
  std::vector<int32_t> host_state_;
  std::vector<Cache> host_caches_;
  std::map<Key, cudaGraphExec_t> graphs_;
  const void* scratch_[kSlots] = {};
};

bool fits(const DecodeSpec& spec) {
  if (!is_plain(spec) || spec.layers.empty() || !can_attend(spec.heads, spec.kv_heads, spec.head_dim) ||
      spec.hidden % 8 != 0 || spec.hidden > kMostNormed || spec.ffn % 8 != 0) {
    return false;
  }
  const auto kind = [](const PackedWeight* w) { return static_cast<const CudaWeight*>(w)->kind; };
  if (kind(spec.embed) != CudaWeight::Kind::floats ||
      kind(spec.head) == CudaWeight::Kind::canonical) {
    return false;
  }
  return std::all_of(spec.layers.begin(), spec.layers.end(), [&](const DecodeLayer& l) {
    for (const PackedWeight* w : {l.q, l.k, l.v, l.o, l.gate, l.up, l.down}) {
      if (kind(w) == CudaWeight::Kind::canonical) return false;
    }
    return true;
  });
}

}  // namespace
}  // namespace batch

std::unique_ptr<BatchStep> plan_batch(Device& device, const DecodeSpec& spec) {
  if (!batch::fits(spec)) return nullptr;
  return std::make_unique<batch::Plan>(cuda_device(device), spec);
}

}  // namespace awq::cuda
