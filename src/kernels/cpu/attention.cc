// Attention. Few queries of a sequence: each kv head's keys are cut into parts of fixed length,
// read once for all heads that share them, and merged in order. Many queries: blocks of queries
// against blocks of keys with an online softmax; scores are kept transposed (a lane is a query), so
// that the softmax has no sums across lanes and keys and values are used where they lie.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/check_shapes.h"
#include "kernels/cpu/launch.h"
#include "kernels/cpu/scratch.h"

namespace awq::cpu {
namespace {

constexpr int64_t kFewQueries = 4;
constexpr int64_t kKeyBlock = 64;

int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

// The row of `position` in the keys or values of a head.
const void* kv_row(const KvView& kv, const void* data, int64_t head, int64_t position,
                   int64_t head_dim) {
  const int64_t at = head * kv.head_stride + position * head_dim;
  if (kv.dtype == DType::f32) return static_cast<const float*>(data) + at;
  return static_cast<const uint16_t*>(data) + at;
}

// One query position of one kv head, its keys cut into parts.
struct Decode {
  const Segment* segment;
  int64_t query, kv_head;
  KeyRange keys;
  int64_t first_part, parts;
};

std::vector<Decode> decode_list(const AttentionArgs& args) {
  std::vector<Decode> list;
  int64_t part = 0;
  for (const Segment& segment : args.segments) {
    if (segment.count > kFewQueries) continue;
    for (int64_t query = 0; query < segment.count; ++query) {
      const KeyRange keys = visible_keys(args, segment, segment.past + query);
      const int64_t parts = (keys.end - keys.begin + kPartKeys - 1) / kPartKeys;
      for (int64_t head = 0; head < args.kv_heads; ++head, part += parts) {
        list.push_back({&segment, query, head, keys, part, parts});
      }
    }
  }
  return list;
}

// Partial results: [parts] of maximum [group], total [group], sums [group, head_dim].
struct Partial {
  float* data;
  int64_t group, head_dim;
  int64_t size() const { return round_up(group * (2 + head_dim), 16); }
  float* largest(int64_t part) const { return data + part * size(); }
  float* total(int64_t part) const { return largest(part) + group; }
  float* out(int64_t part) const { return total(part) + group; }
};

void decode_part(const KernelTable& kernels, const AttentionArgs& args, const Decode& item,
                 int64_t part, const Partial& partial) {
  const int64_t group = partial.group, dim = args.head_dim, count = item.keys.end - item.keys.begin;
  const int64_t begin = item.keys.begin + count * part / item.parts;
  const int64_t end = item.keys.begin + count * (part + 1) / item.parts;
  const KvView& kv = item.segment->kv;
  AttendPart p = {};
  p.q = args.q.row(item.segment->first + item.query) + item.kv_head * group * dim;
  p.heads = group, p.head_dim = dim;
  p.k = kv_row(kv, kv.k, item.kv_head, begin, dim);
  p.v = kv_row(kv, kv.v, item.kv_head, begin, dim);
  p.half = kv.dtype == DType::f16 ? 1 : 0;
  p.keys = end - begin;
  p.scale = args.scale, p.softcap = args.softcap;
  p.slopes = args.alibi_slopes.empty() ? nullptr : args.alibi_slopes.data() + item.kv_head * group;
  p.distance = begin - (item.segment->past + item.query);
  p.scores = scratch_of<float>(Scratch::attention, group * kPartKeys);
  p.largest = partial.largest(item.first_part + part);
  p.total = partial.total(item.first_part + part);
  p.out = partial.out(item.first_part + part);
  kernels.attend_part(p);
}

void merge_parts(const KernelTable& kernels, const AttentionArgs& args, const Decode& item,
                 const Partial& partial) {
  const int64_t dim = args.head_dim;
  float* row = args.out.row(item.segment->first + item.query) + item.kv_head * partial.group * dim;
  for (int64_t head = 0; head < partial.group; ++head) {
    float* out = row + head * dim;
    float largest = -1e30f, total = 0;
    for (int64_t part = 0; part < item.parts; ++part) {
      largest = std::max(largest, partial.largest(item.first_part + part)[head]);
    }
    std::fill_n(out, dim, 0.0f);
    for (int64_t part = item.first_part; part < item.first_part + item.parts; ++part) {
      const float weight = std::exp(partial.largest(part)[head] - largest);
      total += weight * partial.total(part)[head];
      float* sums = partial.out(part) + head * dim;
      if (weight != 1) kernels.scale(sums, weight, dim);
      kernels.add(sums, out, dim);
    }
    kernels.scale(out, 1 / total, dim);
  }
}

void decode(const KernelTable& kernels, Device& device, const AttentionArgs& args) {
  const std::vector<Decode> list = decode_list(args);
  if (list.empty()) return;
  const int64_t parts = list.back().first_part + list.back().parts;
  Partial partial = {nullptr, args.heads / args.kv_heads, args.head_dim};
  partial.data = scratch_of<float>(Scratch::partial, parts * partial.size());
  int64_t keys = 0;
  for (const Decode& item : list) keys += item.keys.end - item.keys.begin;
  // The cost of a key, in the unit of for_rows: two multiply-adds a value.
  const int64_t cost = keys * partial.group * args.head_dim / 8 / parts;
  for_rows(device, parts, cost, [&](int64_t begin, int64_t end) {
    auto item = std::upper_bound(list.begin(), list.end(), begin,
                                 [](int64_t part, const Decode& d) { return part < d.first_part; });
    for (int64_t part = begin; part < end; ++part) {
      while (item != list.end() && item->first_part <= part) ++item;
      decode_part(kernels, args, *(item - 1), part - (item - 1)->first_part, partial);
    }
  });
  const auto merges = static_cast<int64_t>(list.size());
  for_rows(device, merges, parts * partial.size() / merges, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      merge_parts(kernels, args, list[static_cast<size_t>(i)], partial);
    }
  });
}

