// What the files of cpu/isa/ offer to the launchers of cpu/: plain functions on pointers, one table
// per instruction set. Those files are compiled with wider instructions than the rest, so nothing
// that the linker may merge across files (inline functions, templates of std or of ours) may be
// compiled there: this header holds plain data only, they include no other header of ours and
// nothing of std, and all that they define sits in an unnamed namespace. The test isa_symbols
// checks the object files.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace awq::cpu {

constexpr int kPanel = 16;       ///< output rows stored side by side
constexpr int kUnit = 16;        ///< inputs packed together
constexpr int kMaxBlock = 128;   ///< inputs that share an activation scale: int32 sums stay exact
constexpr int kVectorRows = 8;   ///< most rows of x that the matrix-vector kernels take
constexpr int kPartKeys = 256;   ///< keys that one part of a decode attention covers

/// How the inputs of a quantized row are cut: blocks never cross a group and hold at most kMaxBlock
/// inputs, padded to whole units.
struct BlockList {
  int32_t count;
  int32_t units;          ///< of all blocks
  const int32_t* begin;   ///< [count] first input
  const int32_t* length;  ///< [count] inputs
  const int32_t* unit;    ///< [count + 1] first unit
};

/// 16 rows of a quantized weight.
struct QuantPanel {
  const uint8_t* codes;    ///< [units], each of unit_bytes(bits)
  const uint16_t* scales;  ///< [blocks, 16] halves
  const uint8_t* zeros;    ///< [blocks, 16]
};

/// Activations as integers in planes of signed bytes: x = scale * code within a block, the code being
/// the one plane's byte (8 bits), or 256 times the first plane's byte plus the second's (16 bits).
/// Where an outlier is so large that 16 bits would drown the rest of its block, a second code holds
/// what the first left over: x = scale * code + rest scale * rest code.
struct IntRows {
  int8_t* codes;       ///< row r, plane p, input i of unit u at r * stride + p * units * 16 + u * 16 + i
  int8_t* rest;        ///< likewise; set in blocks with a rest scale only
  int64_t stride;      ///< bytes
  int planes;          ///< 1 or 2
  float* scales;       ///< [rows, blocks]
  float* rest_scales;  ///< [rows, blocks], 0 = no rest
  int32_t* rests;      ///< [rows] blocks with a rest
  int32_t* minus;      ///< [rows, blocks] sums of the codes, as the instruction set wants them
  int32_t* rest_minus;
};

/// One tile of an integer product: acc [tokens, lanes] += x * w.
struct IntTile {
  const int32_t* weights;  ///< [quads, lanes]: four codes (a byte each) of consecutive inputs
  const int32_t* zeros;    ///< [blocks, lanes]
  const float* scales;     ///< [blocks, lanes]; all three from `first_block` on
  IntRows x;               ///< rows of the tile
  int wide;                ///< codes of more than 4 bits
  int tokens, lanes;       ///< lanes: 16, or tile_lanes
  int first_block, end_block;
  float* acc;              ///< [tokens, lanes]
};

/// c [m, n] (+)= a b: a(i, k) at a[i * a_row + k * a_col], b(k, j) at b[k * b_row + j], n a multiple
/// of 16.
struct FloatProduct {
  const float* a;
  int64_t a_row, a_col;
  const float* b;
  int64_t b_row;
  float* c;
  int64_t c_row;
  int64_t m, n, k;
  int accumulate;
};

enum KvFormat { kKvFloat, kKvHalf, kKvCode };

/// Some keys against one query position of all heads that share a kv head.
struct AttendPart {
  const float* q;       ///< [heads, head_dim]
  int64_t heads, head_dim;
  const void* k;        ///< [keys, head_dim]
  const void* v;
  int format;           ///< of keys and values: a KvFormat
  const float* k_scales;  ///< [keys] of codes
  const float* v_scales;
  int64_t keys;         ///< <= kPartKeys
  float scale, softcap;
  const float* slopes;  ///< [heads] or null
  int64_t distance;     ///< first key - query
  float* scores;        ///< [heads, kPartKeys] scratch
  float* largest;       ///< [heads] out: the maximum
  float* total;         ///< [heads] out: sum of exp(score - maximum)
  float* out;           ///< [heads, head_dim] out: sum of exp(score - maximum) * v
};

