// The vector words for AVX-512 (F, BW, VL, DQ). Included inside an unnamed namespace.
constexpr int kLanes = 16;
constexpr int kTileTokens = 12;  // 12 x 2 accumulators, 2 weights, 1 activation of 32 registers
constexpr int kTileVecs = 2;
constexpr int kVectorTokens = 3; // of a product with codes: as many times 8 accumulators

using F = __m512;
using I = __m512i;
using Mask = __mmask16;

inline Mask first_lanes(int64_t n) {
  return n >= 16 ? Mask(0xFFFF) : static_cast<Mask>((1u << n) - 1);
}
inline F zero() { return _mm512_setzero_ps(); }
inline F set1(float x) { return _mm512_set1_ps(x); }
inline F load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, F v) { _mm512_storeu_ps(p, v); }
inline F load_some(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
inline void store_some(float* p, int64_t n, F v) { _mm512_mask_storeu_ps(p, first_lanes(n), v); }
inline F load(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline F load_some(const uint16_t* p, int64_t n) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}
inline void store_some(uint16_t* p, int64_t n, F v) {
  _mm256_mask_storeu_epi16(p, first_lanes(n), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
inline F load_bfloat(const uint16_t* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

inline F load(const int8_t* p) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
inline F load_some(const int8_t* p, int64_t n) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(first_lanes(n), p)));
}
inline void store_some(int8_t* p, int64_t n, F v) {  // |v| < 128, to the nearest even
  _mm512_mask_cvtepi32_storeu_epi8(p, first_lanes(n), _mm512_cvtps_epi32(v));
}

inline F add(F a, F b) { return _mm512_add_ps(a, b); }
inline F sub(F a, F b) { return _mm512_sub_ps(a, b); }
inline F mul(F a, F b) { return _mm512_mul_ps(a, b); }
inline F div(F a, F b) { return _mm512_div_ps(a, b); }
inline F max(F a, F b) { return _mm512_max_ps(a, b); }  // b where either is NaN
inline F min(F a, F b) { return _mm512_min_ps(a, b); }
inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
inline F fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }
inline F round(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT); }
inline F abs(F a) { return _mm512_abs_ps(a); }
inline F times_power_of_two(F a, F n) { return _mm512_scalef_ps(a, n); }
inline Mask less(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
inline Mask equal(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
inline uint32_t bits_of(Mask m) { return m; }
inline F select(Mask m, F yes, F no) { return _mm512_mask_blend_ps(m, no, yes); }
inline F swap_pairs(F a) { return _mm512_permute_ps(a, 0xB1); }
inline float sum(F a) { return _mm512_reduce_add_ps(a); }
inline float largest(F a) { return _mm512_reduce_max_ps(a); }

inline I load_int(const void* p) { return _mm512_loadu_si512(p); }
inline void store_int(void* p, I v) { _mm512_storeu_si512(p, v); }
inline I zero_int() { return _mm512_setzero_si512(); }
inline I set1_int(int32_t x) { return _mm512_set1_epi32(x); }
inline I load_bytes(const uint8_t* p) {  // to 32 bits
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline I load_codes(const int8_t* p, int64_t n) {  // to 16 bits, 0 from n on
  const __m256i codes = n >= 32 ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))
                                : _mm256_maskz_loadu_epi8((1u << n) - 1, p);
  return _mm512_cvtepi8_epi16(codes);
}
inline I add_int(I a, I b) { return _mm512_add_epi32(a, b); }
inline I sub_int(I a, I b) { return _mm512_sub_epi32(a, b); }
inline I max_int(I a, I b) { return _mm512_max_epi32(a, b); }
inline I bit_and(I a, I b) { return _mm512_and_si512(a, b); }
inline I bit_or(I a, I b) { return _mm512_or_si512(a, b); }
inline I bit_xor(I a, I b) { return _mm512_xor_si512(a, b); }
inline I shift_right(I a, int n) { return _mm512_srli_epi32(a, static_cast<unsigned>(n)); }
inline I shift_right_signed(I a, int n) { return _mm512_srai_epi32(a, static_cast<unsigned>(n)); }
inline I shift_left(I a, int n) { return _mm512_slli_epi32(a, static_cast<unsigned>(n)); }
inline I as_int(F a) { return _mm512_castps_si512(a); }
inline I to_int(F a) { return _mm512_cvtps_epi32(a); }
inline F to_float(I a) { return _mm512_cvtepi32_ps(a); }
inline int32_t sum(I a) { return _mm512_reduce_add_epi32(a); }
inline int32_t largest(I a) { return _mm512_reduce_max_epi32(a); }
inline void store_shorts(int16_t* p, I v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtsepi32_epi16(v));  // saturates
}
// Each lane: acc + a.low * b.low + a.high * b.high of signed 16-bit halves.
inline I dot_pairs(I acc, I a, I b) {
#if defined(__AVX512VNNI__)
  return _mm512_dpwssd_epi32(acc, a, b);
#else
  return _mm512_add_epi32(acc, _mm512_madd_epi16(a, b));
#endif
}
inline void store_bytes(int8_t* p, I v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(v));
}
// Never out of line: GCC takes such a function for one without effects and drops its calls.
__attribute__((always_inline)) inline void prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}

