// The host's side of the fused decode step: whether a model fits it, where everything lies,
// launches.
#include <algorithm>
#include <optional>

#include "kernels/cuda/decode.h"
#include "kernels/cuda/decode/kernel.cuh"
#include "kernels/cuda/decode/partition.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/weights.h"

namespace awq::cuda {

// Before 12.1 a kernel's arguments end at 4 KB: too few for the table of layers.
#if CUDART_VERSION >= 12010
namespace fused {
namespace {

const QuantTilesCuda* tiles_of(const PackedWeight* weight) {
  const auto* cuda = static_cast<const CudaWeight*>(weight);
  if (cuda == nullptr || cuda->kind != CudaWeight::Kind::tiles) return nullptr;
  return static_cast<const QuantTilesCuda*>(cuda);
}
const FloatWeightCuda* table_of(const PackedWeight* weight) {
  const auto* cuda = static_cast<const CudaWeight*>(weight);
  if (cuda == nullptr || cuda->kind != CudaWeight::Kind::floats) return nullptr;
  return static_cast<const FloatWeightCuda*>(cuda);
}
Table kind_of(DType dtype) {
  return dtype == DType::f32 ? Table::f32 : dtype == DType::f16 ? Table::f16 : Table::bf16;
}

bool aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

// Linears in the order of enum Linear.
std::vector<const PackedWeight*> linears_of(const DecodeLayer& layer) {
  return {layer.q, layer.k, layer.v, layer.o, layer.gate, layer.up, layer.down};
}

// Width and groups per tile of all linears; 16 bits: rows of half precision.
struct Codes {
  int bits = 0, groups = 0;
  Table kind = Table::tiles;
  bool operator==(const Codes&) const = default;
};
Codes codes_of(const QuantTilesCuda& tiles) { return {tiles.shape.bits, tiles.shape.groups}; }

std::optional<Codes> codes_of(const PackedWeight* weight) {
  if (const QuantTilesCuda* tiles = tiles_of(weight)) return codes_of(*tiles);
  const FloatWeightCuda* table = table_of(weight);
  if (table == nullptr || table->dtype == DType::f32 || table->in % 8 != 0) return std::nullopt;
  return Codes{16, 1, kind_of(table->dtype)};
}

// Halves, or codes whose scales can be copied by whole 16 bytes.
bool takes(const KvView& kv, int64_t head_dim) {
  if (!aligned(kv.k) || !aligned(kv.v)) return false;
  if (kv.dtype == DType::f16) return true;
  return kv.dtype == DType::i8 && aligned(kv.k_scales) && aligned(kv.v_scales) &&
         kv.head_stride / head_dim % 4 == 0;
}

// A head that the kernel of these linears knows beside its own width.
bool is_wide(const QuantTilesCuda& head, const Codes& linears) {
  return linears.bits == 4 && codes_of(head) == Codes{kHeadBits, linears.groups};
}

// Nothing where the linears differ or the caches are not this kernel's.
std::optional<Codes> codes_of(const DecodeSpec& spec) {
  if (spec.layers.empty() || spec.layers.size() > kMaxLayers) return std::nullopt;
  const std::optional<Codes> codes = codes_of(spec.layers[0].q);
  if (!codes) return std::nullopt;
  for (const DecodeLayer& layer : spec.layers) {
    for (const PackedWeight* weight : linears_of(layer)) {
      if (codes_of(weight) != codes) return std::nullopt;
    }
    if (!takes(layer.kv, spec.head_dim) || layer.kv.dtype != spec.layers[0].kv.dtype ||
        layer.kv.head_stride != spec.layers[0].kv.head_stride) {
      return std::nullopt;
    }
  }
  const QuantTilesCuda* head = tiles_of(spec.head);
  if (head != nullptr && codes_of(*head) != *codes && !is_wide(*head, *codes)) return std::nullopt;
  return codes;
}

Kernel kernel_for(const Codes& codes, int64_t head_dim, bool extras) {
  const auto dim = static_cast<int>(head_dim);
  switch (codes.bits) {
    case 2: return kernel_of<2>(codes.groups, dim, extras);
    case 3: return kernel_of<3>(codes.groups, dim, extras);
    case 4: return kernel_of<4>(codes.groups, dim, extras);
    case 8: return kernel_of<8>(codes.groups, dim, extras);
    case 16: return kernel_of<16>(codes.groups, dim, extras);
    default: return nullptr;
  }
}

constexpr int kWarps = Shape<4, 1, 128, false>::kWarps;  // the same for all
constexpr int64_t kMostHeadRowBytes = 32768;  // of a head's table: a slot holds a row

bool fits(const DecodeSpec& spec) {
  const FloatWeightCuda* embed = table_of(spec.embed);
  const FloatWeightCuda* head = table_of(spec.head);
  const bool head_known =
      tiles_of(spec.head) != nullptr || (head != nullptr && head->dtype != DType::f32);
  return is_plain(spec) && embed != nullptr && head_known && (spec.head_dim == 64 || spec.head_dim == 128) &&
         spec.kinds[0].rotary_dim == spec.head_dim && spec.activation == Activation::silu &&
         spec.kv_heads > 0 && spec.heads % spec.kv_heads == 0 &&
         spec.heads / spec.kv_heads <= kMaxSharedHeads && spec.hidden % 8 == 0 &&
         spec.ffn % 8 == 0 && spec.vocab < (1 << 29) &&
         (head == nullptr || spec.hidden * 2 <= kMostHeadRowBytes);
}

int round_up(int64_t value, int64_t unit) {
  return static_cast<int>((value + unit - 1) / unit * unit);
}

class FusedStep : public DecodeStep {
 public:
  FusedStep(CudaDevice& device, const DecodeSpec& spec, const DecodeTuning& tuning, const Codes& codes,
            Kernel kernel, int limit)
      : device_(device),
        kernel_(kernel),
        blocks_(device.multiprocessors()),
        launch_steps_(std::max(1, tuning.launch_steps)),
        capacity_(spec.capacity) {
    set_shape(spec, tuning, codes);
    set_layers(spec);
    set_shares(tuning.worth);
    set_messages(spec);
    set_layout(spec, tuning, codes, limit);
    if (!has_ring()) return;
    if (p_.head_kind != Table::tiles) p_.head_rows = p_.at.slot / (p_.hidden * 2);
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel_),
                               cudaFuncAttributeMaxDynamicSharedMemorySize, p_.at.total),
          "preparing the decode kernel");
    device.synchronize();
  }

