// The ring of shared memory through which all weights and cached keys pass, and the one lane that
// fills it. What it fetches depends on nothing but the position, so it runs ahead of the
// arithmetic, across matrices, layers and tokens, as far as the ring reaches.
#pragma once

#include "kernels/cuda/barriers.cuh"
#include "kernels/cuda/decode/message.cuh"
#include "kernels/cuda/decode/params.h"
#include "kernels/cuda/tile_math.cuh"

namespace awq::cuda::fused {

__device__ __forceinline__ bool barrier_try(uint32_t barrier, uint32_t phase) {
  uint32_t done;
  asm volatile(
      "{\n.reg .pred p;\nmbarrier.try_wait.parity.shared.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
      : "=r"(done)
      : "r"(barrier), "r"(phase)
      : "memory");
  return done != 0;
}
__device__ __forceinline__ void barrier_wait(uint32_t barrier, uint32_t phase, const char* what) {
  Spin spin;
  while (!barrier_try(barrier, phase)) spin.turn(what, static_cast<int>(barrier));
}
/// For a whole warp. All lanes ask: one alone, and the others waiting for it, takes three times as
/// long.
__device__ __forceinline__ void warp_wait(uint32_t barrier, uint32_t phase, const char* what) {
  barrier_wait(barrier, phase, what);
  __syncwarp();
}
/// A place in the endless sequence of slots.
struct Cursor {
  int slot = 0;
  uint32_t phase = 0;
  __device__ __forceinline__ void advance(int count, int stages) {
    slot += count;
    while (slot >= stages) {
      slot -= stages;
      phase ^= 1;
    }
  }
};

/// The barriers: full[stages], empty[stages], and `go`: the keys of the token before are written.
struct Ring {
  uint32_t base, barriers;
  int slot_bytes, stages;

  __device__ __forceinline__ Ring(const StepParams& p, uint32_t shared)
      : base(shared), barriers(shared + p.at.barriers), slot_bytes(p.at.slot), stages(p.stages) {}
  __device__ __forceinline__ uint32_t slot(const Cursor& c) const {
    return base + c.slot * slot_bytes;
  }
  __device__ __forceinline__ uint32_t full(const Cursor& c) const { return barriers + c.slot * 8; }
  __device__ __forceinline__ uint32_t empty(const Cursor& c) const {
    return barriers + (stages + c.slot) * 8;
  }
  __device__ __forceinline__ uint32_t go() const { return barriers + 2 * stages * 8; }
};

/// The chunks of a matrix that fall to this block.
struct Share {
  int index, begin, end;
  __device__ __forceinline__ Share(const StepParams& p, const uint32_t* starts, int matrix,
                                   int layer) {
    const int blocks = gridDim.x;
    index = blockIdx.x + layer * p.matrix[matrix].rotate;
    while (index >= blocks) index -= blocks;  // few turns: a division takes longer
    const uint32_t* at = starts + matrix * (blocks + 1) + index;
    begin = static_cast<int>(at[0]);
    end = static_cast<int>(at[1]);
  }
};

/// Rows [row, row + result) of half-precision weights are one slot: of one matrix.
__device__ __forceinline__ int rows_of_slot(const StepParams& p, int head_dim, int product, int row,
                                            int end) {
  int count = min(p.matrix[product].rows_per_slot, end - row);
  if (product == kQkv) {
    const int q = p.heads * head_dim, k = q + p.kv_heads * head_dim;
    if (row < q) {
      count = min(count, q - row);
    } else if (row < k) {
      count = min(count, k - row);
    }
  }
  return count;
}

/// Past keys of a slot.
__device__ __forceinline__ int unit_keys(bool codes, int halves) {
  return codes ? kCodeKeys * halves : halves;
}

/// Blocks that share the past keys of a kv head at a position.
__device__ __forceinline__ int key_splits(const StepParams& p, int position) {
  return max(1, min(p.most_splits, (position + p.split_keys - 1) / p.split_keys));
}

/// The lane that fills the ring. It walks the same way as the consumers (kernel.cuh).
template <int kBits, int kGroups, int kHeadDim, bool kExtras>
class Producer {
 public:
  static constexpr int kUnitKeys = slot_keys(kBits, kHeadDim);

