#include "kernels/cpu/decode_step.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>

#include "base/phased_job.h"
#include "kernels/cpu/head_query.h"
#include "kernels/cpu/launch.h"
#include "kernels/cpu/row_product.h"

namespace awq::cpu {
namespace {

constexpr int64_t kLineFloats = 16;
constexpr int32_t kFetchLines = 4;  // of the next phase's weights, for each turn of waiting

int64_t padded(int64_t floats) { return (floats + kLineFloats - 1) / kLineFloats * kLineFloats; }

enum Phase { kQkv, kAttention, kO, kGateUp, kDown, kPhases };

// Weights that multiply the same row. Items are panels one after the other, or, of a pair, panel i of
// both.
struct Product {
  std::array<const CpuWeight*, 3> weights = {};
  int count = 0;
  bool pair = false;
  std::array<int, 3> operand = {};  // the first weight with the same one
  std::vector<int32_t> bounds;      // PhaseItems
  int32_t step = 1;

  int64_t items() const {
    int64_t sum = 0;
    for (int i = 0; i < (pair ? 1 : count); ++i) sum += weights[static_cast<size_t>(i)]->panels();
    return sum;
  }
  const CpuWeight& weight(int i) const { return *weights[static_cast<size_t>(i)]; }
};

Product make_product(std::initializer_list<const PackedWeight*> weights, bool pair) {
  Product p;
  p.pair = pair;
  for (const PackedWeight* w : weights) {
    const auto& weight = static_cast<const CpuWeight&>(*w);
    const auto i = static_cast<size_t>(p.count++);
    p.weights[i] = &weight;
    for (size_t j = 0; j <= i; ++j) {
      if (!same_operand(*p.weights[j], weight)) continue;
      p.operand[i] = static_cast<int>(j);
      break;
    }
  }
  return p;
}

// Ranges of about the same number of bytes, and steps small enough to help a slow thread out.
void cut_product(Product& p, int threads) {
  constexpr int64_t kSteps = 4;       // of a range
  constexpr int64_t kStepBytes = 128 << 10;  // at most, of a large weight
  std::vector<int64_t> bytes = {0};   // before each item
  for (int i = 0; i < (p.pair ? 1 : p.count); ++i) {
    auto each = static_cast<int64_t>(panel_bytes(p.weight(i)));
    if (p.pair) each += static_cast<int64_t>(panel_bytes(p.weight(1)));
    for (int64_t panel = 0; panel < p.weight(i).panels(); ++panel) bytes.push_back(bytes.back() + each);
  }
  const int64_t items = p.items(), total = bytes.back();
  for (int t = 0; t <= threads; ++t) {
    const auto at = std::lower_bound(bytes.begin(), bytes.end(), total * t / threads);
    p.bounds.push_back(static_cast<int32_t>(at - bytes.begin()));
  }
  const int64_t by_bytes = kStepBytes * items / std::max<int64_t>(total, 1);
  p.step = static_cast<int32_t>(std::clamp<int64_t>(items / (threads * kSteps), 1,
                                                    std::max<int64_t>(by_bytes, 1)));
}

class PhasedStep : public DecodeStep, private PhasedWork {
 public:
  PhasedStep(const KernelTable& kernels, Device& device, const DecodeSpec& spec)
      : kernels_(kernels), device_(device), spec_(spec),
        frequency_(spec.inverse_frequency.begin(), spec.inverse_frequency.end()),
        threads_(device.pool().size()), group_(spec.heads / spec.kv_heads), job_(device.pool()) {
    spec_.inverse_frequency = frequency_;
    for (const DecodeLayer& layer : spec_.layers) {
      products_.push_back(make_product({layer.q, layer.k, layer.v}, false));
      products_.push_back(make_product({layer.o}, false));
      products_.push_back(make_product({layer.gate, layer.up}, true));
      products_.push_back(make_product({layer.down}, false));
    }
    products_.push_back(make_product({spec_.head}, false));
    for (Product& product : products_) cut_product(product, threads_);
    lay_out_memory();
  }

  std::string_view name() const override { return "phases"; }

