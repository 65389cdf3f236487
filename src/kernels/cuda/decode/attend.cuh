// Attention of the one query: a block takes a run of the past keys of one kv head, with all query
// heads that share it, and whoever has the last run also takes the new key, rotates it and appends
// it. Each warp keeps a softmax of its own over its keys; they are merged in the block, and where a
// head is shared by blocks, every one of them merges a piece of the output from all their parts.
//
// Scores are heads x keys: q is A (rows 8..15 are zeros), keys are B. The result's registers are
// then B of V^T P^T as they stand, keys being its depth, so probabilities never leave their lanes.
//
// Keys and values of 8 bits become halves as they are read, exactly; their scales are applied to the
// scores and to the probabilities. A lane reads twice as many neighbouring elements of a row of them, so
// queries, the new key and the new value lie in another order within a head (key_place, value_place).
#pragma once

#include "kernels/cuda/code_scale.cuh"
#include "kernels/cuda/decode/consumer.cuh"

namespace awq::cuda::fused {

__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ uint32_t halves_of(float low, float high) {
  const __half2 v = __floats2half2_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&v);
}

/// Four signed bytes, each with its highest bit turned, as halves: bytes 0 and 1, or 2 and 3.
template <int kPair>
__device__ __forceinline__ uint32_t halves_of_bytes(uint32_t turned) {
  constexpr uint32_t kThousands = 0x64646464;  // a half of 0x64 and a byte is 1024 + byte
  const uint32_t v = __byte_perm(turned, kThousands, kPair == 0 ? 0x4140 : 0x4342);
  const __half2 offset = __half2half2(__ushort_as_half(0x6480));  // 1152
  const __half2 halves = __hsub2(*reinterpret_cast<const __half2*>(&v), offset);
  return *reinterpret_cast<const uint32_t*>(&halves);
}

/// Where dimension d of a query and of the new key lies beside keys of codes, and of the new value.
__device__ __forceinline__ int key_place(int d) {
  return d / 64 * 64 + d % 16 / 8 * 32 + d % 64 / 16 * 8 + d % 8;
}
template <int kHeadDim>
__device__ __forceinline__ int value_place(int d) {
  constexpr int kRun = kHeadDim / 8;  // of a lane
  return d % kRun / 8 * 64 + d / kRun * 8 + d % 8;
}

/// A warp's share of the sums. Lane 4 g + j holds, of m16 tile t, the outputs of heads 2 j and 2 j
/// + 1 at dimensions d and d + 1, d = 64 (t / 4) + 8 g + 2 (t % 4), with keys of codes
/// d = kHeadDim / 8 g + 2 t; and largest, total of head g.
template <class S>
struct Consumer<S>::Flash {
  uint4 q[S::kHeadDim / 32];
  float out[S::kHeadDim / 16][4] = {};
  float largest = -INFINITY, total = 0;

  __device__ __forceinline__ void load_query(uint32_t query, int heads, int lane) {
    const int g = lane >> 2, j = lane & 3;
#pragma unroll
    for (int c = 0; c < S::kHeadDim / 32; ++c) {
      q[c] = g < heads ? shared_load4(query + g * S::kHeadDim * 2 + c * 64 + j * 16)
                       : make_uint4(0, 0, 0, 0);
    }
  }

  /// Beside keys and values of codes, sums are this many times too large: a probability times the scale of a
  /// value, which is its largest element over 127, would else be lost below the range of half.
  static constexpr float kBoost = 128;

