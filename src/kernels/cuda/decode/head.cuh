// The output head, the argmax of its logits, and how every block learns the next token.
#pragma once

#include "kernels/cuda/decode/attend.cuh"
#include "kernels/cuda/decode/rows.cuh"

namespace awq::cuda::fused {

// Rows of a table as they lie in memory, a few to a slot; a warp a row.
template <class S>
template <class T>
__device__ __forceinline__ void Consumer<S>::run_table() {
  const Share share(p_, starts_, kHead, 0);
  sync();  // the activations of all warps
  read_squares();
  const uint32_t x = ring_.base + p_.at.x + lane_ * 16;
  const int team = warp_ / kTeamWarps, place = warp_ % kTeamWarps;
  const int slots = (share.end - share.begin + p_.head_rows - 1) / p_.head_rows;
  Cursor c = cursor_;
  c.advance(team, p_.stages);
  for (int slot = team; slot < slots; slot += S::kTeams) {
    const int first = share.begin + slot * p_.head_rows;
    const int count = min(p_.head_rows, share.end - first);
    // Row r of the team's rows is warp r % 4's, also where a slot holds fewer than four.
    const int skip = (place - slot / S::kTeams * p_.head_rows) & (kTeamWarps - 1);
    // Also without a row in it: in step.
    warp_wait(ring_.full(c), c.phase, "rows of the head");
    for (int row = skip; row < count; row += kTeamWarps) {
      const uint32_t w = ring_.slot(c) + row * p_.hidden * 2 + lane_ * 16;
      const float logit = row_product<T>(w, x, lane_, p_.hidden) * inverse_;
      if (lane_ == 0) p_.logits[first + row] = logit;
      best_.take(logit, first + row);
    }
    __syncwarp();
    if (lane_ == 0) barrier_arrive(ring_.empty(c), S::kTeams);
    c.advance(S::kTeams, p_.stages);
  }
  cursor_.advance(slots, p_.stages);
}

template <class S>
__device__ __forceinline__ void Consumer<S>::run_head_table(uint32_t epoch) {
  stage<true, true>(p_.x_attn, epoch, p_.final_norm, p_.matrix[kHead]);
  if (p_.head_kind == Table::f16) {
    run_table<__half>();
  } else {
    run_table<__nv_bfloat16>();
  }
}

// Blocks post their best; every block finds the best of all, so nobody has to tell. Whoever has
// seen all posts also sees all keys that were appended before them. Two sets of words in turn: a
// block without work may still read the one while others are a step ahead.
template <class S>
__device__ __forceinline__ void Consumer<S>::next_token(int step) {
  const uint32_t epoch = step_;
  uint64_t* posts = p_.best + (epoch & 1) * gridDim.x;
  const bool wanted = p_.ids != nullptr && (step + 1 < p_.steps || blockIdx.x == 0);
  __threadfence();
  asm volatile("fence.proxy.async;" ::: "memory");
  best_.across();
  if (lane_ == 0) at<Best>(p_.at.best)[warp_] = best_;
  sync();
  if (warp_ == 0) {
    Best best = lane_ < kWarps ? at<Best>(p_.at.best)[lane_] : Best();
    best.across();
    if (lane_ == 0) {
      post_pair(posts + blockIdx.x, __float_as_uint(best.value),
                static_cast<uint32_t>(best.index) << 2 | (epoch & 3));
    }
    if (wanted) {
      Best all;
      for (int b = lane_; b < gridDim.x; b += 32) {
        uint64_t pair = load_pair(posts + b);
        Spin spin;
        while (!fresh(static_cast<uint32_t>(pair), epoch)) {
          spin.turn("the best token");
          pair = load_pair(posts + b);
        }
        all.take(__uint_as_float(static_cast<uint32_t>(pair >> 32)),
                 static_cast<int>(static_cast<uint32_t>(pair) >> 2));
      }
      __syncwarp();
      all.across();
      const int token = all.index < p_.vocab ? all.index : 0;
      if (lane_ == 0) {
        *at<int>(p_.at.token) = token;
        if (blockIdx.x == 0) p_.ids[step] = token;
      }
    }
    __threadfence();
  }
  sync();
  token_ = *at<int>(p_.at.token);
}

}  // namespace awq::cuda::fused