  __device__ __forceinline__ Producer(const StepParams& p, uint8_t* shared)
      : p_(p),
        ring_(p, shared_address(shared)),
        starts_(reinterpret_cast<const uint32_t*>(shared + p.at.starts)) {
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy_));
  }

  __device__ __forceinline__ void run() {
#pragma unroll 1
    for (int step = 0; step < p_.steps; ++step) {
#pragma unroll 1
      for (int layer = 0; layer <= p_.layers; ++layer) {
        const bool head = layer == p_.layers;
        if (head && p_.head_kind != Table::tiles) break;
        const int last = head ? kHead : kDown;
#pragma unroll 1
        for (int product = head ? kHead : kQkv; product <= last; ++product) {
          feed(product, layer);
          if (product != kQkv) continue;
          if (layer == 0) {
            barrier_wait(ring_.go(), step & 1, "a token");
            asm volatile("fence.proxy.async;" ::: "memory");  // keys came by ordinary stores
          }
          feed_keys(layer, p_.past + step);
        }
      }
      if (p_.head_kind != Table::tiles) feed_table();
    }
  }

 private:
  __device__ __forceinline__ void claim() {  // the next slot, once few enough are on their way
    if (p_.in_flight > 0 && issued_ >= p_.in_flight) {
      barrier_wait(ring_.full(oldest_), oldest_.phase, "a copy");
      oldest_.advance(1, ring_.stages);
    }
    ++issued_;
    barrier_wait(ring_.empty(at_), at_.phase ^ 1, "an empty slot");
  }

  template <int kStripBits, int kTiles>
  __device__ __forceinline__ void feed_strip(const uint8_t* codes, const uint8_t* meta, int tiles,
                                             int strip, int begin, int end) {
    using Bytes = TileBytes<kStripBits, kGroups>;
#pragma unroll 1
    for (int chunk = begin; chunk < end; ++chunk) {
      const int64_t tile = static_cast<int64_t>(strip) * tiles + chunk * kTiles;
      const int count = min(kTiles, tiles - chunk * kTiles);
      const int code_bytes = count * Bytes::kCodes, meta_bytes = count * Bytes::kMeta;
      claim();
      if (!p_.copies) {
        barrier_arrive(ring_.full(at_));
        at_.advance(1, ring_.stages);
        continue;
      }
      barrier_expect(ring_.full(at_), code_bytes + meta_bytes);
      bulk_copy(ring_.slot(at_), codes + tile * Bytes::kCodes, code_bytes, ring_.full(at_),
                     policy_);
      bulk_copy(ring_.slot(at_) + kTiles * Bytes::kCodes, meta + tile * Bytes::kMeta,
                     meta_bytes, ring_.full(at_), policy_);
      at_.advance(1, ring_.stages);
    }
  }

  // Rows of half precision, as Consumer::run_rows walks them.
  __device__ __forceinline__ void feed_rows(int product, int layer) {
    const MatrixArgs& m = p_.matrix[product];
    const Share share(p_, starts_, product, layer);
    const LayerArgs& args = p_.layer[layer];
    const int q = p_.heads * kHeadDim, k = q + p_.kv_heads * kHeadDim, row_bytes = m.inputs * 2;
    int count = 0;
#pragma unroll 1
    for (int row = share.begin; row < share.end; row += count) {
      count = rows_of_slot(p_, kHeadDim, product, row, share.end);
      int linear = kOut, place = row;
      if (product == kQkv) {
        linear = row < q ? kQ : row < k ? kK : kV;
        place -= linear == kQ ? 0 : linear == kK ? q : k;
      } else if (product == kGateUp) {
        linear = kGate;
      } else if (product == kDown) {
        linear = kDownward;
      }
#pragma unroll 1
      for (int wide = product == kGateUp ? 2 : 1; wide > 0; --wide, linear = kUp) {
        claim();
        if (!p_.copies) {
          barrier_arrive(ring_.full(at_));
        } else {
          barrier_expect(ring_.full(at_), count * row_bytes);
          bulk_copy(ring_.slot(at_), args.codes[linear] + static_cast<int64_t>(place) * row_bytes,
                         count * row_bytes, ring_.full(at_), policy_);
        }
        at_.advance(1, ring_.stages);
      }
    }
  }

  __device__ __forceinline__ void feed(int product, int layer) {
    if constexpr (kBits == 16) return feed_rows(product, layer);
    const MatrixArgs& m = p_.matrix[product];
    const Share share(p_, starts_, product, product == kHead ? 0 : layer);
    const int q = p_.heads * kHeadDim / 32, k = p_.kv_heads * kHeadDim / 32;
    const int wide = product == kGateUp ? 2 : 1;
#pragma unroll 1
    for (int strip = m.unit_of(share.begin) * wide; strip / wide * m.chunks < share.end; ++strip) {
      const int unit = strip / wide, first = unit * m.chunks;
      int linear = kOut, place = unit;
      if (product == kQkv) {
        linear = unit < q ? kQ : unit < q + k ? kK : kV;
        place -= linear == kQ ? 0 : linear == kK ? q : q + k;
      } else if (product == kGateUp) {
        linear = strip & 1 ? kUp : kGate;
      } else if (product == kDown) {
        linear = kDownward;
      }
      const LayerArgs& args = p_.layer[product == kHead ? 0 : layer];
      const auto* codes =
          product == kHead ? static_cast<const uint8_t*>(p_.head) : args.codes[linear];
      const uint8_t* meta = product == kHead ? p_.head_meta : args.meta[linear];
      const int begin = max(share.begin - first, 0), end = min(share.end - first, m.chunks);
      if constexpr (kBits == 4 && kExtras) {
        if (product == kHead && p_.wide_head) {
          feed_strip<kHeadBits, kHeadChunkTiles>(codes, meta, m.tiles, place, begin, end);
          continue;
        }
      }
      feed_strip<kBits, kChunkTiles>(codes, meta, m.tiles, place, begin, end);
    }
  }

  // Past keys and values, a slot each in turn.
  __device__ __forceinline__ void feed_keys(int layer, int position) {
    const int splits = key_splits(p_, position), units = p_.kv_heads * splits;
    const bool codes = kExtras && p_.key_codes;
    const int unit_size = unit_keys(codes, kUnitKeys);
    const int runs = (position + unit_size - 1) / unit_size;
#pragma unroll 1
    for (int unit = blockIdx.x; unit < units; unit += gridDim.x) {
      const int head = unit / splits, part = unit % splits;
#pragma unroll 1
      for (int run = part * runs / splits; run < (part + 1) * runs / splits; ++run) {
        const int64_t first = run * unit_size;
        const int count = min(unit_size, position - run * unit_size);
        const int element = codes ? 1 : 2, bytes = count * kHeadDim * element;
        // Whole 16 bytes: what lies behind the last key's scale is there, and not looked at.
        const int scale_bytes = codes ? (count + 3) / 4 * 16 : 0;
#pragma unroll 1
        for (int side = 0; side < 2; ++side) {
          const LayerArgs& args = p_.layer[layer];
          const auto* cache = static_cast<const uint8_t*>(side == 0 ? args.k : args.v);
          claim();
          barrier_expect(ring_.full(at_), bytes + scale_bytes);
          bulk_copy(ring_.slot(at_), cache + (head * p_.head_stride + first * kHeadDim) * element,
                    bytes, ring_.full(at_));
          if (codes) {
            const float* scales = side == 0 ? args.k_scales : args.v_scales;
            bulk_copy(ring_.slot(at_) + unit_size * kHeadDim,
                      scales + head * (p_.head_stride / kHeadDim) + first, scale_bytes,
                      ring_.full(at_));
          }
          at_.advance(1, ring_.stages);
        }
      }
    }
  }

  __device__ __forceinline__ void feed_table() {
    const Share share(p_, starts_, kHead, 0);
    const int row_bytes = p_.hidden * 2;
#pragma unroll 1
    for (int row = share.begin; row < share.end; row += p_.head_rows) {
      const int bytes = min(p_.head_rows, share.end - row) * row_bytes;
      claim();
      barrier_expect(ring_.full(at_), bytes);
      bulk_copy(ring_.slot(at_),
                     static_cast<const uint8_t*>(p_.head) + static_cast<int64_t>(row) * row_bytes,
                     bytes, ring_.full(at_), policy_);
      at_.advance(1, ring_.stages);
    }
  }

  const StepParams& p_;
  Ring ring_;
  const uint32_t* starts_;
  uint64_t policy_;
  Cursor at_, oldest_;
  int issued_ = 0;
};

}  // namespace awq::cuda::fused