// The working set of a block of queries of one kv head; lane = head of the group * queries + query.
struct QueryBlock {
  const Segment* segment;
  int64_t kv_head, first, count;  // queries of the segment
  int64_t group, lanes, dim, width;  // width: head_dim, padded
  float *q, *scores, *sums, *k, *v, *largest, *total, *correction, *slopes;
  int32_t* position;
};

int64_t queries_per_block(int64_t group) { return std::clamp<int64_t>(96 / group, 8, 64); }

QueryBlock make_block(const AttentionArgs& args, const Segment& segment, int64_t kv_head,
                      int64_t first) {
  QueryBlock b = {};
  b.segment = &segment, b.kv_head = kv_head, b.first = first;
  b.group = args.heads / args.kv_heads, b.dim = args.head_dim, b.width = round_up(b.dim, kPanel);
  b.count = std::min(queries_per_block(b.group), segment.count - first);
  b.lanes = round_up(b.group * b.count, kPanel);
  float* at = scratch_of<float>(Scratch::attention, b.lanes * (b.dim + kKeyBlock + b.width + 5) +
                                                        kKeyBlock * 2 * b.width);
  const auto take = [&at](int64_t count) { return at += count, at - count; };
  b.q = take(b.dim * b.lanes), b.scores = take(kKeyBlock * b.lanes);
  b.sums = take(b.lanes * b.width), b.k = take(kKeyBlock * b.width), b.v = take(kKeyBlock * b.width);
  b.largest = take(b.lanes), b.total = take(b.lanes), b.correction = take(b.lanes);
  b.slopes = take(b.lanes), b.position = reinterpret_cast<int32_t*>(take(b.lanes));
  std::fill_n(b.sums, b.lanes * b.width, 0.0f);
  std::fill_n(b.total, b.lanes, 0.0f);
  std::fill_n(b.largest, b.lanes, -1e30f);
  for (int64_t lane = 0; lane < b.lanes; ++lane) {  // lanes past the end are queries of zeros
    const int64_t head = std::min(lane / b.count, b.group - 1), query = first + lane % b.count;
    const bool used = lane < b.group * b.count;
    b.position[lane] = static_cast<int32_t>(segment.past + query);
    b.slopes[lane] = args.alibi_slopes.empty()
                         ? 0
                         : args.alibi_slopes[static_cast<size_t>(kv_head * b.group + head)];
    const float* q = args.q.row(segment.first + query) + (kv_head * b.group + head) * b.dim;
    for (int64_t i = 0; i < b.dim; ++i) b.q[i * b.lanes + lane] = used ? q[i] : 0;
  }
  return b;
}