  // `valid` of eight keys, rows of head_dim halves; rows beyond are never read.
  __device__ __forceinline__ void take(uint32_t keys, uint32_t values, int valid, int lane,
                                       float boost = 1) {
    constexpr int kRow = S::kHeadDim * 2;
    const int g = lane >> 2, j = lane & 3;
    float s[4] = {}, t[4] = {};  // two sums: a chain of products takes its time
    const uint32_t key = keys + min(g, valid - 1) * kRow + j * 16;
#pragma unroll
    for (int c = 0; c < S::kHeadDim / 32; ++c) {
      const uint4 k = shared_load4(key + c * 64);
      mma(s, {q[c].x, 0, q[c].y, 0}, k.x, k.y);
      mma(t, {q[c].z, 0, q[c].w, 0}, k.z, k.w);
    }
    const float2 weights = weigh(2 * j < valid ? s[0] + t[0] : -INFINITY,
                                 2 * j + 1 < valid ? s[1] + t[1] : -INFINITY, j);
    const uint32_t p = halves_of(weights.x * boost, weights.y * boost);
    const uint32_t first = values + min(2 * j, valid - 1) * kRow + g * 16;
    const uint32_t second = values + min(2 * j + 1, valid - 1) * kRow + g * 16;
#pragma unroll
    for (int part = 0; part < S::kHeadDim / 64; ++part) {
      const uint4 a = shared_load4(first + part * 128), b = shared_load4(second + part * 128);
      const uint32_t x[4] = {a.x, a.y, a.z, a.w}, y[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
      for (int w = 0; w < 4; ++w) {  // rows of A: dimension 8 g + 2 w, and the next
        mma8(out[part * 4 + w], __byte_perm(x[w], y[w], 0x5410), __byte_perm(x[w], y[w], 0x7632),
             p);
      }
    }
  }

  // The same of rows of codes, with the scales of the keys and of the values [8].
  __device__ __forceinline__ void take_codes(uint32_t keys, uint32_t key_scales, uint32_t values,
                                             uint32_t value_scales, int valid, int lane) {
    constexpr int kRow = S::kHeadDim;
    constexpr uint32_t kTurn = 0x80808080;
    const int g = lane >> 2, j = lane & 3;
    float s[4] = {}, t[4] = {};
    const uint32_t key = keys + min(g, valid - 1) * kRow + j * 16;
#pragma unroll
    for (int c = 0; c < S::kHeadDim / 64; ++c) {
      const uint4 k = shared_load4(key + c * 64);
      const uint32_t words[4] = {k.x ^ kTurn, k.y ^ kTurn, k.z ^ kTurn, k.w ^ kTurn};
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const uint4& of = q[2 * c + half];
        mma(s, {of.x, 0, of.y, 0}, halves_of_bytes<0>(words[2 * half]),
            halves_of_bytes<1>(words[2 * half]));
        mma(t, {of.z, 0, of.w, 0}, halves_of_bytes<0>(words[2 * half + 1]),
            halves_of_bytes<1>(words[2 * half + 1]));
      }
    }
    const bool one = 2 * j < valid, two = 2 * j + 1 < valid;
    const uint2 ks = shared_load2(key_scales + j * 8), vs = shared_load2(value_scales + j * 8);
    const float2 weights = weigh(one ? (s[0] + t[0]) * __uint_as_float(ks.x) : -INFINITY,
                                 two ? (s[1] + t[1]) * __uint_as_float(ks.y) : -INFINITY, j);
    // Behind the last key there may be anything.
    const uint32_t p = halves_of(one ? weights.x * (kBoost * __uint_as_float(vs.x)) : 0,
                                 two ? weights.y * (kBoost * __uint_as_float(vs.y)) : 0);
    constexpr int kRun = kRow / 8, kWords = kRun / 4;  // of a lane
    const uint32_t first = values + min(2 * j, valid - 1) * kRow + g * kRun;
    const uint32_t second = values + min(2 * j + 1, valid - 1) * kRow + g * kRun;
    uint32_t x[4], y[4];
    if constexpr (kWords == 4) {
      const uint4 a = shared_load4(first), b = shared_load4(second);
      x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w;
      y[0] = b.x, y[1] = b.y, y[2] = b.z, y[3] = b.w;
    } else {
      const uint2 a = shared_load2(first), b = shared_load2(second);
      x[0] = a.x, x[1] = a.y, y[0] = b.x, y[1] = b.y;
    }
#pragma unroll
    for (int w = 0; w < kWords; ++w) {  // rows of A: dimension kRun g + 4 w, and the three behind it
      const uint32_t early = __byte_perm(x[w] ^ kTurn, y[w] ^ kTurn, 0x5140);
      const uint32_t late = __byte_perm(x[w] ^ kTurn, y[w] ^ kTurn, 0x7362);
      mma8(out[2 * w], halves_of_bytes<0>(early), halves_of_bytes<1>(early), p);
      mma8(out[2 * w + 1], halves_of_bytes<0>(late), halves_of_bytes<1>(late), p);
    }
  }