  /// Whether shared memory holds a ring that is worth it.
  bool has_ring() const { return p_.stages >= 4; }

  std::string_view name() const override { return "persistent kernel"; }

  Matrix step(int32_t token, int64_t past) override {
    AWQ_CHECK(past >= 0 && past < capacity_, past, " of ", capacity_);
    p_.token = token;
    p_.from = nullptr;
    p_.ids = nullptr;
    launch(past, 1);
    return {p_.logits, 1, p_.vocab};
  }

  Matrix step_from(const int32_t* token, int64_t past) override {
    AWQ_CHECK(past >= 0 && past < capacity_, past, " of ", capacity_);
    p_.from = token;
    p_.ids = nullptr;
    launch(past, 1);
    return {p_.logits, 1, p_.vocab};
  }

  void greedy(int32_t token, int64_t past, std::span<int32_t> ids) override {
    const auto count = static_cast<int64_t>(ids.size());
    AWQ_CHECK(past >= 0 && past + count <= capacity_, past, " + ", count, " of ", capacity_);
    p_.token = token;
    for (int64_t i = 0; i < count; i += launch_steps_) {
      p_.from = i == 0 ? nullptr : ids_.as<int32_t>() + i - 1;
      p_.ids = ids_.as<int32_t>() + i;
      launch(past + i, std::min<int64_t>(launch_steps_, count - i));
    }
    if (count > 0) device_.download(ids.data(), ids_.data(), ids.size_bytes());
  }

