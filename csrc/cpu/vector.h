// SIMD vectors with the operations of csrc/core/lanes.h, as wide as the instruction set this file is compiled for.
//
// Compiler vector types carry the arithmetic; intrinsics remain for what those cannot say: the 32 x 32 -> 64 bit
// product, the square root, minimum and maximum that give their second operand if either is NaN, selection by sign bits
// alone, stores around the caches, and conversions of 16-bit lanes (hardware_narrow takes numbers that fit in 16 bits
// with their sign). AVX-512 adds tables in registers, exponents and fractions taken apart and put together, and moves
// under a mask.
#ifndef TFVAE_CPU_VECTOR_H_
#define TFVAE_CPU_VECTOR_H_

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "csrc/core/lanes.h"

namespace tfvae {
namespace TFVAE_ISA {

#if defined(TFVAE_EMULATED_VECTOR_BYTES)
constexpr int kVectorBytes = TFVAE_EMULATED_VECTOR_BYTES;
#elif defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

// Vectors that are computed together.
#ifdef TFVAE_ONE_VECTOR_AT_A_TIME
constexpr int kTogether = 1;
#else
constexpr int kTogether = 2;
#endif
// Whether long computations are cut into several loops (csrc/cpu/exponentials.h says why): not with AVX-512, whose
// units two vectors at a time keep busy, and whose loads and stores of whole lines would cost more than they bring.
constexpr bool kStaged = kVectorBytes < 64;

typedef float VectorF32 __attribute__((vector_size(kVectorBytes)));
typedef double VectorF64 __attribute__((vector_size(kVectorBytes)));
typedef int32_t VectorI32 __attribute__((vector_size(kVectorBytes)));
typedef int64_t VectorI64 __attribute__((vector_size(kVectorBytes)));
typedef uint64_t VectorU64 __attribute__((vector_size(kVectorBytes)));
typedef uint16_t VectorU16 __attribute__((vector_size(kVectorBytes / 2)));  // As many lanes as VectorI32.
typedef uint16_t VectorHalves __attribute__((vector_size(kVectorBytes)));   // Two lanes for each of VectorI32.

#if defined(TFVAE_EMULATED_VECTOR_BYTES)
// Any width on any processor, lane by lane: so the tests run the code of widths that their processor does not have.
using HardwareInts = VectorU64;
template <class V>
TFVAE_INLINE V hardware_sqrt(V x) {
  for (uint64_t i = 0; i < sizeof(V) / sizeof(x[0]); ++i) x[i] = LaneTraits<LaneOf<V>>::square_root(x[i]);
  return x;
}
template <class V>
TFVAE_INLINE V hardware_min(V a, V b) {
  return a < b ? a : b;
}
template <class V>
TFVAE_INLINE V hardware_max(V a, V b) {
  return a > b ? a : b;
}
template <class V, class I>
TFVAE_INLINE V hardware_select(I sign, V a, V b) {
  return sign < 0 ? a : b;
}
TFVAE_INLINE VectorI32 hardware_widen(VectorU16 x) { return __builtin_convertvector(x, VectorI32); }
TFVAE_INLINE VectorU16 hardware_narrow(VectorI32 x) { return __builtin_convertvector(x, VectorU16); }
TFVAE_INLINE VectorU64 hardware_multiply(VectorU64 a, VectorU64 b) {
  return (a & uint64_t(0xffffffff)) * (b & uint64_t(0xffffffff));
}
#elif defined(__AVX512F__)
// Masked with all ones, which is free, because gcc 12 warns about its own unmasked intrinsics.
TFVAE_INLINE __m512 hardware_sqrt(__m512 x) { return _mm512_maskz_sqrt_ps(0xffff, x); }
TFVAE_INLINE __m512d hardware_sqrt(__m512d x) { return _mm512_maskz_sqrt_pd(0xff, x); }
TFVAE_INLINE __m512 hardware_min(__m512 a, __m512 b) { return _mm512_maskz_min_ps(0xffff, a, b); }
TFVAE_INLINE __m512 hardware_max(__m512 a, __m512 b) { return _mm512_maskz_max_ps(0xffff, a, b); }
TFVAE_INLINE __m512d hardware_min(__m512d a, __m512d b) { return _mm512_maskz_min_pd(0xff, a, b); }
TFVAE_INLINE __m512d hardware_max(__m512d a, __m512d b) { return _mm512_maskz_max_pd(0xff, a, b); }
TFVAE_INLINE __m512i hardware_multiply(__m512i a, __m512i b) { return _mm512_maskz_mul_epu32(0xff, a, b); }
// As integers: a Zen 4 has four units that choose between these, and two for numbers.
TFVAE_INLINE __m512 hardware_select(VectorI32 sign, __m512 a, __m512 b) {
  const __mmask16 negative = _mm512_movepi32_mask(bit_cast<__m512i>(sign));
  return bit_cast<__m512>(_mm512_mask_blend_epi32(negative, bit_cast<__m512i>(b), bit_cast<__m512i>(a)));
}
TFVAE_INLINE __m512d hardware_select(VectorI64 sign, __m512d a, __m512d b) {
  const __mmask8 negative = _mm512_movepi64_mask(bit_cast<__m512i>(sign));
  return bit_cast<__m512d>(_mm512_mask_blend_epi64(negative, bit_cast<__m512i>(b), bit_cast<__m512i>(a)));
}
#define TFVAE_HARDWARE_HALF
TFVAE_INLINE VectorF32 hardware_widen_half(VectorU16 x) { return _mm512_maskz_cvtph_ps(0xffff, bit_cast<__m256i>(x)); }
TFVAE_INLINE VectorU16 hardware_narrow_half(VectorF32 x) {
  return bit_cast<VectorU16>(_mm512_maskz_cvtps_ph(0xffff, x, _MM_FROUND_TO_NEAREST_INT));
}
#define TFVAE_HARDWARE_UPPER
// 16-bit numbers into the upper halves of 32-bit lanes, with zeros below them, and out of there: one permutation
// instead of a conversion and a shift.
typedef int16_t VectorI16 __attribute__((vector_size(64)));
TFVAE_INLINE VectorI32 hardware_widen_upper(VectorU16 x) {
  constexpr VectorI16 kFrom = {0, 0, 0, 1, 0, 2,  0, 3,  0, 4,  0, 5,  0, 6,  0, 7,
                               0, 8, 0, 9, 0, 10, 0, 11, 0, 12, 0, 13, 0, 14, 0, 15};
  const __m512i wide = _mm512_castsi256_si512(bit_cast<__m256i>(x));
  return bit_cast<VectorI32>(_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, bit_cast<__m512i>(kFrom), wide));
}
TFVAE_INLINE VectorU16 hardware_narrow_upper(VectorI32 x) {
  constexpr VectorI16 kFrom = {1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31};
  const __m512i odd = _mm512_maskz_permutexvar_epi16(0xffff, bit_cast<__m512i>(kFrom), bit_cast<__m512i>(x));
  return bit_cast<VectorU16>(_mm512_maskz_extracti64x4_epi64(0xf, odd, 0));
}
#define TFVAE_HARDWARE_SCALE
TFVAE_INLINE __m512 hardware_scale(__m512 x, __m512 n) { return _mm512_maskz_scalef_ps(0xffff, x, n); }
TFVAE_INLINE __m512d hardware_scale(__m512d x, __m512d n) { return _mm512_maskz_scalef_pd(0xff, x, n); }
// As unsigned integers, the patterns of negative numbers and NaN are more than those of positive numbers.
TFVAE_INLINE __m512 hardware_positive(__m512 x, __m512 limit) {
  return bit_cast<__m512>(_mm512_maskz_min_epu32(0xffff, bit_cast<__m512i>(x), bit_cast<__m512i>(limit)));
}
TFVAE_INLINE __m512d hardware_positive(__m512d x, __m512d limit) {
  return bit_cast<__m512d>(_mm512_maskz_min_epu64(0xff, bit_cast<__m512i>(x), bit_cast<__m512i>(limit)));
}
#define TFVAE_HARDWARE_STREAM
TFVAE_INLINE void hardware_stream(void* to, __m512i v) { _mm512_stream_si512(static_cast<__m512i*>(to), v); }
TFVAE_INLINE void hardware_stream(void* to, __m256i v) { _mm256_stream_si256(static_cast<__m256i*>(to), v); }
#define TFVAE_HARDWARE_TABLES
#define TFVAE_HARDWARE_HALVES
using HardwareInts = __m512i;
using HardwareHalf = __m256i;
#elif defined(__AVX2__)
TFVAE_INLINE __m256 hardware_sqrt(__m256 x) { return _mm256_sqrt_ps(x); }
TFVAE_INLINE __m256d hardware_sqrt(__m256d x) { return _mm256_sqrt_pd(x); }
TFVAE_INLINE __m256 hardware_min(__m256 a, __m256 b) { return _mm256_min_ps(a, b); }
TFVAE_INLINE __m256 hardware_max(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
TFVAE_INLINE __m256d hardware_min(__m256d a, __m256d b) { return _mm256_min_pd(a, b); }
TFVAE_INLINE __m256d hardware_max(__m256d a, __m256d b) { return _mm256_max_pd(a, b); }
TFVAE_INLINE __m256i hardware_multiply(__m256i a, __m256i b) { return _mm256_mul_epu32(a, b); }
TFVAE_INLINE __m256 hardware_select(VectorI32 sign, __m256 a, __m256 b) {
  return _mm256_blendv_ps(b, a, bit_cast<__m256>(sign));
}
TFVAE_INLINE __m256d hardware_select(VectorI64 sign, __m256d a, __m256d b) {
  return _mm256_blendv_pd(b, a, bit_cast<__m256d>(sign));
}
TFVAE_INLINE VectorI32 hardware_widen(VectorU16 x) {
  return bit_cast<VectorI32>(_mm256_cvtepu16_epi32(bit_cast<__m128i>(x)));
}
TFVAE_INLINE VectorU16 hardware_narrow(VectorI32 x) {
  const __m256i lanes = bit_cast<__m256i>(x);
  const __m128i upper = _mm256_extracti128_si256(lanes, 1);
  return bit_cast<VectorU16>(_mm_packs_epi32(_mm256_castsi256_si128(lanes), upper));
}
#define TFVAE_HARDWARE_HALF
TFVAE_INLINE VectorF32 hardware_widen_half(VectorU16 x) { return _mm256_cvtph_ps(bit_cast<__m128i>(x)); }
TFVAE_INLINE VectorU16 hardware_narrow_half(VectorF32 x) {
  return bit_cast<VectorU16>(_mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
#define TFVAE_HARDWARE_STREAM
TFVAE_INLINE void hardware_stream(void* to, __m256i v) { _mm256_stream_si256(static_cast<__m256i*>(to), v); }
TFVAE_INLINE void hardware_stream(void* to, __m128i v) { _mm_stream_si128(static_cast<__m128i*>(to), v); }
using HardwareInts = __m256i;
using HardwareHalf = __m128i;
#elif defined(__SSE2__)
TFVAE_INLINE __m128 hardware_sqrt(__m128 x) { return _mm_sqrt_ps(x); }
TFVAE_INLINE __m128d hardware_sqrt(__m128d x) { return _mm_sqrt_pd(x); }
TFVAE_INLINE __m128 hardware_min(__m128 a, __m128 b) { return _mm_min_ps(a, b); }
TFVAE_INLINE __m128 hardware_max(__m128 a, __m128 b) { return _mm_max_ps(a, b); }
TFVAE_INLINE __m128d hardware_min(__m128d a, __m128d b) { return _mm_min_pd(a, b); }
TFVAE_INLINE __m128d hardware_max(__m128d a, __m128d b) { return _mm_max_pd(a, b); }
TFVAE_INLINE __m128i hardware_multiply(__m128i a, __m128i b) { return _mm_mul_epu32(a, b); }
template <class V, class I>
TFVAE_INLINE V hardware_select(I sign, V a, V b) {
  return sign < 0 ? a : b;
}
TFVAE_INLINE VectorI32 hardware_widen(VectorU16 x) { return __builtin_convertvector(x, VectorI32); }
TFVAE_INLINE VectorU16 hardware_narrow(VectorI32 x) {
  const __m128i lanes = bit_cast<__m128i>(x);
  return bit_cast<VectorU16>(_mm_cvtsi128_si64(_mm_packs_epi32(lanes, lanes)));
}
#define TFVAE_HARDWARE_STREAM
TFVAE_INLINE void hardware_stream(void* to, __m128i v) { _mm_stream_si128(static_cast<__m128i*>(to), v); }
TFVAE_INLINE void hardware_stream(void* to, long long v) { _mm_stream_si64(static_cast<long long*>(to), v); }
using HardwareInts = __m128i;
using HardwareHalf = long long;
#elif defined(__aarch64__)
TFVAE_INLINE float32x4_t hardware_sqrt(float32x4_t x) { return vsqrtq_f32(x); }
TFVAE_INLINE float64x2_t hardware_sqrt(float64x2_t x) { return vsqrtq_f64(x); }
TFVAE_INLINE float32x4_t hardware_min(float32x4_t a, float32x4_t b) { return vminq_f32(a, b); }
TFVAE_INLINE float32x4_t hardware_max(float32x4_t a, float32x4_t b) { return vmaxq_f32(a, b); }
TFVAE_INLINE float64x2_t hardware_min(float64x2_t a, float64x2_t b) { return vminq_f64(a, b); }
TFVAE_INLINE float64x2_t hardware_max(float64x2_t a, float64x2_t b) { return vmaxq_f64(a, b); }
TFVAE_INLINE uint64x2_t hardware_multiply(uint64x2_t a, uint64x2_t b) { return vmull_u32(vmovn_u64(a), vmovn_u64(b)); }
template <class V, class I>
TFVAE_INLINE V hardware_select(I sign, V a, V b) {
  return sign < 0 ? a : b;
}
TFVAE_INLINE VectorI32 hardware_widen(VectorU16 x) { return __builtin_convertvector(x, VectorI32); }
TFVAE_INLINE VectorU16 hardware_narrow(VectorI32 x) { return __builtin_convertvector(x, VectorU16); }
#define TFVAE_HARDWARE_HALF
TFVAE_INLINE VectorF32 hardware_widen_half(VectorU16 x) { return vcvt_f32_f16(bit_cast<float16x4_t>(x)); }
TFVAE_INLINE VectorU16 hardware_narrow_half(VectorF32 x) { return bit_cast<VectorU16>(vcvt_f16_f32(x)); }
using HardwareInts = uint64x2_t;
#else
#error "tfvae has vector code for x86-64 and aarch64 only"
#endif

#ifdef TFVAE_HARDWARE_SCALE
constexpr bool kHardwareScales = true;
#else
constexpr bool kHardwareScales = false;
template <class V>
V hardware_scale(V x, V n);
template <class V>
V hardware_positive(V x, V limit);
#endif

// A store around the caches, of a whole or half a vector, to an address that is a multiple of its size. After the last
// one, before anybody is told of them, finish_streams() has to be called.
#ifdef TFVAE_HARDWARE_STREAM
template <class V>
TFVAE_INLINE void stream(void* to, V v) {
  if constexpr (sizeof(V) == kVectorBytes) {
    hardware_stream(to, bit_cast<HardwareInts>(v));
  } else {
    hardware_stream(to, bit_cast<HardwareHalf>(v));
  }
}
TFVAE_INLINE void finish_streams() { _mm_sfence(); }
#else
template <class V>
TFVAE_INLINE void stream(void* to, V v) {
  __builtin_memcpy(to, &v, sizeof(V));
}
TFVAE_INLINE void finish_streams() {}
#endif

template <>
struct LaneTraits<VectorF32> {
  using Scalar = float;
  static constexpr bool kScales = kHardwareScales;
  using Int = VectorI32;
  static TFVAE_INLINE VectorF32 to_real(VectorI32 i) { return __builtin_convertvector(i, VectorF32); }
  static TFVAE_INLINE VectorF32 square_root(VectorF32 x) { return hardware_sqrt(x); }
  static TFVAE_INLINE VectorF32 at_most(VectorF32 x, float limit) { return hardware_min(VectorF32() + limit, x); }
  static TFVAE_INLINE VectorF32 at_least(VectorF32 x, float limit) { return hardware_max(VectorF32() + limit, x); }
  static TFVAE_INLINE VectorF32 positive_up_to(VectorF32 x, float limit) {
    return hardware_positive(x, VectorF32() + limit);
  }
#ifdef TFVAE_HARDWARE_TABLES
  static constexpr bool kTables = true;
  static TFVAE_INLINE VectorF32 multiply_add(VectorF32 a, VectorF32 b, VectorF32 c) { return _mm512_fmadd_ps(a, b, c); }
  static TFVAE_INLINE VectorF32 exponent(VectorF32 x) { return _mm512_maskz_getexp_ps(0xffff, x); }
  static TFVAE_INLINE VectorF32 fraction(VectorF32 x) {
    return _mm512_maskz_getmant_ps(0xffff, x, _MM_MANT_NORM_p5_1, _MM_MANT_SIGN_src);
  }
  static TFVAE_INLINE VectorF32 lookup(const float (&table)[16], VectorI32 index) {
    return _mm512_maskz_permutexvar_ps(0xffff, bit_cast<__m512i>(index), _mm512_load_ps(table));
  }
#else
  static constexpr bool kTables = false;
#endif
  static TFVAE_INLINE VectorF32 scale(VectorF32 x, VectorF32 n) { return hardware_scale(x, n); }
  static TFVAE_INLINE VectorF32 select_by_sign(VectorI32 sign, VectorF32 a, VectorF32 b) {
    return hardware_select(sign, a, b);
  }
};

template <>
struct LaneTraits<VectorF64> {
  using Scalar = double;
  static constexpr bool kScales = kHardwareScales;
  using Int = VectorI64;
  // Most instruction sets convert no 64-bit integers; adding 1.5 * 2^52 to the bits does.
  static TFVAE_INLINE VectorF64 to_real(VectorI64 i) {
    return bit_cast<VectorF64>(i + int64_t(0x4338000000000000)) - 6755399441055744.0;
  }
  static TFVAE_INLINE VectorF64 square_root(VectorF64 x) { return hardware_sqrt(x); }
  static TFVAE_INLINE VectorF64 at_most(VectorF64 x, double limit) { return hardware_min(VectorF64() + limit, x); }
  static TFVAE_INLINE VectorF64 at_least(VectorF64 x, double limit) { return hardware_max(VectorF64() + limit, x); }
  static constexpr bool kTables = false;
  static TFVAE_INLINE VectorF64 positive_up_to(VectorF64 x, double limit) {
    return hardware_positive(x, VectorF64() + limit);
  }
  static TFVAE_INLINE VectorF64 scale(VectorF64 x, VectorF64 n) { return hardware_scale(x, n); }
  static TFVAE_INLINE VectorF64 select_by_sign(VectorI64 sign, VectorF64 a, VectorF64 b) {
    return hardware_select(sign, a, b);
  }
};

template <>
struct LaneTraits<VectorHalves> {
  using Scalar = uint16_t;
  using Int = VectorHalves;
};

template <>
struct WideProduct<VectorU64> {
  static TFVAE_INLINE VectorU64 of_low_words(VectorU64 a, VectorU64 b) {
    return bit_cast<VectorU64>(hardware_multiply(bit_cast<HardwareInts>(a), bit_cast<HardwareInts>(b)));
  }
};

template <class Scalar>
struct VectorOfScalar;
template <>
struct VectorOfScalar<float> {
  using Type = VectorF32;
};
template <>
struct VectorOfScalar<double> {
  using Type = VectorF64;
};
template <class Scalar>
using VectorOf = typename VectorOfScalar<Scalar>::Type;

// The type and the number of a vector's lanes, also of one that has no LaneTraits.
template <class V>
using ElementOf = std::remove_reference_t<decltype(V()[0])>;
template <class V>
constexpr int kLanes = sizeof(V) / sizeof(ElementOf<V>);

template <int... I>
struct Lanes {};
template <int Count, int... I>
struct LanesUpTo : LanesUpTo<Count - 1, Count - 1, I...> {};
template <int... I>
struct LanesUpTo<0, I...> {
  using Type = Lanes<I...>;
};

// A vector of chosen lanes of a and b: lane i of it is lane Choice::lane(i) of a followed by b.
template <class Choice, class V, int... I>
TFVAE_INLINE V choose_lanes(V a, V b, Lanes<I...>) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, Choice::lane(I)...);
#else
  return __builtin_shuffle(a, b, MaskOf<V>{Choice::lane(I)...});
#endif
}
template <class Choice, class V>
TFVAE_INLINE V choose_lanes(V a, V b) {
  return choose_lanes<Choice>(a, b, typename LanesUpTo<kLanes<V>>::Type());
}

// Of every 16 bytes, the lower (Half = 0) or upper (Half = 1) halves' lanes, one of a and one of b in turn.
template <class V, int Half>
struct Interleave {
  static constexpr int kBlock = 16 / sizeof(ElementOf<V>);
  static constexpr int lane(int i) {
    return i / kBlock * kBlock + Half * kBlock / 2 + i % kBlock / 2 + i % 2 * kLanes<V>;
  }
};
template <class V>
TFVAE_INLINE V interleave_low(V a, V b) {
  return choose_lanes<Interleave<V, 0>>(a, b);
}
template <class V>
TFVAE_INLINE V interleave_high(V a, V b) {
  return choose_lanes<Interleave<V, 1>>(a, b);
}

template <class V>
struct EvenAndOdd {
  static constexpr int lane(int i) { return i + i % 2 * kLanes<V>; }
};
// a in the even lanes, b in the odd ones.
template <class V>
TFVAE_INLINE V even_and_odd_lanes(V a, V b) {
  return choose_lanes<EvenAndOdd<V>>(a, b);
}

// Of every 64-bit lane, the low (or the high) halves of a and of b, that of a first.
#ifdef TFVAE_HARDWARE_HALVES
TFVAE_INLINE VectorU64 low_halves(VectorU64 a, VectorU64 b) {
  return bit_cast<VectorU64>(_mm512_mask_moveldup_ps(bit_cast<__m512>(a), 0xaaaa, bit_cast<__m512>(b)));
}
TFVAE_INLINE VectorU64 high_halves(VectorU64 a, VectorU64 b) {
  return bit_cast<VectorU64>(_mm512_mask_movehdup_ps(bit_cast<__m512>(b), 0x5555, bit_cast<__m512>(a)));
}
#else
TFVAE_INLINE VectorU64 low_halves(VectorU64 a, VectorU64 b) {
  return bit_cast<VectorU64>(even_and_odd_lanes(bit_cast<VectorF32>(a), bit_cast<VectorF32>(b << 32)));
}
TFVAE_INLINE VectorU64 high_halves(VectorU64 a, VectorU64 b) {
  return bit_cast<VectorU64>(even_and_odd_lanes(bit_cast<VectorF32>(a >> 32), bit_cast<VectorF32>(b)));
}
#endif

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_VECTOR_H_
