// SIMD vectors with the operations of csrc/core/lanes.h, as wide as the instruction set this file is compiled for.
//
// Compiler vector types carry the arithmetic; intrinsics remain for what those cannot say: the 32 x 32 -> 64 bit
// product, the square root, and minimum and maximum that give their second operand if either is NaN.
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

typedef float VectorF32 __attribute__((vector_size(kVectorBytes)));
typedef double VectorF64 __attribute__((vector_size(kVectorBytes)));
typedef int32_t VectorI32 __attribute__((vector_size(kVectorBytes)));
typedef int64_t VectorI64 __attribute__((vector_size(kVectorBytes)));
typedef uint64_t VectorU64 __attribute__((vector_size(kVectorBytes)));
typedef uint16_t VectorU16 __attribute__((vector_size(kVectorBytes / 2)));  // As many lanes as VectorI32.

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
using HardwareInts = __m512i;
#elif defined(__AVX2__)
TFVAE_INLINE __m256 hardware_sqrt(__m256 x) { return _mm256_sqrt_ps(x); }
TFVAE_INLINE __m256d hardware_sqrt(__m256d x) { return _mm256_sqrt_pd(x); }
TFVAE_INLINE __m256 hardware_min(__m256 a, __m256 b) { return _mm256_min_ps(a, b); }
TFVAE_INLINE __m256 hardware_max(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
TFVAE_INLINE __m256d hardware_min(__m256d a, __m256d b) { return _mm256_min_pd(a, b); }
TFVAE_INLINE __m256d hardware_max(__m256d a, __m256d b) { return _mm256_max_pd(a, b); }
TFVAE_INLINE __m256i hardware_multiply(__m256i a, __m256i b) { return _mm256_mul_epu32(a, b); }
using HardwareInts = __m256i;
#elif defined(__SSE2__)
TFVAE_INLINE __m128 hardware_sqrt(__m128 x) { return _mm_sqrt_ps(x); }
TFVAE_INLINE __m128d hardware_sqrt(__m128d x) { return _mm_sqrt_pd(x); }
TFVAE_INLINE __m128 hardware_min(__m128 a, __m128 b) { return _mm_min_ps(a, b); }
TFVAE_INLINE __m128 hardware_max(__m128 a, __m128 b) { return _mm_max_ps(a, b); }
TFVAE_INLINE __m128d hardware_min(__m128d a, __m128d b) { return _mm_min_pd(a, b); }
TFVAE_INLINE __m128d hardware_max(__m128d a, __m128d b) { return _mm_max_pd(a, b); }
TFVAE_INLINE __m128i hardware_multiply(__m128i a, __m128i b) { return _mm_mul_epu32(a, b); }
using HardwareInts = __m128i;
#elif defined(__aarch64__)
TFVAE_INLINE float32x4_t hardware_sqrt(float32x4_t x) { return vsqrtq_f32(x); }
TFVAE_INLINE float64x2_t hardware_sqrt(float64x2_t x) { return vsqrtq_f64(x); }
TFVAE_INLINE float32x4_t hardware_min(float32x4_t a, float32x4_t b) { return vminq_f32(a, b); }
TFVAE_INLINE float32x4_t hardware_max(float32x4_t a, float32x4_t b) { return vmaxq_f32(a, b); }
TFVAE_INLINE float64x2_t hardware_min(float64x2_t a, float64x2_t b) { return vminq_f64(a, b); }
TFVAE_INLINE float64x2_t hardware_max(float64x2_t a, float64x2_t b) { return vmaxq_f64(a, b); }
TFVAE_INLINE uint64x2_t hardware_multiply(uint64x2_t a, uint64x2_t b) { return vmull_u32(vmovn_u64(a), vmovn_u64(b)); }
using HardwareInts = uint64x2_t;
#else
#error "tfvae has vector code for x86-64 and aarch64 only"
#endif

template <>
struct LaneTraits<VectorF32> {
  using Scalar = float;
  using Int = VectorI32;
  static TFVAE_INLINE VectorF32 to_real(VectorI32 i) { return __builtin_convertvector(i, VectorF32); }
  static TFVAE_INLINE VectorF32 square_root(VectorF32 x) { return hardware_sqrt(x); }
  static TFVAE_INLINE VectorF32 at_most(VectorF32 x, float limit) { return hardware_min(VectorF32() + limit, x); }
  static TFVAE_INLINE VectorF32 at_least(VectorF32 x, float limit) { return hardware_max(VectorF32() + limit, x); }
};

template <>
struct LaneTraits<VectorF64> {
  using Scalar = double;
  using Int = VectorI64;
  // Most instruction sets convert no 64-bit integers; adding 1.5 * 2^52 to the bits does.
  static TFVAE_INLINE VectorF64 to_real(VectorI64 i) {
    return bit_cast<VectorF64>(i + int64_t(0x4338000000000000)) - 6755399441055744.0;
  }
  static TFVAE_INLINE VectorF64 square_root(VectorF64 x) { return hardware_sqrt(x); }
  static TFVAE_INLINE VectorF64 at_most(VectorF64 x, double limit) { return hardware_min(VectorF64() + limit, x); }
  static TFVAE_INLINE VectorF64 at_least(VectorF64 x, double limit) { return hardware_max(VectorF64() + limit, x); }
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

template <class V>
constexpr int kLanes = sizeof(V) / sizeof(LaneOf<V>);

// interleave_low: a0 b0 a1 b1 ... of the lower halves; interleave_high of the upper ones.
template <class V, int... I>
struct Interleave {
#if defined(__clang__)
  static TFVAE_INLINE V low(V a, V b) {
    return __builtin_shufflevector(a, b, (I / 2 + (I % 2) * static_cast<int>(sizeof...(I)))...);
  }
  static TFVAE_INLINE V high(V a, V b) {
    return __builtin_shufflevector(
        a, b, (I / 2 + static_cast<int>(sizeof...(I)) / 2 + (I % 2) * static_cast<int>(sizeof...(I)))...);
  }
#else
  static TFVAE_INLINE V low(V a, V b) {
    return __builtin_shuffle(a, b, IntOf<V>{(I / 2 + (I % 2) * static_cast<int>(sizeof...(I)))...});
  }
  static TFVAE_INLINE V high(V a, V b) {
    return __builtin_shuffle(
        a, b, IntOf<V>{(I / 2 + static_cast<int>(sizeof...(I)) / 2 + (I % 2) * static_cast<int>(sizeof...(I)))...});
  }
#endif
};

template <class V, int Lanes>
struct InterleaveOf;
template <class V>
struct InterleaveOf<V, 2> : Interleave<V, 0, 1> {};
template <class V>
struct InterleaveOf<V, 4> : Interleave<V, 0, 1, 2, 3> {};
template <class V>
struct InterleaveOf<V, 8> : Interleave<V, 0, 1, 2, 3, 4, 5, 6, 7> {};
template <class V>
struct InterleaveOf<V, 16> : Interleave<V, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15> {};

template <class V>
TFVAE_INLINE V interleave_low(V a, V b) {
  return InterleaveOf<V, kLanes<V>>::low(a, b);
}
template <class V>
TFVAE_INLINE V interleave_high(V a, V b) {
  return InterleaveOf<V, kLanes<V>>::high(a, b);
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_VECTOR_H_
