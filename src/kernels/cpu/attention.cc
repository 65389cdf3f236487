// Attention. Few queries of a sequence: each kv head's keys are cut into parts of fixed length,
// read once for all heads that share them, and merged in order. Many queries: blocks of queries
// against blocks of keys with an online softmax; scores are kept transposed (a lane is a query), so
// that the softmax has no sums across lanes and keys and values are used where they lie.
#include <algorithm>
#include <vector>

#include "kernels/check_shapes.h"
#include "kernels/cpu/head_query.h"
#include "kernels/cpu/launch.h"
#include "kernels/cpu/scratch.h"

namespace awq::cpu {
namespace {

constexpr int64_t kFewQueries = kVectorRows;  // so that a checked guess gets the bits of a decoded token
constexpr int64_t kKeyBlock = 64;

int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

// One query position of one kv head, and the place of its first part among all parts.
struct Decode {
  HeadQuery query;
  float* out;
  int64_t first_part;
};

std::vector<Decode> decode_list(const AttentionArgs& args) {
  const int64_t group = args.heads / args.kv_heads;
  std::vector<Decode> list;
  int64_t part = 0;
  for (const Segment& segment : args.segments) {
    if (segment.count > kFewQueries) continue;
    for (int64_t row = 0; row < segment.count; ++row) {
      HeadQuery query;
      query.group = group, query.head_dim = args.head_dim;
      query.kv = &segment.kv;
      query.position = segment.past + row;
      query.keys = visible_keys(args, segment, query.position);
      query.scale = args.scale, query.softcap = args.softcap;
      for (int64_t head = 0; head < args.kv_heads; ++head, part += query.parts()) {
        const int64_t column = head * group * args.head_dim;
        query.q = args.q.row(segment.first + row) + column;
        query.kv_head = head;
        query.slopes = args.alibi_slopes.empty() ? nullptr : args.alibi_slopes.data() + head * group;
        list.push_back({query, args.out.row(segment.first + row) + column, part});
      }
    }
  }
  return list;
}

void decode(const KernelTable& kernels, Device& device, const AttentionArgs& args) {
  const std::vector<Decode> list = decode_list(args);
  if (list.empty()) return;
  const int64_t parts = list.back().first_part + list.back().query.parts();
  PartSums sums = {nullptr, args.heads / args.kv_heads, args.head_dim};
  sums.data = scratch_of<float>(Scratch::partial, parts * sums.size());
  int64_t keys = 0;
  for (const Decode& item : list) keys += item.query.keys.end - item.query.keys.begin;
  // The cost of a key, in the unit of for_rows: two multiply-adds a value.
  const int64_t cost = keys * sums.group * args.head_dim / 8 / parts;
  for_rows(device, parts, cost, [&](int64_t begin, int64_t end) {
    auto item = std::upper_bound(list.begin(), list.end(), begin,
                                 [](int64_t part, const Decode& d) { return part < d.first_part; });
    for (int64_t part = begin; part < end; ++part) {
      while (item != list.end() && item->first_part <= part) ++item;
      const Decode& of = *(item - 1);
      attend_part(kernels, of.query, part - of.first_part,
                  scratch_of<float>(Scratch::attention, of.query.score_count()), sums, part);
    }
  });
  const auto merges = static_cast<int64_t>(list.size());
  for_rows(device, merges, parts * sums.size() / merges, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Decode& of = list[static_cast<size_t>(i)];
      merge_parts(kernels, of.query, sums, of.first_part, of.out);
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

// The keys or values `data` of `count` positions as floats, `width` apart: where they lie, or widened
// and padded into `to`.
const float* rows_as_floats(const KernelTable& kernels, const QueryBlock& b, const void* data,
                            const float* scales, int64_t first, int64_t count, float* to) {
  const KvView& kv = b.segment->kv;
  const void* rows = kv_row(kv, data, b.kv_head, first, b.dim);
  if (kv.dtype == DType::f32 && b.dim == b.width) return static_cast<const float*>(rows);
  for (int64_t i = 0; i < count; ++i) {
    float* row = to + i * b.width;
    if (kv.dtype == DType::f32) {
      std::copy_n(static_cast<const float*>(rows) + i * b.dim, b.dim, row);
    } else if (kv.dtype == DType::f16) {
      kernels.halves_to_floats(static_cast<const uint16_t*>(rows) + i * b.dim, b.dim, row);
    } else {
      kernels.codes_to_floats(static_cast<const int8_t*>(rows) + i * b.dim,
                              kv_scale(kv, scales, b.kv_head, first, b.dim)[i], b.dim, row);
    }
    std::fill(row + b.dim, row + b.width, 0.0f);
  }
  return to;
}

void attend_keys(const KernelTable& kernels, const AttentionArgs& args, const QueryBlock& b,
                 int64_t first_key, int64_t keys) {
  const KvView& kv = b.segment->kv;
  const float* k = rows_as_floats(kernels, b, kv.k, kv.k_scales, first_key, keys, b.k);
  const float* v = rows_as_floats(kernels, b, kv.v, kv.v_scales, first_key, keys, b.v);
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