  Matrix step(int32_t token, int64_t past) override {
    AWQ_CHECK(past >= 0 && past < spec_.capacity, past, " of ", spec_.capacity);
    past_ = past;
    embed(device_, {&token, 1}, *spec_.embed, {x_, 1, spec_.hidden});
    RopeArgs angles = rope_args(spec_.heads);
    if (spec_.rotary_dim > 0) {
      rope_angles(angles, static_cast<int32_t>(past), cosines_, sines_);
    }
    const auto tasks = static_cast<int32_t>(spec_.kv_heads * head_query(0).parts());
    for (int t = 0; t <= threads_; ++t) {
      attention_bounds_[static_cast<size_t>(t)] = static_cast<int32_t>(int64_t{tasks} * t / threads_);
    }
    const int32_t phases = static_cast<int32_t>(spec_.layers.size()) * kPhases + 1;
    if (timed_) last_ = Clock::now(), part_ = kOther;
    job_.run(*this, phases);
    if (timed_) charge(kOther);
    return {logits_, 1, spec_.vocab};
  }

  Matrix step_from(const int32_t* token, int64_t past) override { return step(*token, past); }

  void greedy(int32_t token, int64_t past, std::span<int32_t> ids) override {
    for (int32_t& id : ids) {
      id = static_cast<int32_t>(kernels_.argmax(step(token, past++).data, spec_.vocab));
      token = id;
    }
  }

  std::vector<PartTime> profile() override {
    std::vector<PartTime> parts;
    for (size_t i = 0; i < kParts; ++i) parts.push_back({kPartNames[i], 0, 1e6 * times_[i], 0});
    times_.fill(0);
    timed_ = true;
    return parts;
  }

 private:
  using Clock = std::chrono::steady_clock;
  // The phases of a layer, then these.
  static constexpr size_t kHead = kPhases, kOther = kPhases + 1, kParts = kPhases + 2;
  static constexpr std::string_view kPartNames[kParts] = {
      "norm, q, k, v", "rope, attention", "o", "norm, gate, up", "down", "norm, head", "start, end"};

  // What passed since the last call belongs to the part before.
  void charge(size_t next) {
    const auto now = Clock::now();
    times_[part_] += std::chrono::duration<double>(now - last_).count();
    last_ = now;
    part_ = next;
  }

  void enter(int32_t phase) override {
    if (timed_) charge(is_head(phase) ? kHead : static_cast<size_t>(kind(phase)));
  }

  // What a thread has to itself.
  struct Own {
    float *normed, *q, *k, *scores;
    std::array<std::byte*, 3> codes;
    std::array<RowOperand, 3> operands;  // of the present product
    const std::byte *fetch, *fetch_end;  // of the next product
  };

  void lay_out_memory() {
    const int64_t q = spec_.heads * spec_.head_dim, kv = spec_.kv_heads * spec_.head_dim;
    size_t codes = 0;
    for (const Product& p : products_) {
      for (int i = 0; i < p.count; ++i) codes = std::max(codes, operand_bytes(kernels_, p.weight(i)));
    }
    const int64_t code_floats = padded(static_cast<int64_t>(codes / sizeof(float)) + 1);
    const HeadQuery query = head_query(0);
    const PartSums sums = {nullptr, group_, spec_.head_dim};
    const int64_t parts = (spec_.capacity + kPartKeys - 1) / kPartKeys;
    float* base = nullptr;  // at first only sizes are added up
    int64_t used = 0;
    const auto take = [&](int64_t floats) {
      used += padded(floats);
      return base == nullptr ? nullptr : base + used - padded(floats);
    };
    const auto lay = [&] {
      x_ = take(spec_.hidden), qkv_ = take(padded(q) + 2 * padded(kv)), attended_ = take(q);
      hidden_ = take(spec_.ffn), logits_ = take(spec_.vocab);
      cosines_ = take(spec_.rotary_dim), sines_ = take(spec_.rotary_dim);
      sums_ = {take(spec_.kv_heads * parts * sums.size()), group_, spec_.head_dim};
      for (Own& own : own_) {
        own.normed = take(spec_.hidden), own.q = take(group_ * spec_.head_dim);
        own.k = take(spec_.head_dim), own.scores = take(query.score_count());
        for (std::byte*& each : own.codes) each = reinterpret_cast<std::byte*>(take(code_floats));
      }
    };
    own_.resize(static_cast<size_t>(threads_));
    lay();
    memory_ = Buffer(static_cast<size_t>(used) * sizeof(float));
    std::memset(memory_.data(), 0, memory_.size());  // padding is added to and multiplied
    base = memory_.as<float>();
    used = 0;
    lay();
    attention_bounds_.resize(static_cast<size_t>(threads_) + 1);
    parts_done_ = std::make_unique<std::atomic<int64_t>[]>(static_cast<size_t>(spec_.kv_heads));
  }

