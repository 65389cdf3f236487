// What the persistent kernel is told: one value, passed as the kernel's argument (so it lies in
// constant memory). Host code fills it, step.cu; kernel.cuh says what it means.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

namespace awq::cuda::fused {

constexpr int kMaxLayers = 128;
constexpr int kChunkTiles = 8;    ///< tiles of a ring slot
constexpr int kTeamWarps = 4;     ///< that share a slot: two tiles each
constexpr int kBatchStrips = 8;   ///< strips whose partial sums wait for one reduction
constexpr int kMaxSharedHeads = 8;  ///< query heads of a kv head

/// Bytes of a ring slot's codes and of its meta, for a width of codes.
constexpr int chunk_code_bytes(int bits) { return kChunkTiles * 512 * bits; }
constexpr int chunk_meta_bytes(int bits, int groups) {
  return kChunkTiles * groups * (bits == 8 ? 96 : 80);
}
/// Keys of a ring slot: as many as fill the codes of one, a power of two.
constexpr int kKeyBytes = 16384;
constexpr int slot_keys(int bits, int head_dim) {
  return (bits < 4 ? kKeyBytes / 2 : kKeyBytes) / (2 * head_dim);
}
/// Keys of codes take half as much: twice as many, then their scales, one f32 a key.
constexpr int kCodeKeys = 2;
constexpr int key_code_bytes(int bits, int head_dim) {
  return kCodeKeys * slot_keys(bits, head_dim) * (head_dim + 4);
}

/// A head of 8 bits behind linears of 4: its chunks are half as many tiles, one a warp.
constexpr int kHeadBits = 8, kHeadChunkTiles = kTeamWarps;

/// Rows of half-precision weights in a slot: one for each warp at most.
constexpr int kMostSlotRows = 8;

enum Product { kQkv, kO, kGateUp, kDown, kHead, kProducts };
enum Linear { kQ, kK, kV, kOut, kGate, kUp, kDownward, kLinears };
enum class Table { f32, f16, bf16, tiles };

struct LayerArgs {
  const uint8_t* codes[kLinears];
  const uint8_t* meta[kLinears];
  const float *attn_norm, *ffn_norm;
  void *k, *v;  // caches, of half or of codes
  float *k_scales, *v_scales;  // of codes
};

/// A matrix as the kernel walks it: strips of `tiles` tiles, cut into `chunks` ring slots.
struct MatrixArgs {
  int inputs, rows;   // of one strip list; rows of gate alone
  int tiles, chunks;  // of a strip
  int rotate;         // share of block b in layer l: (b + l * rotate) % blocks
  uint32_t magic;     // ceil(2^32 / chunks); 0 for 1 chunk
  int rows_per_slot;  // of half-precision weights, whose shares are rows

#ifdef __CUDACC__
  __device__ __forceinline__ int unit_of(int chunk) const {  // chunk / chunks, below 2^26 / chunks
    return magic == 0 ? chunk : static_cast<int>(__umulhi(static_cast<uint32_t>(chunk), magic));
  }
#endif
};

/// Offsets of the parts of shared memory; the ring is at 0.
struct Layout {
  int slot, x, sums_of_rows, facts, squares, rope, query, key, value, added, best, token, starts,
      barriers, total;
};

struct StepParams {
  // Shape.
  int layers, hidden, heads, kv_heads, ffn, vocab;
  float epsilon, score_scale;  // score_scale: attention scale * log2(e)
  bool interleaved;
  bool key_codes;              // the caches are codes of 8 bits with a scale a key
  bool wide_head;              // of kHeadBits
  int64_t head_stride;         // of the caches
  MatrixArgs matrix[kProducts];
  const void* embed;
  Table embed_kind, head_kind, linear_kind;
  const void* head;            // table, or codes
  const uint8_t* head_meta;
  int head_rows;               // of a slot, for a table
  const float *final_norm, *frequency;

  // Work.
  const uint32_t* starts;      // [kProducts][blocks + 1], partition.h; rows for a head table
  int stages, in_flight, split_keys, most_splits;
  bool copies;                 // false: nothing is read, to time the rest
  Layout at;

  // Messages between blocks, message.cuh.
  float *x_attn, *x_ffn, *qkv, *attended, *act;
  float* parts;                // [kProducts][blocks][64]
  uint64_t* attention_parts;   // [kv_heads * splits][heads of a kv head][head_dim + 2]
  uint64_t* best;              // [2][blocks]

  // Results, and what differs from launch to launch.
  float* logits;
  int32_t* ids;                // [steps] or null
  const int32_t* from;         // the first token, or null: `token`
  int token, past, steps;
  uint32_t first_step;         // steps of all launches before
  long long* times;

  LayerArgs layer[kMaxLayers];
};

}  // namespace awq::cuda::fused