/// Online softmax of one block of keys, transposed: scores [keys, lanes], a lane is a query.
struct SoftmaxBlock {
  float* scores;             ///< in: products; out: exp(score - largest)
  int64_t keys, lanes;       ///< lanes a multiple of 16
  int64_t first_key;
  const int32_t* position;   ///< [lanes]
  int causal;
  int64_t window;
  float scale, softcap;
  const float* slopes;       ///< [lanes] or null
  float* largest;            ///< [lanes] in and out
  float* total;              ///< [lanes] in and out
  float* correction;         ///< [lanes] out: what earlier sums are multiplied by
};

struct NormVector {
  const float* x;
  float* y;
  int64_t dim;
  int layer;  ///< else rms
  const float* weight;
  const float* bias;  ///< or null
  float epsilon, weight_offset;
};

enum FloatFormat { kFloat32, kFloat16, kBfloat16, kFloatFormats };
enum CodeFormat { kInt2, kInt3, kInt4, kInt8, kCodeFormats };

struct KernelTable {
  int tile_tokens, tile_lanes;  ///< of the integer tile
  int planes;                   ///< of bytes that inputs of products with codes are rounded to (IntRows)

  // out [rows, 16] = x [rows, in] times a panel [in, 16]; rows <= kVectorRows
  void (*float_vector[kFloatFormats])(const void* panel, int64_t in, const float* x, int64_t x_row,
                                      int rows, float* out);
  /// to [count, stride] floats from a panel's [count, 16]
  void (*widen[kFloatFormats])(const void* panel, int64_t count, float* to, int64_t stride);
  void (*product)(const FloatProduct&);

  void (*quantize)(const float* x, const BlockList&, const IntRows& row);
  void (*quant_vector[kCodeFormats])(const QuantPanel&, const BlockList&, const IntRows& x, int rows,
                                     float* out);
  /// weights, zeros and scales of a tile (IntTile), `stride` lanes apart, for some blocks of a panel
  void (*unpack[kCodeFormats])(const QuantPanel&, const BlockList&, int first_block, int end_block,
                               int32_t* weights, int32_t* zeros, float* scales, int64_t stride);
  void (*int_tile)(const IntTile&, const BlockList&);

  void (*attend_part)(const AttendPart&);
  void (*softmax_block)(const SoftmaxBlock&);
  void (*halves_to_floats)(const uint16_t* from, int64_t count, float* to);
  void (*floats_to_halves)(const float* from, int64_t count, uint16_t* to);
  /// One vector of a KV cache of codes (ops.h, KvView), and back.
  void (*floats_to_codes)(const float* from, int64_t count, int8_t* to, float* scale);
  void (*codes_to_floats)(const int8_t* from, float scale, int64_t count, float* to);

  void (*norm)(const NormVector&);
  void (*rotate_half)(float* x, int64_t half, const float* cos, const float* sin);
  /// cos and sin [2 * pairs]: each twice, the first of the two sines negated
  void (*rotate_pairs)(float* x, int64_t count, const float* cos, const float* sin);
  /// y = act(x) * up, or act(x) where up is null; kind as in enum Activation
  void (*activate)(int kind, const float* x, const float* up, float* y, int64_t count);
  void (*add)(const float* x, float* y, int64_t count);
  void (*multiply)(const float* x, const float* s, float* y, int64_t count);
  void (*scale)(float* x, float s, int64_t count);
  void (*softcap)(float* x, float c, int64_t count);
  int64_t (*argmax)(const float* x, int64_t count);
  /// sum of e^(x - most)
  double (*sum_exp)(const float* x, float most, int64_t count);
  /// sum of e^(p - log_sum) (p - q)
  double (*mean_difference)(const float* p, const float* q, double log_sum, int64_t count);
  void (*abs_sum)(const float* x, double* sums, int64_t count);
  double (*dot)(const float* a, const float* b, int64_t count);
  uint64_t (*read)(const void* data, size_t bytes);
};

#if defined(__x86_64__)
extern const KernelTable kAvx2Table;
extern const KernelTable kAvxVnniTable;
extern const KernelTable kAvx512Table;
extern const KernelTable kAvx512VnniTable;
#elif defined(__aarch64__)
extern const KernelTable kNeonTable;
extern const KernelTable kNeonDotTable;
#endif

}  // namespace awq::cpu