  RopeArgs rope_args(int64_t heads) const {
    RopeArgs args;
    args.heads = heads, args.head_dim = spec_.head_dim, args.rotary_dim = spec_.rotary_dim;
    args.inverse_frequency = spec_.inverse_frequency, args.pairing = spec_.pairing;
    return args;
  }

  HeadQuery head_query(int64_t kv_head) const {
    HeadQuery query;
    query.group = group_, query.head_dim = spec_.head_dim, query.kv_head = kv_head;
    query.position = past_;
    query.keys = {0, past_ + 1};
    query.scale = spec_.attention_scale;
    return query;
  }

  static Phase kind(int32_t phase) { return static_cast<Phase>(phase % kPhases); }
  const DecodeLayer& layer(int32_t phase) const {
    return spec_.layers[static_cast<size_t>(phase / kPhases)];
  }
  bool is_head(int32_t phase) const {
    return phase == static_cast<int32_t>(spec_.layers.size()) * kPhases;
  }
  const Product& product(int32_t phase) const {
    const int32_t without = phase / kPhases + (kind(phase) > kAttention ? 1 : 0);
    return products_[static_cast<size_t>(phase - without)];
  }

  PhaseItems items(int32_t phase) override {
    if (kind(phase) == kAttention) return {attention_bounds_.data(), 1};
    return {product(phase).bounds.data(), product(phase).step};
  }

  void prepare(int32_t phase, int thread) override {
    Own& own = own_[static_cast<size_t>(thread)];
    const Phase kind = PhasedStep::kind(phase);
    if (kind == kAttention) return;
    const float* row = kind == kO ? attended_ : kind == kDown ? hidden_ : own.normed;
    if (row == own.normed) {
      const float* weight = is_head(phase)   ? spec_.final_norm
                            : kind == kQkv ? layer(phase).attn_norm
                                           : layer(phase).ffn_norm;
      kernels_.norm({x_, own.normed, spec_.hidden, 0, weight, nullptr, spec_.epsilon, 0});
    }
    const Product& p = product(phase);
    for (int i = 0; i < p.count; ++i) {
      const auto at = static_cast<size_t>(i), same = static_cast<size_t>(p.operand[at]);
      own.operands[at] = same < at ? own.operands[same]
                                   : make_operand(kernels_, p.weight(i), row, own.codes[at]);
    }
  }

  void work(int32_t phase, int thread, int32_t begin, int32_t end) override {
    Own& own = own_[static_cast<size_t>(thread)];
    if (kind(phase) == kAttention) {
      for (int32_t task = begin; task < end; ++task) attend(layer(phase), own, task);
    } else if (kind(phase) == kGateUp) {
      feed_forward(product(phase), own, begin, end);
    } else {
      multiply(phase, product(phase), own, begin, end);
    }
  }

  void multiply(int32_t phase, const Product& p, const Own& own, int32_t begin, int32_t end) {
    alignas(64) float sums[kPanel];
    int which = 0;
    int64_t first = 0;  // item of the weight's panel 0
    float* out = is_head(phase) ? logits_ : kind(phase) == kQkv ? qkv_ : x_;
    for (int64_t item = begin; item < end; ++item) {
      while (item - first >= p.weight(which).panels()) {
        first += p.weight(which).panels();
        out += p.weight(which++).panels() * kPanel;
      }
      const int64_t panel = item - first;
      multiply_panel(kernels_, p.weight(which), own.operands[static_cast<size_t>(which)], panel, sums);
      if (out == x_) {
        kernels_.add(sums, out + panel * kPanel, kPanel);
      } else {
        std::memcpy(out + panel * kPanel, sums, sizeof sums);
      }
    }
  }

