#include "kernels/check_shapes.h"

#include <algorithm>

namespace awq {

void check_matmul(Matrix x, const PackedWeight& w, Matrix y) {
  AWQ_CHECK(x.cols == w.in && y.cols == w.out && x.rows == y.rows, "x [", x.rows, ", ", x.cols,
            "], weight [", w.out, ", ", w.in, "], y [", y.rows, ", ", y.cols, "]");
}

void check_embed(std::span<const int32_t> ids, const PackedWeight& table, Matrix y) {
  AWQ_CHECK(static_cast<int64_t>(ids.size()) == y.rows && y.cols == table.in, ids.size(), " ids, y [",
            y.rows, ", ", y.cols, "], table columns ", table.in);
  for (const int32_t id : ids) AWQ_CHECK(id >= 0 && id < table.out, id, " of ", table.out);
}

void check_norm(const NormArgs& args) {
  check_same_shape(args.x, args.y);
  AWQ_CHECK(args.heads > 0 && args.x.cols % args.heads == 0, args.x.cols, " / ", args.heads);
  AWQ_CHECK(args.weight != nullptr);
}

void check_rope(const RopeArgs& args) {
  AWQ_CHECK(args.x.cols == args.heads * args.head_dim, args.x.cols, " != ", args.heads, " * ",
            args.head_dim);
  AWQ_CHECK(static_cast<int64_t>(args.positions.size()) == args.x.rows, args.positions.size());
  AWQ_CHECK(args.rotary_dim <= args.head_dim && args.rotary_dim % 2 == 0, args.rotary_dim);
  AWQ_CHECK(static_cast<int64_t>(args.inverse_frequency.size()) == args.rotary_dim / 2,
            args.inverse_frequency.size());
}

static void check_segment(const Segment& segment, int64_t rows, int64_t head_dim) {
  AWQ_CHECK(segment.first >= 0 && segment.count >= 0 && segment.first + segment.count <= rows,
            segment.first, " + ", segment.count, " of ", rows);
  AWQ_CHECK(segment.past >= 0 && (segment.past + segment.count) * head_dim <= segment.kv.head_stride,
            segment.past, " + ", segment.count, " positions of ", head_dim, ", capacity ",
            segment.kv.head_stride);
  const KvView& kv = segment.kv;
  const bool scaled = kv.dtype == DType::i8;
  AWQ_CHECK(scaled || kv.dtype == DType::f32 || kv.dtype == DType::f16, dtype_name(kv.dtype));
  AWQ_CHECK(kv.head_stride % head_dim == 0, kv.head_stride, " / ", head_dim);
  AWQ_CHECK(scaled == (kv.k_scales != nullptr) && scaled == (kv.v_scales != nullptr),
            dtype_name(kv.dtype));
}

void check_kv_append(const KvAppendArgs& args) {
  check_same_shape(args.k, args.v);
  AWQ_CHECK(args.k.cols == args.kv_heads * args.head_dim, args.k.cols);
  for (const Segment& segment : args.segments) check_segment(segment, args.k.rows, args.head_dim);
}

void check_attention(const AttentionArgs& args) {
  check_same_shape(args.q, args.out);
  AWQ_CHECK(args.kv_heads > 0 && args.heads % args.kv_heads == 0, args.heads, " / ", args.kv_heads);
  AWQ_CHECK(args.q.cols == args.heads * args.head_dim, args.q.cols);
  AWQ_CHECK(args.alibi_slopes.empty() || static_cast<int64_t>(args.alibi_slopes.size()) == args.heads,
            args.alibi_slopes.size());
  for (const Segment& segment : args.segments) check_segment(segment, args.q.rows, args.head_dim);
}

void check_score(Matrix logits, std::span<const int32_t> targets) {
  AWQ_CHECK(static_cast<int64_t>(targets.size()) == logits.rows, targets.size(), logits.rows);
  for (const int32_t target : targets) {
    AWQ_CHECK(target >= 0 && target < logits.cols, target, logits.cols);
  }
}

void check_same_shape(Matrix a, Matrix b) {
  AWQ_CHECK(a.rows == b.rows && a.cols == b.cols, "[", a.rows, ", ", a.cols, "] and [", b.rows, ", ",
            b.cols, "]");
}

void check_rows(Matrix many, std::span<const int32_t> rows, Matrix few) {
  AWQ_CHECK(static_cast<int64_t>(rows.size()) == few.rows && many.cols == few.cols, rows.size(),
            " rows, [", few.rows, ", ", few.cols, "] of ", many.cols, " columns");
  for (const int32_t row : rows) AWQ_CHECK(row >= 0 && row < many.rows, row, " of ", many.rows);
}

void check_float_weight(const FloatWeight& weight) {
  AWQ_CHECK(weight.dtype == DType::f32 || weight.dtype == DType::f16 || weight.dtype == DType::bf16,
            dtype_name(weight.dtype));
  AWQ_CHECK(weight.out > 0 && weight.in > 0, weight.out, " x ", weight.in);
}

// `codes` of them where `expected` are due, and all else of the weight.
static void check_quant(const QuantWeight& weight, size_t codes, size_t expected) {
  const int bits = weight.format.bits;
  AWQ_CHECK(bits == 2 || bits == 3 || bits == 4 || bits == 8, bits);
  AWQ_CHECK(weight.out > 0 && weight.in > 0, weight.out, " x ", weight.in);
  const auto groups = static_cast<size_t>(weight.out * weight.groups());
  AWQ_CHECK(codes == expected && weight.scales.size() == groups && weight.zeros.size() == groups,
            codes, ", ", weight.scales.size(), ", ", weight.zeros.size(), " for ", weight.out, " x ",
            weight.in, " ", format_name(weight.format));
}

void check_quant_weight(const QuantWeight& weight) {
  check_quant(weight, weight.codes.size(), static_cast<size_t>(weight.out * weight.in));
}

void check_quant_words(const QuantWeight& facts, const QuantWords& words) {
  const int bits = facts.format.bits;
  const bool awq = words.order == QuantWords::Order::awq;
  AWQ_CHECK(facts.codes.empty(), facts.codes.size());
  AWQ_CHECK(!awq || (bits == 4 && facts.out % 8 == 0), bits, ", ", facts.out);
  const int64_t count =
      awq ? facts.in * (facts.out / 8) : (facts.in * bits + 31) / 32 * facts.out;
  check_quant(facts, static_cast<size_t>(words.count), static_cast<size_t>(count));
}

KeyRange visible_keys(const AttentionArgs& args, const Segment& segment, int64_t position) {
  const int64_t end = args.causal ? position + 1 : segment.past + segment.count;
  const int64_t begin = args.window == 0 ? 0 : std::max<int64_t>(0, position - args.window + 1);
  return {std::min(begin, end), end};
}

}  // namespace awq
