#include "kernels/cpu/decode_step.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>

#include "base/phased_job.h"
#include "kernels/cpu/head_query.h"
#include "kernels/cpu/launch.h"
#include "kernels/cpu/step_product.h"

namespace awq::cpu {
namespace {

constexpr int64_t kLineFloats = 16;
constexpr int32_t kFetchLines = 4;  // of the next phase's weights, for each turn of waiting

int64_t padded(int64_t floats) { return (floats + kLineFloats - 1) / kLineFloats * kLineFloats; }

enum Phase { kQkv, kAttention, kO, kGateUp, kDown, kPhases };

class PhasedStep : public DecodeStep, private PhasedWork {
 public:
  PhasedStep(const KernelTable& kernels, Device& device, const DecodeSpec& spec)
      : kernels_(kernels), device_(device), spec_(spec), threads_(device.pool().size()),
        group_(spec.heads / spec.kv_heads), job_(device.pool()) {
    for (const DecodeLayer& layer : spec_.layers) {
      products_.push_back({{{layer.q, layer.q_bias}, {layer.k, layer.k_bias}, {layer.v, layer.v_bias}},
                           false, threads_});
      products_.push_back({{{layer.o, layer.o_bias}}, false, threads_});
      if (layer.gate != nullptr) {
        products_.push_back({{{layer.gate, layer.gate_bias}, {layer.up, layer.up_bias}}, true, threads_});
      } else {
        products_.push_back({{{layer.up, layer.up_bias}}, false, threads_});
      }
      products_.push_back({{{layer.down, layer.down_bias}}, false, threads_});
    }
    products_.push_back({{{spec_.head, spec_.head_bias}}, false, threads_});
    for (const DecodeAttention& from : spec_.kinds) kinds_.emplace_back(from, threads_);
    lay_out_memory();
    lay_out_streams();
  }

  std::string_view name() const override { return "phases"; }

  Matrix step(int32_t token, int64_t past) override {
    AWQ_CHECK(past >= 0 && past < spec_.capacity, past, " of ", spec_.capacity);
    past_ = past;
    start(token);
    for (Kind& kind : kinds_) look_up(kind);
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
    float *normed, *branch, *residual, *scores;
    float *heads, *key;  // of the present part: [group, head_dim], [head_dim]
    float *q, *k;        // rows that are normalized as a whole
    std::array<std::byte*, 3> codes;
    std::array<RowOperand, 3> operands;  // of the present product
    const std::byte *fetch, *fetch_end;  // of the next product
  };

  // A way to attend, and what the present position makes of it.
  struct Kind {
    Kind(const DecodeAttention& from, int threads)
        : rope(from), frequencies(from.inverse_frequency.begin(), from.inverse_frequency.end()),
          slopes(from.alibi_slopes.begin(), from.alibi_slopes.end()),
          bounds(static_cast<size_t>(threads) + 1) {}
    DecodeAttention rope;  // its spans are not used
    std::vector<float> frequencies, slopes;
    float *cosines = nullptr, *sines = nullptr;
    KeyRange keys;
    std::vector<int32_t> bounds;  // PhaseItems: parts of kv heads
  };

  // Where a product of the residual stream finds it. The output of the module before may still have to
  // be normalized as a whole and added: every thread does so for itself, and the one with the first item
  // writes what becomes of the stream to the other of two rows, for the phases behind.
  struct Stream {
    const float* from;
    float* to;
    const DecodeNorm* joined;  // of the branch; null: nothing to add
    const DecodeNorm* norm;    // of the input
  };

  bool grouped_norm(const DecodeNorm& norm) const { return norm && norm.dim > spec_.head_dim; }

