// The vector words for AVX2 with FMA and F16C. Included inside an unnamed namespace.
constexpr int kLanes = 8;
constexpr int kTileTokens = 6;  // 6 x 2 accumulators, 2 weights, 1 activation of 16 registers
constexpr int kTileVecs = 2;
constexpr int kVectorTokens = 1; // of a product with codes: as many times 8 accumulators

using F = __m256;
using I = __m256i;
using Mask = __m256;

inline I lane_mask(int64_t n) {
  const I lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > 8 ? 8 : static_cast<int>(n)), lanes);
}
inline F zero() { return _mm256_setzero_ps(); }
inline F set1(float x) { return _mm256_set1_ps(x); }
inline F load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, F v) { _mm256_storeu_ps(p, v); }
inline F load_some(const float* p, int64_t n) { return _mm256_maskload_ps(p, lane_mask(n)); }
inline void store_some(float* p, int64_t n, F v) { _mm256_maskstore_ps(p, lane_mask(n), v); }
inline F load(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline F load_some(const uint16_t* p, int64_t n) {
  if (n >= 8) return load(p);
  alignas(16) uint16_t padded[8] = {};
  for (int i = 0; i < n; ++i) padded[i] = p[i];
  return load(padded);
}
inline void store_some(uint16_t* p, int64_t n, F v) {
  const __m128i halves = _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT);
  if (n >= 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), halves);
    return;
  }
  alignas(16) uint16_t padded[8];
  _mm_store_si128(reinterpret_cast<__m128i*>(padded), halves);
  for (int i = 0; i < n; ++i) p[i] = padded[i];
}
inline F load_bfloat(const uint16_t* p) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

inline F load(const int8_t* p) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
inline F load_some(const int8_t* p, int64_t n) {
  if (n >= 8) return load(p);
  alignas(8) int8_t padded[8] = {};
  for (int i = 0; i < n; ++i) padded[i] = p[i];
  return load(padded);
}
inline void store_some(int8_t* p, int64_t n, F v) {  // |v| < 128, to the nearest even
  alignas(32) int32_t codes[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(codes), _mm256_cvtps_epi32(v));
  for (int i = 0; i < 8 && i < n; ++i) p[i] = static_cast<int8_t>(codes[i]);
}

inline F add(F a, F b) { return _mm256_add_ps(a, b); }
inline F sub(F a, F b) { return _mm256_sub_ps(a, b); }
inline F mul(F a, F b) { return _mm256_mul_ps(a, b); }
inline F div(F a, F b) { return _mm256_div_ps(a, b); }
inline F max(F a, F b) { return _mm256_max_ps(a, b); }  // b where either is NaN
inline F min(F a, F b) { return _mm256_min_ps(a, b); }
inline F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
inline F fnma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }
inline F round(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
inline F times_power_of_two(F a, F n) {  // n in [-250, 250], in two steps: 2^n itself may overflow
  const I whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
  const I bias = _mm256_set1_epi32(127), rest = _mm256_sub_epi32(whole, half);
  const F first = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
  const F second = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
  return _mm256_mul_ps(_mm256_mul_ps(a, first), second);
}
inline Mask less(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
inline Mask equal(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
inline uint32_t bits_of(Mask m) { return static_cast<uint32_t>(_mm256_movemask_ps(m)); }
inline F select(Mask m, F yes, F no) { return _mm256_blendv_ps(no, yes, m); }
inline F swap_pairs(F a) { return _mm256_permute_ps(a, 0xB1); }
inline float sum(F a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
inline float largest(F a) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

inline I load_int(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline void store_int(void* p, I v) { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }
inline I zero_int() { return _mm256_setzero_si256(); }
inline I set1_int(int32_t x) { return _mm256_set1_epi32(x); }
inline I load_bytes(const uint8_t* p) {  // to 32 bits
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
inline I load_codes(const int8_t* p, int64_t n) {  // to 16 bits, 0 from n on
  if (n >= 16) return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  alignas(16) int8_t padded[16] = {};
  for (int i = 0; i < n; ++i) padded[i] = p[i];
  return _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(padded)));
}
inline I add_int(I a, I b) { return _mm256_add_epi32(a, b); }
inline I sub_int(I a, I b) { return _mm256_sub_epi32(a, b); }
inline I max_int(I a, I b) { return _mm256_max_epi32(a, b); }
inline I bit_and(I a, I b) { return _mm256_and_si256(a, b); }
inline I bit_or(I a, I b) { return _mm256_or_si256(a, b); }
inline I bit_xor(I a, I b) { return _mm256_xor_si256(a, b); }
inline I shift_right(I a, int n) { return _mm256_srli_epi32(a, n); }
inline I shift_right_signed(I a, int n) { return _mm256_srai_epi32(a, n); }
inline I shift_left(I a, int n) { return _mm256_slli_epi32(a, n); }
inline I as_int(F a) { return _mm256_castps_si256(a); }
inline I to_int(F a) { return _mm256_cvtps_epi32(a); }
inline F to_float(I a) { return _mm256_cvtepi32_ps(a); }
inline int32_t sum(I a) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1)));
}
inline int32_t largest(I a) {
  __m128i s = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  s = _mm_max_epi32(s, _mm_shuffle_epi32(s, 0x4E));
  return _mm_cvtsi128_si32(_mm_max_epi32(s, _mm_shuffle_epi32(s, 0xB1)));
}
inline void store_shorts(int16_t* p, I v) {
  const __m128i packed =
      _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), packed);
}
// Each lane: acc + a.low * b.low + a.high * b.high of signed 16-bit halves.
inline I dot_pairs(I acc, I a, I b) { return _mm256_add_epi32(acc, _mm256_madd_epi16(a, b)); }
inline void store_bytes(int8_t* p, I v) {
  const __m128i shorts =
      _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(shorts, shorts));
}
// Never out of line: GCC takes such a function for one without effects and drops its calls.
__attribute__((always_inline)) inline void prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}