 private:
  void set_shape(const DecodeSpec& spec, const DecodeTuning& tuning, const Codes& codes) {
    p_.layers = static_cast<int>(spec.layers.size());
    p_.hidden = static_cast<int>(spec.hidden);
    p_.heads = static_cast<int>(spec.heads);
    p_.kv_heads = static_cast<int>(spec.kv_heads);
    p_.ffn = static_cast<int>(spec.ffn);
    p_.vocab = static_cast<int>(spec.vocab);
    p_.epsilon = spec.epsilon;
    p_.score_scale = spec.attention_scale * 1.44269504f;  // exponents to base 2
    p_.interleaved = spec.kinds[0].pairing == RopePairing::interleaved;
    p_.head_stride = spec.layers[0].kv.head_stride;
    p_.key_codes = spec.layers[0].kv.dtype == DType::i8;
    p_.copies = tuning.copies;
    p_.linear_kind = codes.kind;
    const int run =
        slot_keys(codes.bits, static_cast<int>(spec.head_dim)) * (p_.key_codes ? kCodeKeys : 1);
    p_.split_keys = std::max(run, tuning.split_keys);  // no part of a head without a key
    p_.most_splits = std::clamp(blocks_ / p_.kv_heads, 1, 32);
    p_.times = tuning.times;
    p_.final_norm = spec.final_norm.weight;
    const FloatWeightCuda& embed = *table_of(spec.embed);
    p_.embed = embed.data();
    p_.embed_kind = kind_of(embed.dtype);
    if (const QuantTilesCuda* tiles = tiles_of(spec.head)) {
      p_.head_kind = Table::tiles;
      p_.wide_head = is_wide(*tiles, codes);
      p_.head = tiles->codes();
      p_.head_meta = tiles->meta();
    } else {
      p_.head_kind = kind_of(table_of(spec.head)->dtype);
      p_.head = table_of(spec.head)->data();
    }
    const int64_t heads = spec.heads * spec.head_dim;
    const int64_t qkv = (spec.heads + 2 * spec.kv_heads) * spec.head_dim;
    const int64_t inputs[kProducts] = {spec.hidden, heads, spec.hidden, spec.ffn, spec.hidden};
    const int64_t rows[kProducts] = {qkv, spec.hidden, spec.ffn, spec.hidden, spec.vocab};
    for (int i = 0; i < kProducts; ++i) {
      MatrixArgs& m = p_.matrix[i];
      m.inputs = static_cast<int>(inputs[i]);
      m.rows = static_cast<int>(rows[i]);
      m.tiles = static_cast<int>((inputs[i] + kTileInputs - 1) / kTileInputs);
      const int chunk = i == kHead && p_.wide_head ? kHeadChunkTiles : kChunkTiles;
      m.chunks = (m.tiles + chunk - 1) / chunk;
      m.rotate = tuning.rotate && i != kHead ? 1 : 0;
      if (codes.bits == 16) m.chunks = 1;  // a share is rows
      const auto chunks = static_cast<uint64_t>(m.chunks);
      m.magic = chunks == 1 ? 0 : static_cast<uint32_t>((uint64_t{1} << 32) / chunks) + 1;
    }
  }

  void set_layers(const DecodeSpec& spec) {
    for (size_t l = 0; l < spec.layers.size(); ++l) {
      const DecodeLayer& layer = spec.layers[l];
      LayerArgs& args = p_.layer[l];
      const auto linears = linears_of(layer);
      for (int i = 0; i < kLinears; ++i) {
        const PackedWeight* weight = linears[static_cast<size_t>(i)];
        if (const QuantTilesCuda* tiles = tiles_of(weight)) {
          args.codes[i] = tiles->codes();
          args.meta[i] = tiles->meta();
        } else {
          args.codes[i] = static_cast<const uint8_t*>(table_of(weight)->data());
        }
      }
      args.attn_norm = layer.attn_norm.weight;
      args.ffn_norm = layer.ffn_norm.weight;
      args.k = layer.kv.k;
      args.v = layer.kv.v;
      args.k_scales = layer.kv.k_scales;
      args.v_scales = layer.kv.v_scales;
    }
  }

