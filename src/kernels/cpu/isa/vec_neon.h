// The vector words for NEON of 64-bit ARM. Included inside an unnamed namespace.
constexpr int kLanes = 4;
constexpr int kTileTokens = 6;  // 6 x 4 accumulators, 4 weights, 1 activation of 32 registers
constexpr int kTileVecs = 4;
constexpr int kVectorTokens = 2; // of a product with codes: as many times 8 accumulators

using F = float32x4_t;
using I = int32x4_t;
using Mask = uint32x4_t;

inline F zero() { return vdupq_n_f32(0); }
inline F set1(float x) { return vdupq_n_f32(x); }
inline F load(const float* p) { return vld1q_f32(p); }
inline void store(float* p, F v) { vst1q_f32(p, v); }
inline void store_some(float* p, int64_t n, F v) {
  if (n >= 4) return store(p, v);
  float padded[4];
  store(padded, v);
  for (int i = 0; i < n; ++i) p[i] = padded[i];
}
inline F load(const uint16_t* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
template <class T>
inline F load_some(const T* p, int64_t n) {
  if (n >= 4) return load(p);
  T padded[4] = {};
  for (int i = 0; i < n; ++i) padded[i] = p[i];
  return load(padded);
}
inline void store_some(uint16_t* p, int64_t n, F v) {
  const uint16x4_t halves = vreinterpret_u16_f16(vcvt_f16_f32(v));
  if (n >= 4) return vst1_u16(p, halves);
  uint16_t padded[4];
  vst1_u16(padded, halves);
  for (int i = 0; i < n; ++i) p[i] = padded[i];
}
inline F load_some(const int8_t* p, int64_t n) {
  int8_t padded[8] = {};
  for (int i = 0; i < 4 && i < n; ++i) padded[i] = p[i];
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vld1_s8(padded)))));
}
inline F load(const int8_t* p) { return load_some(p, 4); }
inline void store_some(int8_t* p, int64_t n, F v) {  // |v| < 128, to the nearest even
  int32_t codes[4];
  vst1q_s32(codes, vcvtnq_s32_f32(v));
  for (int i = 0; i < 4 && i < n; ++i) p[i] = static_cast<int8_t>(codes[i]);
}
inline F load_bfloat(const uint16_t* p) {
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}

inline F add(F a, F b) { return vaddq_f32(a, b); }
inline F sub(F a, F b) { return vsubq_f32(a, b); }
inline F mul(F a, F b) { return vmulq_f32(a, b); }
inline F div(F a, F b) { return vdivq_f32(a, b); }
// b where either is NaN, as on other machines; vmaxq would keep a's.
inline F max(F a, F b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
inline F min(F a, F b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
inline F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
inline F fnma(F a, F b, F c) { return vfmsq_f32(c, a, b); }
inline F round(F a) { return vrndnq_f32(a); }
inline F abs(F a) { return vabsq_f32(a); }
inline F times_power_of_two(F a, F n) {  // n in [-250, 250], in two steps: 2^n itself may overflow
  const I whole = vcvtnq_s32_f32(n), half = vshrq_n_s32(whole, 1), bias = vdupq_n_s32(127);
  const I rest = vsubq_s32(whole, half);
  const F first = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23));
  const F second = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, bias), 23));
  return vmulq_f32(vmulq_f32(a, first), second);
}
inline Mask less(F a, F b) { return vcltq_f32(a, b); }
inline Mask equal(F a, F b) { return vceqq_f32(a, b); }
inline uint32_t bits_of(Mask m) {
  constexpr uint32_t kBits[] = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(m, vld1q_u32(kBits)));
}
inline F select(Mask m, F yes, F no) { return vbslq_f32(m, yes, no); }
inline F swap_pairs(F a) { return vrev64q_f32(a); }
inline float sum(F a) { return vaddvq_f32(a); }
inline float largest(F a) {
  const F b = max(a, vextq_f32(a, a, 2));
  return vgetq_lane_f32(max(b, vrev64q_f32(b)), 0);
}