// `count` rows as floats, `width` apart: where they lie, or widened and padded into `to`.
const float* rows_as_floats(const KernelTable& kernels, DType dtype, const void* rows, int64_t count,
                            int64_t dim, int64_t width, float* to) {
  if (dtype == DType::f32 && dim == width) return static_cast<const float*>(rows);
  for (int64_t i = 0; i < count; ++i) {
    float* row = to + i * width;
    if (dtype == DType::f32) {
      std::copy_n(static_cast<const float*>(rows) + i * dim, dim, row);
    } else {
      kernels.halves_to_floats(static_cast<const uint16_t*>(rows) + i * dim, dim, row);
    }
    std::fill(row + dim, row + width, 0.0f);
  }
  return to;
}

void attend_keys(const KernelTable& kernels, const AttentionArgs& args, const QueryBlock& b,
                 int64_t first_key, int64_t keys) {
  const KvView& kv = b.segment->kv;
  const float* k = rows_as_floats(kernels, kv.dtype, kv_row(kv, kv.k, b.kv_head, first_key, b.dim),
                                  keys, b.dim, b.width, b.k);
  const float* v = rows_as_floats(kernels, kv.dtype, kv_row(kv, kv.v, b.kv_head, first_key, b.dim),
                                  keys, b.dim, b.width, b.v);
  kernels.product({k, b.width, 1, b.q, b.lanes, b.scores, b.lanes, keys, b.lanes, b.dim, 0});
  SoftmaxBlock block = {};
  block.scores = b.scores, block.keys = keys, block.lanes = b.lanes, block.first_key = first_key;
  block.position = b.position, block.window = args.window;
  // The masks cost a pass of compares: skipped for blocks that every query sees whole.
  block.causal = args.causal && first_key + keys - 1 > b.segment->past + b.first ? 1 : 0;
  block.scale = args.scale, block.softcap = args.softcap;
  block.slopes = args.alibi_slopes.empty() ? nullptr : b.slopes;
  block.largest = b.largest, block.total = b.total, block.correction = b.correction;
  kernels.softmax_block(block);
  for (int64_t lane = 0; lane < b.lanes; ++lane) {
    if (b.correction[lane] != 1) kernels.scale(b.sums + lane * b.width, b.correction[lane], b.width);
  }
  kernels.product({b.scores, 1, b.lanes, v, b.width, b.sums, b.width, b.lanes, b.width, keys, 1});
}

void prefill_block(const KernelTable& kernels, const AttentionArgs& args, const Segment& segment,
                   int64_t kv_head, int64_t first) {
  const QueryBlock b = make_block(args, segment, kv_head, first);
  const int64_t begin = visible_keys(args, segment, segment.past + first).begin;
  const int64_t end = visible_keys(args, segment, segment.past + first + b.count - 1).end;
  for (int64_t key = begin; key < end; key += kKeyBlock) {
    attend_keys(kernels, args, b, key, std::min(kKeyBlock, end - key));
  }
  for (int64_t lane = 0; lane < b.group * b.count; ++lane) {
    const int64_t head = kv_head * b.group + lane / b.count, query = first + lane % b.count;
    float* out = args.out.row(segment.first + query) + head * b.dim;
    const float factor = 1 / b.total[lane];
    for (int64_t i = 0; i < b.dim; ++i) out[i] = b.sums[lane * b.width + i] * factor;
  }
}

}  // namespace

void attention(const KernelTable& kernels, Device& device, const AttentionArgs& args) {
  check_attention(args);
  decode(kernels, device, args);
  const int64_t step = queries_per_block(args.heads / args.kv_heads);
  for (const Segment& segment : args.segments) {
    if (segment.count <= kFewQueries) continue;
    const int64_t blocks = (segment.count + step - 1) / step;
    device.pool().parallel_for(blocks * args.kv_heads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        // The last queries have the most keys: they start first.
        const int64_t block = blocks - 1 - i / args.kv_heads;
        prefill_block(kernels, args, segment, i % args.kv_heads, block * step);
      }
    });
  }
}

}  // namespace awq::cpu