  void set_shares(double worth) {
    std::vector<uint32_t> starts;
    for (int i = 0; i < kProducts; ++i) {
      const MatrixArgs& m = p_.matrix[i];
      const Table kind = i == kHead ? p_.head_kind : p_.linear_kind;
      const int64_t strips = (m.rows + kTileRows - 1) / kTileRows;
      const auto shares =
          kind == Table::tiles ? partition(strips, m.chunks, blocks_, worth)
                               : partition(m.rows, 1, blocks_);
      starts.insert(starts.end(), shares.begin(), shares.end());
    }
    starts_ = DeviceBuffer(device_, starts.size() * sizeof(uint32_t));
    device_.upload(starts_.data(), starts.data(), starts_.size());
    p_.starts = starts_.as<uint32_t>();
  }

  // All words start with epoch 0, which no first message has.
  void set_messages(const DecodeSpec& spec) {
    const auto take = [&](int64_t bytes) {
      const int64_t offset = message_bytes_;
      message_bytes_ += (bytes + 255) / 256 * 256;
      return offset;
    };
    const int64_t words = sizeof(float), pairs = sizeof(uint64_t);
    const int64_t x_attn = take(p_.hidden * words), x_ffn = take(p_.hidden * words);
    const int64_t qkv = take(p_.matrix[kQkv].rows * words);
    const int64_t attended = take(p_.matrix[kO].inputs * words), act = take(p_.ffn * words);
    const int64_t parts = take(int64_t{kProducts} * blocks_ * 64 * words);
    const int64_t attention_parts =
        take(int64_t{p_.most_splits} * p_.heads * (spec.head_dim + 2) * pairs);
    const int64_t best = take(2 * blocks_ * pairs);
    messages_ = DeviceBuffer(device_, static_cast<size_t>(message_bytes_));
    check(cudaMemsetAsync(messages_.data(), 0, messages_.size(), device_.stream()),
          "clearing messages");
    auto* base = messages_.as<uint8_t>();
    p_.x_attn = reinterpret_cast<float*>(base + x_attn);
    p_.x_ffn = reinterpret_cast<float*>(base + x_ffn);
    p_.qkv = reinterpret_cast<float*>(base + qkv);
    p_.attended = reinterpret_cast<float*>(base + attended);
    p_.act = reinterpret_cast<float*>(base + act);
    p_.parts = reinterpret_cast<float*>(base + parts);
    p_.attention_parts = reinterpret_cast<uint64_t*>(base + attention_parts);
    p_.best = reinterpret_cast<uint64_t*>(base + best);

    logits_ = DeviceBuffer(device_, static_cast<size_t>(spec.vocab) * sizeof(float));
    p_.logits = logits_.as<float>();
    ids_ = DeviceBuffer(device_, static_cast<size_t>(spec.capacity) * sizeof(int32_t));
    frequency_ = DeviceBuffer(device_, spec.kinds[0].inverse_frequency.size_bytes());
    device_.upload(frequency_.data(), spec.kinds[0].inverse_frequency.data(), frequency_.size());
    p_.frequency = frequency_.as<float>();
  }