// Words of the products with codes (quant_product.inc).
inline I bit_select(I mask, I yes, I no) {
  return bit_or(bit_and(mask, yes), _mm256_andnot_si256(mask, no));
}
// Four quads of inputs for all rows of a set.
inline I load_unit(const int8_t* p) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
// Lane 4 r + s is the sum of lanes 4 r to 4 r + 3 of set s.
inline I add_sets(I a, I b, I c, I d) {
  return _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
}
template <int kA, int kB, int kC, int kD>
inline I shift_sets(I a) {  // signed
  return _mm256_srav_epi32(a, _mm256_setr_epi32(kA, kB, kC, kD, kA, kB, kC, kD));
}
// Lane 4 r + s of quad q is lane 4 r + q of set s.
inline void transpose_sets(I (&v)[4]) {
  const I ab0 = _mm256_unpacklo_epi32(v[0], v[1]), ab1 = _mm256_unpackhi_epi32(v[0], v[1]);
  const I cd0 = _mm256_unpacklo_epi32(v[2], v[3]), cd1 = _mm256_unpackhi_epi32(v[2], v[3]);
  v[0] = _mm256_unpacklo_epi64(ab0, cd0), v[1] = _mm256_unpackhi_epi64(ab0, cd0);
  v[2] = _mm256_unpacklo_epi64(ab1, cd1), v[3] = _mm256_unpackhi_epi64(ab1, cd1);
}
#if defined(__AVXVNNI__)
#define AWQ_DOT_QUADS
constexpr bool kDotsInPlace = true;  // all eight bits of a code count
// Each lane: acc + the products of four unsigned with four signed bytes.
inline I dot_quad(I acc, I codes, I x) {
  asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(codes), "x"(x));
  return acc;
}
#else
constexpr bool kDotsInPlace = false;
inline I add_shorts(I a, I b) { return _mm256_add_epi16(a, b); }
inline void add_to_shorts(I& acc, I b) {  // in place: GCC 12 copies every sum of a loop otherwise
  asm("vpaddw %1, %0, %0" : "+x"(acc) : "x"(b));
}
// 16-bit halves of a lane: two products of unsigned with signed bytes each. Saturates.
inline I dot_bytes(I codes, I x) { return _mm256_maddubs_epi16(codes, x); }
#endif

// Lane i of the result is the sum of v[i].
inline F sum_each(const F (&v)[kLanes]) {
  const F low = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
  const F high = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]), _mm256_hadd_ps(v[6], v[7]));
  return _mm256_add_ps(_mm256_permute2f128_ps(low, high, 0x20),
                       _mm256_permute2f128_ps(low, high, 0x31));
}
inline void add_to_doubles(double* p, F v) {
  _mm256_storeu_pd(p, _mm256_add_pd(_mm256_loadu_pd(p),
                                    _mm256_cvtps_pd(_mm256_castps256_ps128(v))));
  _mm256_storeu_pd(p + 4, _mm256_add_pd(_mm256_loadu_pd(p + 4),
                                        _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1))));
}