  void feed_forward(const Product& p, const Own& own, int32_t begin, int32_t end) {
    alignas(64) float gate[kPanel], up[kPanel];
    for (int64_t panel = begin; panel < end; ++panel) {
      multiply_panel(kernels_, p.weight(0), own.operands[0], panel, gate);
      multiply_panel(kernels_, p.weight(1), own.operands[1], panel, up);
      kernels_.activate(static_cast<int>(spec_.activation), gate, up, hidden_ + panel * kPanel, kPanel);
    }
  }

  // One part of one kv head. The part with the newest key appends it first: no other part reads it.
  void attend(const DecodeLayer& layer, Own& own, int64_t task) {
    const int64_t dim = spec_.head_dim;
    HeadQuery query = head_query(0);
    const int64_t parts = query.parts(), kv_head = task / parts, part = task % parts;
    query.kv = &layer.kv, query.kv_head = kv_head, query.q = own.q;
    const float* k = qkv_ + padded(spec_.heads * dim);
    const float* v = k + padded(spec_.kv_heads * dim);
    std::copy_n(qkv_ + kv_head * group_ * dim, group_ * dim, own.q);
    if (spec_.rotary_dim > 0) rotate(kernels_, rope_args(group_), cosines_, sines_, own.q);
    if (part == parts - 1) {
      std::copy_n(k + kv_head * dim, dim, own.k);
      if (spec_.rotary_dim > 0) rotate(kernels_, rope_args(1), cosines_, sines_, own.k);
      store_kv(kernels_, layer.kv, kv_head, past_, dim, own.k, v + kv_head * dim);
    }
    attend_part(kernels_, query, part, own.scores, sums_, task);
    std::atomic<int64_t>& done = parts_done_[static_cast<size_t>(kv_head)];
    if (done.fetch_add(1, std::memory_order_acq_rel) + 1 < parts) return;
    done.store(0, std::memory_order_relaxed);  // for the next layer, behind a barrier
    merge_parts(kernels_, query, sums_, kv_head * parts, attended_ + kv_head * group_ * dim);
  }

  // Memory stands still while threads wait for the last of them: the first lines of the thread's next
  // weights are sent for.
  void wait(int32_t phase, int thread, int32_t turn) override {
    Own& own = own_[static_cast<size_t>(thread)];
    if (turn == 0) find_next(phase, thread, own);
    for (int32_t i = 0; i < kFetchLines && own.fetch < own.fetch_end; ++i, own.fetch += 64) {
      __builtin_prefetch(own.fetch, 0, 2);
    }
  }

  void find_next(int32_t phase, int thread, Own& own) const {
    own.fetch = own.fetch_end = nullptr;
    int32_t next = phase + 1;
    if (is_head(phase)) return;
    if (kind(next) == kAttention) ++next;
    const Product& p = product(next);
    int64_t item = p.bounds[static_cast<size_t>(thread)];
    for (int i = 0; i < p.count; item -= p.weight(i).panels(), ++i) {
      if (item >= p.weight(i).panels()) continue;
      own.fetch = panel_memory(p.weight(i), item);
      own.fetch_end = own.fetch + panel_bytes(p.weight(i));
      return;
    }
  }

  const KernelTable& kernels_;
  Device& device_;
  DecodeSpec spec_;
  std::vector<float> frequency_;
  int threads_;
  int64_t group_;
  PhasedJob job_;
  std::vector<Product> products_;  // four a layer, and the head
  Buffer memory_;
  std::vector<Own> own_;
  float *x_, *qkv_, *attended_, *hidden_, *logits_, *cosines_, *sines_;
  PartSums sums_;
  std::vector<int32_t> attention_bounds_;
  std::unique_ptr<std::atomic<int64_t>[]> parts_done_;  // [kv_heads] parts done of the present layer
  int64_t past_ = 0;
  bool timed_ = false;
  size_t part_ = kOther;
  Clock::time_point last_;
  std::array<double, kParts> times_ = {};
};

}  // namespace

std::unique_ptr<DecodeStep> plan_decode(const KernelTable& kernels, Device& device,
                                        const DecodeSpec& spec) {
  return std::make_unique<PhasedStep>(kernels, device, spec);
}

}  // namespace awq::cpu