  // Everything but the ring first; the ring takes what is left.
  void set_layout(const DecodeSpec& spec, const DecodeTuning& tuning, const Codes& codes,
                  int limit) {
    int widest = 0;
    for (const MatrixArgs& m : p_.matrix) widest = std::max(widest, m.tiles);
    const auto head_dim = static_cast<int>(spec.head_dim);
    const int x = widest * 256, rows = 2 * kBatchStrips * kWarps * 32 * 4;
    // The sums of attention lie over both.
    const int attention = kWarps * (p_.heads / p_.kv_heads) * (head_dim + 2) * 4;
    int offset = 0;
    const auto take = [&](int bytes) {
      const int at = offset;
      offset += round_up(bytes, 128);
      return at;
    };
    Layout& at = p_.at;
    int slot = kKeyBytes;
    if (codes.bits == 16) {
      for (int i = 0; i < kHead; ++i) slot = std::max(slot, p_.matrix[i].inputs * 2);
    } else {
      slot = chunk_code_bytes(codes.bits) + chunk_meta_bytes(codes.bits, codes.groups);
    }
    if (p_.key_codes) slot = std::max(slot, key_code_bytes(codes.bits, head_dim));
    if (p_.wide_head) {
      slot = std::max(slot, kHeadChunkTiles * (512 * kHeadBits + 96 * codes.groups));
    }
    at.slot = round_up(std::max(slot, p_.head_kind == Table::tiles ? 0 : p_.hidden * 2), 128);
    for (MatrixArgs& m : p_.matrix) {
      m.rows_per_slot = std::min(kMostSlotRows, at.slot / (m.inputs * 2));
    }
    at.x = take(x);
    at.sums_of_rows = take(std::max(rows, attention - round_up(x, 128)));
    at.facts = take(widest * (1 + codes.groups) * 4);
    at.squares = take(2 * kWarps * 4);
    at.rope = take(head_dim / 2 * 8);
    at.query = take(kMaxSharedHeads * head_dim * 2);
    at.key = take(head_dim * 2);
    at.value = take(head_dim * 2);
    at.added = take(2 * head_dim * 4);
    at.best = take(kWarps * 8);
    at.token = take(4);
    at.starts = take(kProducts * (blocks_ + 1) * 4);
    at.barriers = offset;
    const int most = (limit - offset - 128) / (at.slot + 16);
    p_.stages = tuning.stages > 0 ? std::min(tuning.stages, most) : most;
    const int in_flight = tuning.in_flight > 0 ? std::max(2, tuning.in_flight / at.slot) : 0;
    p_.in_flight = in_flight < p_.stages ? in_flight : 0;
    const int ring = p_.stages * at.slot;
    for (int* part : {&at.x, &at.sums_of_rows, &at.facts, &at.squares, &at.rope, &at.query,
                      &at.key, &at.value, &at.added, &at.best, &at.token, &at.starts, &at.barriers}) {
      *part += ring;
    }
    at.total = at.barriers + (2 * p_.stages + 1) * 8;
  }

  void launch(int64_t past, int64_t steps) {
    p_.past = static_cast<int>(past);
    p_.steps = static_cast<int>(steps);
    p_.first_step = steps_done_;
    steps_done_ += static_cast<uint32_t>(steps);
    // Cooperative: blocks wait for each other, so all of them must be there.
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeCooperative;
    attribute.val.cooperative = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = static_cast<unsigned>(blocks_);
    config.blockDim = static_cast<unsigned>(kWarps * 32 + 32);
    config.dynamicSmemBytes = static_cast<size_t>(p_.at.total);
    config.stream = device_.stream();
    config.attrs = &attribute;
    config.numAttrs = 1;
    check(cudaLaunchKernelEx(&config, kernel_, p_), "launching decode steps");
  }

  CudaDevice& device_;
  Kernel kernel_;
  int blocks_;
  int64_t launch_steps_, capacity_, message_bytes_ = 0;
  uint32_t steps_done_ = 0;
  DeviceBuffer starts_, messages_, logits_, ids_, frequency_;
  StepParams p_ = {};
};

}  // namespace
}  // namespace fused

std::unique_ptr<DecodeStep> plan_fused_decode(Device& device, const DecodeSpec& spec,
                                              const DecodeTuning& tuning) {
  using namespace fused;
  CudaDevice& cuda = cuda_device(device);
  if (cuda.compute_capability() < 90 || !fits(spec)) return nullptr;
  const std::optional<Codes> codes = codes_of(spec);
  if (!codes) return nullptr;
  const QuantTilesCuda* head = tiles_of(spec.head);
  const bool extras = spec.layers[0].kv.dtype == DType::i8 || (head != nullptr && is_wide(*head, *codes));
  const Kernel kernel = kernel_for(*codes, spec.head_dim, extras);
  if (kernel == nullptr) return nullptr;
  cuda.stream();  // makes the device the thread's
  int ordinal = 0, limit = 0;
  check(cudaGetDevice(&ordinal), "asking for the device");
  check(cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, ordinal),
        "asking for shared memory");
  auto step = std::make_unique<FusedStep>(cuda, spec, tuning, *codes, kernel, limit);
  if (!step->has_ring()) return nullptr;
  return step;
}

#else

std::unique_ptr<DecodeStep> plan_fused_decode(Device&, const DecodeSpec&, const DecodeTuning&) {
  return nullptr;
}

#endif

}  // namespace awq::cuda