// Words of the products with codes (quant_product.inc).
inline I bit_select(I mask, I yes, I no) { return _mm512_ternarylogic_epi32(mask, yes, no, 0xCA); }
// Four quads of inputs for all four rows of a set.
inline I load_unit(const int8_t* p) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
// Lane 4 r + s is the sum of lanes 4 r to 4 r + 3 of set s.
inline I add_sets(I a, I b, I c, I d) {
  const I ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const I cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}
template <int kA, int kB, int kC, int kD>
inline I shift_sets(I a) {  // signed
  return _mm512_srav_epi32(a, _mm512_set4_epi32(kD, kC, kB, kA));
}
// Lane 4 r + s of quad q is lane 4 r + q of set s.
inline void transpose_sets(I (&v)[4]) {
  const I ab0 = _mm512_unpacklo_epi32(v[0], v[1]), ab1 = _mm512_unpackhi_epi32(v[0], v[1]);
  const I cd0 = _mm512_unpacklo_epi32(v[2], v[3]), cd1 = _mm512_unpackhi_epi32(v[2], v[3]);
  v[0] = _mm512_unpacklo_epi64(ab0, cd0), v[1] = _mm512_unpackhi_epi64(ab0, cd0);
  v[2] = _mm512_unpacklo_epi64(ab1, cd1), v[3] = _mm512_unpackhi_epi64(ab1, cd1);
}
#if defined(__AVX512VNNI__)
#define AWQ_DOT_QUADS
constexpr bool kDotsInPlace = true;  // all eight bits of a code count
// Each lane: acc + the products of four unsigned with four signed bytes.
inline I dot_quad(I acc, I codes, I x) {
  // Not the intrinsic: around it GCC 12 stores every sum of a large tile in every step.
  asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(codes), "v"(x));
  return acc;
}
#else
constexpr bool kDotsInPlace = false;
inline I add_shorts(I a, I b) { return _mm512_add_epi16(a, b); }
inline void add_to_shorts(I& acc, I b) {  // in place: GCC 12 copies every sum of a loop otherwise
  asm("vpaddw %1, %0, %0" : "+v"(acc) : "v"(b));
}
// 16-bit halves of a lane: two products of unsigned with signed bytes each. Saturates.
inline I dot_bytes(I codes, I x) { return _mm512_maddubs_epi16(codes, x); }
#endif

// Lane i of the result is the sum of v[i].
inline F sum_each(const F (&v)[kLanes]) {
  F quads[4];
  AWQ_UNROLL for (int i = 0; i < 4; ++i) {
    const F a = _mm512_add_ps(_mm512_unpacklo_ps(v[4 * i], v[4 * i + 1]),
                              _mm512_unpackhi_ps(v[4 * i], v[4 * i + 1]));
    const F b = _mm512_add_ps(_mm512_unpacklo_ps(v[4 * i + 2], v[4 * i + 3]),
                              _mm512_unpackhi_ps(v[4 * i + 2], v[4 * i + 3]));
    quads[i] = _mm512_castpd_ps(
        _mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
    quads[i] = _mm512_add_ps(quads[i], _mm512_castpd_ps(_mm512_unpackhi_pd(
                                           _mm512_castps_pd(a), _mm512_castps_pd(b))));
  }
  const F low = _mm512_add_ps(_mm512_shuffle_f32x4(quads[0], quads[1], 0x88),
                              _mm512_shuffle_f32x4(quads[0], quads[1], 0xDD));
  const F high = _mm512_add_ps(_mm512_shuffle_f32x4(quads[2], quads[3], 0x88),
                               _mm512_shuffle_f32x4(quads[2], quads[3], 0xDD));
  return _mm512_add_ps(_mm512_shuffle_f32x4(low, high, 0x88),
                       _mm512_shuffle_f32x4(low, high, 0xDD));
}
inline void add_to_doubles(double* p, F v) {
  _mm512_storeu_pd(p, _mm512_add_pd(_mm512_loadu_pd(p),
                                    _mm512_cvtps_pd(_mm512_castps512_ps256(v))));
  _mm512_storeu_pd(p + 8, _mm512_add_pd(_mm512_loadu_pd(p + 8),
                                        _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1))));
}