 private:
  // The weights of two keys with these scores; what was summed before shrinks where they are larger.
  __device__ __forceinline__ float2 weigh(float s0, float s1, int j) {
    float top = fmaxf(s0, s1);
    top = fmaxf(top, __shfl_xor_sync(~0u, top, 1));
    top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
    if (__any_sync(~0u, top > largest)) {
      const float now = fmaxf(top, largest), shrink = exp2_fast(largest - now);
      largest = now;
      total *= shrink;
      const float f0 = __shfl_sync(~0u, shrink, 8 * j), f1 = __shfl_sync(~0u, shrink, 8 * j + 4);
#pragma unroll
      for (int t = 0; t < S::kHeadDim / 16; ++t) {
        out[t][0] *= f0;
        out[t][1] *= f1;
        out[t][2] *= f0;
        out[t][3] *= f1;
      }
    }
    const float p0 = exp2_fast(s0 - largest), p1 = exp2_fast(s1 - largest);
    total += p0 + p1;
    return {p0, p1};
  }
};

// Cosine and sine of the position, for all layers of the token. A barrier comes before their use.
template <class S>
__device__ __forceinline__ void Consumer<S>::prepare_rope() {
  for (int pair = thread(); pair < kHeadDim / 2; pair += S::kThreads) {
    float2 turn;
    sincosf(static_cast<float>(position_) * p_.frequency[pair], &turn.y, &turn.x);
    at<float2>(p_.at.rope)[pair] = turn;
  }
}

// The query heads of a kv head, rotated and scaled; with the last run also its new key and value.
template <class S>
__device__ __forceinline__ void Consumer<S>::stage_query(int head, bool last, int layer,
                                                         uint32_t epoch) {
  constexpr int kHalf = kHeadDim / 2;
  const int shared_heads = p_.heads / p_.kv_heads;
  const int rows = shared_heads + (last ? 2 : 0);
  const int64_t cached = head * p_.head_stride + static_cast<int64_t>(position_) * kHeadDim;
  for (int i = thread(); i < rows * kHalf; i += S::kThreads) {
    const int row = i / kHalf, pair = i % kHalf;
    const int first = p_.interleaved ? 2 * pair : pair;
    const int second = p_.interleaved ? 2 * pair + 1 : pair + kHalf;
    const int source = row < shared_heads ? head * shared_heads + row
                                          : p_.heads + (row - shared_heads) * p_.kv_heads + head;
    const float* from = p_.qkv + source * kHeadDim;
    const uint32_t word_a = load_word(from + first), word_b = load_word(from + second);
    const float a = await(from + first, epoch, word_a), b = await(from + second, epoch, word_b);
    const float2 turn = at<float2>(p_.at.rope)[pair];
    const float turned_a = a * turn.x - b * turn.y, turned_b = a * turn.y + b * turn.x;
    const bool key = row == shared_heads;
    if (row < shared_heads) {
      __half* to = at<__half>(p_.at.query) + row * kHeadDim;
      to[key_codes() ? key_place(first) : first] = __float2half_rn(turned_a * p_.score_scale);
      to[key_codes() ? key_place(second) : second] = __float2half_rn(turned_b * p_.score_scale);
    } else if (key_codes()) {
      float* to = at<float>(p_.at.added) + (key ? 0 : kHeadDim);
      to[first] = key ? turned_a : a;
      to[second] = key ? turned_b : b;
    } else {
      __half* to = at<__half>(key ? p_.at.key : p_.at.value);
      __half* cache = static_cast<__half*>(key ? p_.layer[layer].k : p_.layer[layer].v) + cached;
      cache[first] = to[first] = __float2half_rn(key ? turned_a : a);
      cache[second] = to[second] = __float2half_rn(key ? turned_b : b);
    }
  }
}