  void lay_out_memory() {
    const int64_t q = spec_.heads * spec_.head_dim, kv = spec_.kv_heads * spec_.head_dim;
    size_t codes = 0;
    for (const StepProduct& p : products_) {
      for (int i = 0; i < p.count; ++i) codes = std::max(codes, operand_bytes(kernels_, p.weight(i)));
    }
    const int64_t code_floats = padded(static_cast<int64_t>(codes / sizeof(float)) + 1);
    int64_t own_q = 0, own_k = 0;
    for (const DecodeLayer& layer : spec_.layers) {
      if (grouped_norm(layer.q_norm)) own_q = q;
      if (grouped_norm(layer.k_norm)) own_k = kv;
    }
    const HeadQuery query = head_query(kinds_.front());
    const PartSums sums = {nullptr, group_, spec_.head_dim};
    const int64_t parts = (spec_.capacity + kPartKeys - 1) / kPartKeys;
    float* base = nullptr;  // at first only sizes are added up
    int64_t used = 0;
    const auto take = [&](int64_t floats) {
      used += padded(floats);
      return base == nullptr ? nullptr : base + used - padded(floats);
    };
    const auto lay = [&] {
      x_ = take(spec_.hidden), other_x_ = take(spec_.hidden), branch_ = take(spec_.hidden);
      qkv_ = take(padded(q) + 2 * padded(kv)), attended_ = take(q);
      hidden_ = take(spec_.ffn), logits_ = take(spec_.vocab);
      for (Kind& kind : kinds_) {
        kind.cosines = take(kind.rope.rotary_dim), kind.sines = take(kind.rope.rotary_dim);
      }
      sums_ = {take(spec_.kv_heads * parts * sums.size()), group_, spec_.head_dim};
      for (Own& own : own_) {
        own.normed = take(spec_.hidden), own.branch = take(spec_.hidden);
        own.residual = take(spec_.hidden), own.scores = take(query.score_count());
        own.heads = take(group_ * spec_.head_dim), own.key = take(spec_.head_dim);
        own.q = take(own_q), own.k = take(own_k);
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
    parts_done_ = std::make_unique<std::atomic<int64_t>[]>(static_cast<size_t>(spec_.kv_heads));
  }

  // Two of a layer, the inputs of attention and feed-forward, and the head's.
  void lay_out_streams() {
    float *x = x_, *other = other_x_;
    const DecodeNorm* joined = nullptr;
    const auto add = [&](const DecodeNorm& norm, const DecodeNorm* out_norm) {
      const float* from = x;
      if (joined != nullptr) std::swap(x, other);
      streams_.push_back({from, x, joined, &norm});
      joined = out_norm != nullptr && *out_norm ? out_norm : nullptr;
    };
    for (const DecodeLayer& layer : spec_.layers) {
      add(layer.attn_norm, &layer.attn_out_norm);
      add(layer.ffn_norm, &layer.ffn_out_norm);
    }
    add(spec_.final_norm, nullptr);
  }

  void normalize(const DecodeNorm& norm, const float* x, float* y, int64_t head = 0) const {
    kernels_.norm({x, y, norm.dim, norm.kind == NormKind::layer ? 1 : 0,
                   norm.own_weights ? norm.weight + head * norm.dim : norm.weight, norm.bias,
                   spec_.epsilon, norm.weight_offset});
  }

  // What goes into the first block.
  void start(int32_t token) {
    const Matrix x(x_, 1, spec_.hidden);
    embed(device_, {&token, 1}, *spec_.embed, x);
    if (spec_.embed_multiplier != 1) kernels_.scale(x_, spec_.embed_multiplier, spec_.hidden);
    if (spec_.position_table != nullptr) {
      const auto place = static_cast<int32_t>(past_ + spec_.position_offset);
      embed(device_, {&place, 1}, *spec_.position_table, {branch_, 1, spec_.hidden});
      kernels_.add(branch_, x_, spec_.hidden);
    }
    if (spec_.embed_norm) normalize(spec_.embed_norm, x_, x_);
  }

  void look_up(Kind& kind) const {
    if (kind.rope.rotary_dim > 0) {
      rope_angles(rope_args(kind, spec_.heads), static_cast<int32_t>(past_), kind.cosines, kind.sines);
    }
    const int64_t window = kind.rope.window;
    kind.keys = {window == 0 ? 0 : std::max<int64_t>(0, past_ - window + 1), past_ + 1};
    const int64_t tasks = spec_.kv_heads * head_query(kind).parts();
    for (int t = 0; t <= threads_; ++t) {
      kind.bounds[static_cast<size_t>(t)] = static_cast<int32_t>(tasks * t / threads_);
    }
  }

  RopeArgs rope_args(const Kind& kind, int64_t heads) const {
    RopeArgs args;
    args.heads = heads, args.head_dim = spec_.head_dim, args.rotary_dim = kind.rope.rotary_dim;
    args.inverse_frequency = kind.frequencies, args.pairing = kind.rope.pairing;
    args.magnitude = kind.rope.magnitude;
    return args;
  }

  HeadQuery head_query(const Kind& kind) const {
    HeadQuery query;
    query.group = group_, query.head_dim = spec_.head_dim;
    query.position = past_;
    query.keys = kind.keys;
    query.scale = spec_.attention_scale, query.softcap = spec_.attention_softcap;
    return query;
  }

  static Phase kind(int32_t phase) { return static_cast<Phase>(phase % kPhases); }
  const DecodeLayer& layer(int32_t phase) const {
    return spec_.layers[static_cast<size_t>(phase / kPhases)];
  }
  bool is_head(int32_t phase) const {
    return phase == static_cast<int32_t>(spec_.layers.size()) * kPhases;
  }
  const Kind& attention(int32_t phase) const { return kinds_[layer(phase).kind]; }
  const Stream& stream(int32_t phase) const {
    return streams_[static_cast<size_t>(phase / kPhases * 2 + (kind(phase) == kGateUp ? 1 : 0))];
  }
  const StepProduct& product(int32_t phase) const {
    const int32_t without = phase / kPhases + (kind(phase) > kAttention ? 1 : 0);
    return products_[static_cast<size_t>(phase - without)];
  }

  PhaseItems items(int32_t phase) override {
    if (kind(phase) == kAttention) return {attention(phase).bounds.data(), 1};
    return {product(phase).bounds.data(), product(phase).step};
  }

  void prepare(int32_t phase, int thread) override {
    Own& own = own_[static_cast<size_t>(thread)];
    const Phase kind = PhasedStep::kind(phase);
    if (kind == kAttention) return norm_rows(layer(phase), own);
    const float* row = kind == kO      ? attended_
                       : kind == kDown ? hidden_
                                       : stream_row(stream(phase), own);
    const StepProduct& p = product(phase);
    for (int i = 0; i < p.count; ++i) {
      const auto at = static_cast<size_t>(i), same = static_cast<size_t>(p.operand[at]);
      own.operands[at] = same < at ? own.operands[same]
                                   : make_operand(kernels_, p.weight(i), row, own.codes[at]);
    }
  }

  const float* stream_row(const Stream& stream, const Own& own) const {
    const float* x = stream.from;
    if (stream.joined != nullptr) {
      normalize(*stream.joined, branch_, own.branch);
      multiply_branch(own.branch, spec_.hidden);
      std::copy_n(x, spec_.hidden, own.residual);
      kernels_.add(own.branch, own.residual, spec_.hidden);
      x = own.residual;
    }
    if (!*stream.norm) return x;
    normalize(*stream.norm, x, own.normed);
    return own.normed;
  }

  // Norms over all heads together; those of each head are made where it is used.
  void norm_rows(const DecodeLayer& layer, const Own& own) const {
    const float* k = qkv_ + padded(spec_.heads * spec_.head_dim);
    if (grouped_norm(layer.q_norm)) normalize(layer.q_norm, qkv_, own.q);
    if (grouped_norm(layer.k_norm)) normalize(layer.k_norm, k, own.k);
  }

  void multiply_branch(float* x, int64_t count) const {
    if (spec_.branch_multiplier != 1) kernels_.scale(x, spec_.branch_multiplier, count);
  }

  void work(int32_t phase, int thread, int32_t begin, int32_t end) override {
    Own& own = own_[static_cast<size_t>(thread)];
    if (kind(phase) == kAttention) {
      for (int32_t task = begin; task < end; ++task) attend(layer(phase), own, task);
      return;
    }
    if (kind(phase) == kGateUp || kind(phase) == kQkv) {
      const Stream& stream = PhasedStep::stream(phase);
      if (begin == 0 && stream.joined != nullptr) std::copy_n(own.residual, spec_.hidden, stream.to);
    }
    if (kind(phase) == kGateUp) {
      feed_forward(layer(phase), product(phase), own, begin, end);
    } else {
      multiply(phase, product(phase), own, begin, end);
    }
  }

  void multiply(int32_t phase, const StepProduct& p, const Own& own, int32_t begin, int32_t end) {
    alignas(64) float sums[kPanel];
    int which = 0;
    int64_t first = 0;         // item of the weight's panel 0
    float* row = qkv_;         // of the weight
    for (int64_t item = begin; item < end; ++item) {
      while (item - first >= p.weight(which).panels()) {
        first += p.weight(which).panels();
        row += p.weight(which++).panels() * kPanel;
      }
      const int64_t panel = item - first, at = panel * kPanel;
      p.multiply(kernels_, which, own.operands[static_cast<size_t>(which)], panel, sums);
      if (is_head(phase)) {
        store_logits(sums, at);
      } else if (kind(phase) == kQkv) {
        if (spec_.qkv_clip > 0) clip(sums);
        std::memcpy(row + at, sums, sizeof sums);
      } else {
        add_branch(phase, sums, at);
      }
    }
  }

  void store_logits(float* sums, int64_t at) const {
    if (spec_.logit_multiplier != 1) kernels_.scale(sums, spec_.logit_multiplier, kPanel);
    if (spec_.logit_softcap > 0) kernels_.softcap(sums, spec_.logit_softcap, kPanel);
    std::memcpy(logits_ + at, sums, kPanel * sizeof(float));
  }

  void clip(float* sums) const {
    for (int i = 0; i < kPanel; ++i) sums[i] = std::clamp(sums[i], -spec_.qkv_clip, spec_.qkv_clip);
  }

  // A panel of what o or down made: to the residual, or to where its norm, or down, will look for it.
  void add_branch(int32_t phase, float* sums, int64_t at) const {
    const bool ffn = kind(phase) == kDown;
    const DecodeNorm& norm = ffn ? layer(phase).ffn_out_norm : layer(phase).attn_out_norm;
    if (!norm) multiply_branch(sums, kPanel);
    if (norm || (spec_.parallel && !ffn)) {
      std::memcpy(branch_ + at, sums, kPanel * sizeof(float));
      return;
    }
    // Behind o the stream is where attention's input was, behind down where feed-forward's was.
    float* to = streams_[static_cast<size_t>(phase / kPhases * 2 + (ffn ? 1 : 0))].to + at;
    if (spec_.parallel) kernels_.add(branch_ + at, to, kPanel);
    kernels_.add(sums, to, kPanel);
  }

  void feed_forward(const DecodeLayer& layer, const StepProduct& p, const Own& own, int32_t begin,
                    int32_t end) const {
    alignas(64) float first[kPanel], second[kPanel];
    const float* up = p.pair ? second : nullptr;
    for (int64_t panel = begin; panel < end; ++panel) {
      float* to = hidden_ + panel * kPanel;
      p.multiply(kernels_, 0, own.operands[0], panel, first);
      if (p.pair) p.multiply(kernels_, 1, own.operands[1], panel, second);
      kernels_.activate(static_cast<int>(spec_.activation), first, up, to, kPanel);
      if (layer.activation_factor == nullptr) continue;
      kernels_.multiply(to, layer.activation_factor + panel * kPanel, to,
                        std::min<int64_t>(kPanel, spec_.ffn - panel * kPanel));
    }
  }

  // `heads` heads from `first` on, from row to x: normalized where each is by itself, then rotated.
  void make_heads(const Kind& kind, const DecodeNorm& norm, const float* row, int64_t first,
                  int64_t heads, float* x) const {
    const int64_t dim = spec_.head_dim;
    std::copy_n(row + first * dim, heads * dim, x);
    if (norm && norm.dim == dim) {
      for (int64_t h = 0; h < heads; ++h) normalize(norm, x + h * dim, x + h * dim, first + h);
    }
    if (kind.rope.rotary_dim > 0) rotate(kernels_, rope_args(kind, heads), kind.cosines, kind.sines, x);
  }

  // One part of one kv head. The part with the newest key appends it first: no other part reads it.
  void attend(const DecodeLayer& layer, Own& own, int64_t task) {
    const int64_t dim = spec_.head_dim;
    const Kind& kind = kinds_[layer.kind];
    HeadQuery query = head_query(kind);
    const int64_t parts = query.parts(), kv_head = task / parts, part = task % parts;
    query.kv = &layer.kv, query.kv_head = kv_head, query.q = own.heads;
    if (!kind.slopes.empty()) query.slopes = kind.slopes.data() + kv_head * group_;
    const float* k = qkv_ + padded(spec_.heads * dim);
    const float* v = k + padded(spec_.kv_heads * dim);
    make_heads(kind, layer.q_norm, grouped_norm(layer.q_norm) ? own.q : qkv_, kv_head * group_, group_,
               own.heads);
    if (part == parts - 1) {
      make_heads(kind, layer.k_norm, grouped_norm(layer.k_norm) ? own.k : k, kv_head, 1, own.key);
      store_kv(kernels_, layer.kv, kv_head, past_, dim, own.key, v + kv_head * dim);
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
    const StepProduct& p = product(next);
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
  int threads_;
  int64_t group_;
  PhasedJob job_;
  std::vector<StepProduct> products_;  // four a layer, and the head
  std::vector<Stream> streams_;        // two a layer, and the head
  std::vector<Kind> kinds_;
  Buffer memory_;
  std::vector<Own> own_;
  float *x_, *other_x_, *branch_, *qkv_, *attended_, *hidden_, *logits_;
  PartSums sums_;
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
