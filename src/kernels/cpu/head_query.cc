#include "kernels/cpu/head_query.h"

#include <algorithm>
#include <cmath>

namespace awq::cpu {

static int64_t kv_at(const KvView& kv, int64_t kv_head, int64_t position, int64_t head_dim) {
  return kv_head * kv.head_stride + position * head_dim;
}

const void* kv_row(const KvView& kv, const void* data, int64_t kv_head, int64_t position,
                   int64_t head_dim) {
  const auto bytes = static_cast<int64_t>(dtype_info(kv.dtype).block_bytes);
  return static_cast<const std::byte*>(data) + kv_at(kv, kv_head, position, head_dim) * bytes;
}

const float* kv_scale(const KvView& kv, const float* scales, int64_t kv_head, int64_t position,
                      int64_t head_dim) {
  if (scales == nullptr) return nullptr;
  return scales + kv_head * (kv.head_stride / head_dim) + position;
}

static void store_vector(const KernelTable& kernels, const KvView& kv, void* data, float* scales,
                         int64_t at, int64_t head_dim, const float* x) {
  if (kv.dtype == DType::f32) {
    std::copy_n(x, head_dim, static_cast<float*>(data) + at);
  } else if (kv.dtype == DType::f16) {
    kernels.floats_to_halves(x, head_dim, static_cast<uint16_t*>(data) + at);
  } else {
    kernels.floats_to_codes(x, head_dim, static_cast<int8_t*>(data) + at, scales + at / head_dim);
  }
}

void store_kv(const KernelTable& kernels, const KvView& kv, int64_t kv_head, int64_t position,
              int64_t head_dim, const float* k, const float* v) {
  const int64_t at = kv_at(kv, kv_head, position, head_dim);
  store_vector(kernels, kv, kv.k, kv.k_scales, at, head_dim, k);
  store_vector(kernels, kv, kv.v, kv.v_scales, at, head_dim, v);
}

void attend_part(const KernelTable& kernels, const HeadQuery& query, int64_t i, float* scores,
                 const PartSums& sums, int64_t at) {
  const KvView& kv = *query.kv;
  const KeyRange keys = query.part(i);
  AttendPart p = {};
  p.q = query.q;
  p.heads = query.group, p.head_dim = query.head_dim;
  p.k = kv_row(kv, kv.k, query.kv_head, keys.begin, query.head_dim);
  p.v = kv_row(kv, kv.v, query.kv_head, keys.begin, query.head_dim);
  p.k_scales = kv_scale(kv, kv.k_scales, query.kv_head, keys.begin, query.head_dim);
  p.v_scales = kv_scale(kv, kv.v_scales, query.kv_head, keys.begin, query.head_dim);
  p.format = kv.dtype == DType::f32 ? kKvFloat : kv.dtype == DType::f16 ? kKvHalf : kKvCode;
  p.keys = keys.end - keys.begin;
  p.scale = query.scale, p.softcap = query.softcap, p.slopes = query.slopes;
  p.distance = keys.begin - query.position;
  p.scores = scores;
  p.largest = sums.largest(at), p.total = sums.total(at), p.out = sums.out(at);
  kernels.attend_part(p);
}

void merge_parts(const KernelTable& kernels, const HeadQuery& query, const PartSums& sums,
                 int64_t first, float* to) {
  const int64_t dim = query.head_dim, end = first + query.parts();
  for (int64_t head = 0; head < query.group; ++head) {
    float* out = to + head * dim;
    float largest = -1e30f, total = 0;
    for (int64_t part = first; part < end; ++part) {
      largest = std::max(largest, sums.largest(part)[head]);
    }
    std::fill_n(out, dim, 0.0f);
    for (int64_t part = first; part < end; ++part) {
      const float weight = std::exp(sums.largest(part)[head] - largest);
      total += weight * sums.total(part)[head];
      float* own = sums.out(part) + head * dim;
      if (weight != 1) kernels.scale(own, weight, dim);
      kernels.add(own, out, dim);
    }
    kernels.scale(out, 1 / total, dim);
  }
}

}  // namespace awq::cpu