// By the warp that takes the new key and value: they become codes, in the cache and for itself.
template <class S>
__device__ __forceinline__ void Consumer<S>::append_codes(int head, int layer) {
  constexpr int kEach = kHeadDim / 32;
  const LayerArgs& args = p_.layer[layer];
  const int64_t row = head * (p_.head_stride / kHeadDim) + position_;
#pragma unroll
  for (int side = 0; side < 2; ++side) {
    const float* x = at<float>(p_.at.added) + side * kHeadDim + lane_ * kEach;
    float largest = 0;
    bool finite = true;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      largest = fmaxf(largest, fabsf(x[i]));
      finite &= isfinite(x[i]);
    }
    const CodeScale scale(largest_of_warp(largest), __all_sync(~0u, finite));
    auto* cache = static_cast<int8_t*>(side == 0 ? args.k : args.v) + row * kHeadDim;
    __half* to = at<__half>(side == 0 ? p_.at.key : p_.at.value);
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int d = lane_ * kEach + i;
      const int8_t code = scale.code(x[i]);
      cache[d] = code;
      to[side == 0 ? key_place(d) : value_place<kHeadDim>(d)] =
          __float2half_rn(static_cast<float>(code) * scale.scale);
    }
    if (lane_ == 0) (side == 0 ? args.k_scales : args.v_scales)[row] = scale.scale;
  }
  __syncwarp();
}

// Runs of keys: a slot of keys, a slot of values. All warps share a run, eight keys at a time.
template <class S>
__device__ __forceinline__ void Consumer<S>::walk_keys(Flash& f, int part, int splits) {
  const int unit = unit_keys(key_codes(), kUnitKeys), runs = (position_ + unit - 1) / unit;
  const int begin = part * runs / splits, end = (part + 1) * runs / splits;
  Cursor c = cursor_;
#pragma unroll 1
  for (int run = begin; run < end; ++run) {
    Cursor values = c;
    values.advance(1, p_.stages);
    warp_wait(ring_.full(c), c.phase, "keys");
    warp_wait(ring_.full(values), values.phase, "values");
    const int count = min(unit, position_ - run * unit);
#pragma unroll 1
    for (int key = warp_ * 8; key < count && key_codes(); key += kWarps * 8) {
      const uint32_t of_keys = ring_.slot(c), of_values = ring_.slot(values);
      const int scales = unit * kHeadDim + key * 4;
      f.take_codes(of_keys + key * kHeadDim, of_keys + scales, of_values + key * kHeadDim,
                   of_values + scales, min(8, count - key), lane_);
    }
#pragma unroll 1
    for (int key = warp_ * 8; key < count && !key_codes(); key += kWarps * 8) {
      f.take(ring_.slot(c) + key * kHeadDim * 2, ring_.slot(values) + key * kHeadDim * 2,
             min(8, count - key), lane_);
    }
    __syncwarp();
    if (lane_ == 0) {
      barrier_arrive(ring_.empty(c));
      barrier_arrive(ring_.empty(values));
    }
    c.advance(2, p_.stages);
  }
  cursor_ = c;
}

// The warps' sums lie over those of the activations and rows, which nobody needs now:
// [warps][heads][head_dim], then largest and total [warps][heads] each.
template <class S>
__device__ __forceinline__ void Consumer<S>::merge_warps(const Flash& f, int unit, bool whole,
                                                         uint32_t epoch) {
  forget();
  const int heads = p_.heads / p_.kv_heads, g = lane_ >> 2, j = lane_ & 3;
  float* sums = at<float>(p_.at.x);
  float* largest = sums + kWarps * heads * kHeadDim;
  float* total = largest + kWarps * heads;
  const float unit_sum = key_codes() ? 1 / Flash::kBoost : 1.f;
#pragma unroll
  for (int t = 0; t < kHeadDim / 16; ++t) {
    const int dim =
        key_codes() ? kHeadDim / 8 * g + 2 * t : t / 4 * 64 + 8 * g + t % 4 * 2;
#pragma unroll
    for (int side = 0; side < 2; ++side) {
      if (2 * j + side < heads) {
        *reinterpret_cast<float2*>(sums + (warp_ * heads + 2 * j + side) * kHeadDim + dim) =
            make_float2(f.out[t][side] * unit_sum, f.out[t][2 + side] * unit_sum);
      }
    }
  }
  float mine = f.total;
  mine += __shfl_xor_sync(~0u, mine, 1);
  mine += __shfl_xor_sync(~0u, mine, 2);
  if (j == 0 && g < heads) {
    largest[warp_ * heads + g] = f.largest;
    total[warp_ * heads + g] = mine;
  }
  sync();
  for (int i = thread(); i < heads * kHeadDim; i += S::kThreads) {
    const int head = i / kHeadDim;
    float top = -INFINITY, sum = 0, weight = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) top = fmaxf(top, largest[w * heads + head]);
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float scale = exp2_fast(largest[w * heads + head] - top);  // 0 without keys
      sum += sums[w * heads * kHeadDim + i] * scale;
      weight += total[w * heads + head] * scale;
    }
    if (whole) {
      post(p_.attended + unit * heads * kHeadDim + i, sum / weight, epoch);
    } else {
      uint64_t* to = p_.attention_parts + (unit * heads + head) * (kHeadDim + 2);
      post_pair(to + i % kHeadDim, __float_as_uint(sum), epoch);
      if (i % kHeadDim == 0) {
        post_pair(to + kHeadDim, __float_as_uint(top), epoch);
        post_pair(to + kHeadDim + 1, __float_as_uint(weight), epoch);
      }
    }
  }
  sync();
}