inline I load_int(const void* p) { return vld1q_s32(static_cast<const int32_t*>(p)); }
inline void store_int(void* p, I v) { vst1q_s32(static_cast<int32_t*>(p), v); }
inline I zero_int() { return vdupq_n_s32(0); }
inline I set1_int(int32_t x) { return vdupq_n_s32(x); }
inline I load_bytes(const uint8_t* p) {  // to 32 bits
  uint32_t bytes;
  __builtin_memcpy(&bytes, p, 4);
  const uint16x8_t shorts = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(bytes)));
  return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(shorts)));
}
inline I add_int(I a, I b) { return vaddq_s32(a, b); }
inline I sub_int(I a, I b) { return vsubq_s32(a, b); }
inline I max_int(I a, I b) { return vmaxq_s32(a, b); }
inline I bit_and(I a, I b) { return vandq_s32(a, b); }
inline I bit_or(I a, I b) { return vorrq_s32(a, b); }
inline I bit_xor(I a, I b) { return veorq_s32(a, b); }
inline I shift_right(I a, int n) {
  return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vdupq_n_s32(-n)));
}
inline I shift_right_signed(I a, int n) { return vshlq_s32(a, vdupq_n_s32(-n)); }
inline I shift_left(I a, int n) { return vshlq_s32(a, vdupq_n_s32(n)); }
inline I as_int(F a) { return vreinterpretq_s32_f32(a); }
inline I to_int(F a) { return vcvtnq_s32_f32(a); }
inline F to_float(I a) { return vcvtq_f32_s32(a); }
inline int32_t sum(I a) { return vaddvq_s32(a); }
inline int32_t largest(I a) { return vmaxvq_s32(a); }
inline void store_shorts(int16_t* p, I v) { vst1_s16(p, vqmovn_s32(v)); }
inline I load_codes(const int8_t* p, int64_t n) {  // to 16 bits, 0 from n on
  if (n >= 8) return vreinterpretq_s32_s16(vmovl_s8(vld1_s8(p)));
  int8_t padded[8] = {};
  for (int i = 0; i < n; ++i) padded[i] = p[i];
  return vreinterpretq_s32_s16(vmovl_s8(vld1_s8(padded)));
}
// Each lane: acc + a.low * b.low + a.high * b.high of signed 16-bit halves.
inline I dot_pairs(I acc, I a, I b) {
  const int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
  const int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(y));
  return vaddq_s32(acc, vpaddq_s32(low, vmull_high_s16(x, y)));
}
inline void store_bytes(int8_t* p, I v) {
  const int16x4_t shorts = vmovn_s32(v);
  const int8x8_t bytes = vmovn_s16(vcombine_s16(shorts, shorts));
  const int32_t word = vget_lane_s32(vreinterpret_s32_s8(bytes), 0);
  __builtin_memcpy(p, &word, 4);
}
// Never out of line: GCC takes such a function for one without effects and drops its calls.
__attribute__((always_inline)) inline void prefetch(const void* p) { __builtin_prefetch(p); }

// Words of the products with codes (quant_product.inc). The dot takes signed bytes: codes of 8 bits,
// and their zeros, are held less 128.
inline I load_codes(const uint8_t* p) {
  return vreinterpretq_s32_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(0x80)));
}
template <int kFormat>
inline I load_zeros(const uint8_t* p) {
  const I z = load_bytes(p);
  return kFormat == kInt8 ? vsubq_s32(z, vdupq_n_s32(128)) : z;
}
// What add_zeros takes of a block's sums of bytes.
inline int32_t minus_sums(int32_t high, int32_t low) { return -(256 * high + low); }
// acc - z * (256 * sum of the high bytes + sum of the low bytes)
inline I add_zeros(I acc, I zeros, I minus) { return vmlaq_s32(acc, zeros, minus); }
inline I bit_select(I mask, I yes, I no) {
  return vbslq_s32(vreinterpretq_u32_s32(mask), yes, no);
}
// Four quads of inputs.
inline I load_unit(const int8_t* p) { return vreinterpretq_s32_s8(vld1q_s8(p)); }
// Lane s is the sum of set s.
inline I add_sets(I a, I b, I c, I d) { return vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)); }
// Lane s of quad q is lane q of set s.
inline void transpose_sets(I (&v)[4]) {
  const int64x2_t ab0 = vreinterpretq_s64_s32(vtrn1q_s32(v[0], v[1]));
  const int64x2_t ab1 = vreinterpretq_s64_s32(vtrn2q_s32(v[0], v[1]));
  const int64x2_t cd0 = vreinterpretq_s64_s32(vtrn1q_s32(v[2], v[3]));
  const int64x2_t cd1 = vreinterpretq_s64_s32(vtrn2q_s32(v[2], v[3]));
  v[0] = vreinterpretq_s32_s64(vtrn1q_s64(ab0, cd0)), v[1] = vreinterpretq_s32_s64(vtrn1q_s64(ab1, cd1));
  v[2] = vreinterpretq_s32_s64(vtrn2q_s64(ab0, cd0)), v[3] = vreinterpretq_s32_s64(vtrn2q_s64(ab1, cd1));
}
constexpr bool kDotsInPlace = false;  // a code's eighth bit is its sign
#define AWQ_DOT_QUADS
// Each lane: acc + the products of four signed bytes.
inline I dot_quad(I acc, I codes, I x) {
  const int8x16_t a = vreinterpretq_s8_s32(codes), b = vreinterpretq_s8_s32(x);
#if defined(__ARM_FEATURE_DOTPROD)
  return vdotq_s32(acc, a, b);
#else
  const I low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)));
  const I high = vpaddlq_s16(vmull_high_s8(a, b));
  return vaddq_s32(acc, vpaddq_s32(low, high));
#endif
}

// Lane i of the result is the sum of v[i].
inline F sum_each(const F (&v)[kLanes]) {
  return vpaddq_f32(vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3]));
}
inline void add_to_doubles(double* p, F v) {
  vst1q_f64(p, vaddq_f64(vld1q_f64(p), vcvt_f64_f32(vget_low_f32(v))));
  vst1q_f64(p + 2, vaddq_f64(vld1q_f64(p + 2), vcvt_high_f64_f32(v)));
}
