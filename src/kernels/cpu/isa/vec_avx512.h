// The vector words for AVX-512 (F, BW, VL, DQ). Included inside an unnamed namespace.
constexpr int kLanes = 16;
constexpr int kTileTokens = 12;  // 12 x 2 accumulators, 2 weights, 1 activation of 32 registers
constexpr int kTileVecs = 2;
constexpr int kMostRows = 8;     // of x against one panel

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
inline void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

// Words of the products with codes (quant_product.inc).
// The bits of a unit's third bits: quad q's at bit q of each byte. 32 bytes hold rows 0-7 in the low
// halves of bytes, rows 8-15 in the high ones.
inline I load_third_bits(const uint8_t* p, int) {
  const I both = _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return _mm512_srlv_epi32(both, _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4));
}
#if defined(__AVX512VNNI__)
#define AWQ_DOT_QUADS
// Each lane: acc + the products of four unsigned with four signed bytes.
inline I dot_quad(I acc, I codes, I x) {
  // Not the intrinsic: around it GCC 12 stores every sum of a large tile in every step.
  asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(codes), "v"(x));
  return acc;
}
#else
inline I add_shorts(I a, I b) { return _mm512_add_epi16(a, b); }
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