// A piece of the outputs of a kv head, from the parts of all its blocks: a lane a part.
template <class S>
__device__ __forceinline__ void Consumer<S>::merge_blocks(int head, int part, int splits,
                                                          uint32_t epoch) {
  const int heads = p_.heads / p_.kv_heads, size = heads * kHeadDim;
  int lanes = 1;
  while (lanes < splits) lanes *= 2;
  const int at_once = 32 / lanes, mine = lane_ % lanes;
  const int begin = part * size / splits, end = (part + 1) * size / splits;
  for (int first = begin + warp_ * at_once; first < end; first += kWarps * at_once) {
    const int i = first + lane_ / lanes;
    const bool live = i < end && mine < splits;
    float sum = 0, top = -INFINITY, weight = 0;
    if (live) {
      const uint64_t* from =
          p_.attention_parts + ((head * splits + mine) * heads + i / kHeadDim) * (kHeadDim + 2);
      const uint64_t* places[3] = {from + i % kHeadDim, from + kHeadDim, from + kHeadDim + 1};
      uint64_t pairs[3];
#pragma unroll
      for (int n = 0; n < 3; ++n) pairs[n] = load_pair(places[n]);
      Spin spin;
      for (bool all = false; !all;) {
        all = true;
#pragma unroll
        for (int n = 0; n < 3; ++n) {
          if (static_cast<uint32_t>(pairs[n]) != epoch) {
            pairs[n] = load_pair(places[n]);
            all = false;
          }
        }
        if (!all) spin.turn("parts of attention");
      }
      sum = __uint_as_float(static_cast<uint32_t>(pairs[0] >> 32));
      top = __uint_as_float(static_cast<uint32_t>(pairs[1] >> 32));
      weight = __uint_as_float(static_cast<uint32_t>(pairs[2] >> 32));
    }
    __syncwarp();
    float highest = top;
    for (int s = lanes / 2; s > 0; s /= 2) {
      highest = fmaxf(highest, __shfl_xor_sync(~0u, highest, s));
    }
    const float scale = live ? exp2_fast(top - highest) : 0;
    sum = warp_sum(sum * scale, lanes);
    weight = warp_sum(weight * scale, lanes);
    if (live && mine == 0) post(p_.attended + head * size + i, sum / weight, epoch);
  }
}

template <class S>
__device__ __forceinline__ void Consumer<S>::attend(int layer, uint32_t epoch) {
  forget();
  const int splits = key_splits(p_, position_), units = p_.kv_heads * splits;
#pragma unroll 1
  for (int unit = blockIdx.x; unit < units; unit += gridDim.x) {
    const int head = unit / splits, part = unit % splits;
    const bool last = part == splits - 1;
    stage_query(head, last, layer, epoch);
    sync();
    Flash f;
    f.load_query(ring_.base + p_.at.query, p_.heads / p_.kv_heads, lane_);
    walk_keys(f, part, splits);
    if (last && warp_ == kWarps - 1) {
      if (key_codes()) append_codes(head, layer);
      f.take(ring_.base + p_.at.key, ring_.base + p_.at.value, 1, lane_,
             key_codes() ? Flash::kBoost : 1.f);
    }
    merge_warps(f, unit, splits == 1, epoch);
    if (splits > 1) merge_blocks(head, part, splits, epoch);
  }
}

}  // namespace awq::cuda::fused
