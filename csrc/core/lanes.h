// The few operations the element mathematics needs of a number, for plain scalars. The same names exist for SIMD
// vectors (csrc/cpu/vector.h), so every formula in this folder is written once and runs one lane or sixteen at a time,
// on the host and on the device.
//
// Everything here lives in a namespace per instruction set: two translation units compiled for different processors
// must not share an inline function, or the linker may keep the wrong copy.
#ifndef TFVAE_CORE_LANES_H_
#define TFVAE_CORE_LANES_H_

#include <stdint.h>

#include <type_traits>

#ifndef TFVAE_ISA
#define TFVAE_ISA scalar
#endif

#ifdef __CUDACC__
#define TFVAE_INLINE __host__ __device__ __forceinline__
#else
#define TFVAE_INLINE inline __attribute__((always_inline))
#endif

namespace tfvae {
namespace TFVAE_ISA {

// Whether a product and the sum it goes into are rounded once.
#if defined(__FMA__) || defined(__aarch64__) || defined(__CUDA_ARCH__)
constexpr bool kFusesMultiplyAdd = true;
#else
constexpr bool kFusesMultiplyAdd = false;
#endif

// What differs between a scalar and a vector; specialised for vectors in csrc/cpu/vector.h.
//   Scalar: the type of one lane.  Int: signed integers of the same size and count.
//   to_real: integers, for double of magnitude below 2^51.
//   at_most, at_least: a limit that lets NaN through.
//   square_root: of x from 2^-100 up, below infinity.
//   select_by_sign: a where the integer is negative, else b.
//   scale, where kScales: x 2^n, rounded once, for any n.  positive_up_to, there too: x, and the limit where x is more,
//   or negative, or NaN.
//   Where kTables: lookup(table, index): table[index modulo 16].  multiply_add: a b + c, rounded once.  exponent and
//   fraction of a positive normal x: the greatest k with 2^k <= x, and x / 2^(k + 1).
template <class F>
struct LaneTraits;
template <class F>
using LaneOf = typename LaneTraits<F>::Scalar;
template <class F>
using IntOf = typename LaneTraits<F>::Int;
template <class F>
using MaskOf = decltype(F() == F());

template <>
struct LaneTraits<float> {
  using Scalar = float;
  static constexpr bool kScales = false, kTables = false;
  using Int = int32_t;
  static TFVAE_INLINE float to_real(int32_t i) { return static_cast<float>(i); }
  static TFVAE_INLINE float at_most(float x, float limit) { return x > limit ? limit : x; }
  static TFVAE_INLINE float at_least(float x, float limit) { return x < limit ? limit : x; }
  static TFVAE_INLINE float select_by_sign(int32_t mask, float a, float b) { return mask < 0 ? a : b; }
  static TFVAE_INLINE float square_root(float x) {
#ifdef __CUDA_ARCH__
    // Correctly rounded, by the residual of an approximation. __fsqrt_rn is the same and a branch for other x.
    float reciprocal;
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(reciprocal) : "f"(x));
    const float root = x * reciprocal;
    return __fmaf_rn(__fmaf_rn(-root, root, x), 0.5f * reciprocal, root);
#else
    return __builtin_sqrtf(x);
#endif
  }
};

template <>
struct LaneTraits<double> {
  using Scalar = double;
  static constexpr bool kScales = false, kTables = false;
  using Int = int64_t;
  static TFVAE_INLINE double to_real(int64_t i) { return static_cast<double>(i); }
  static TFVAE_INLINE double at_most(double x, double limit) { return x > limit ? limit : x; }
  static TFVAE_INLINE double at_least(double x, double limit) { return x < limit ? limit : x; }
  static TFVAE_INLINE double select_by_sign(int64_t mask, double a, double b) { return mask < 0 ? a : b; }
  static TFVAE_INLINE double square_root(double x) {
#ifdef __CUDA_ARCH__
    return __dsqrt_rn(x);
#else
    return __builtin_sqrt(x);
#endif
  }
};

// The product of the low 32 bits of each 64-bit lane, 64 bits wide.
template <class U>
struct WideProduct;
template <>
struct WideProduct<uint64_t> {
  static TFVAE_INLINE uint64_t of_low_words(uint64_t a, uint64_t b) {
#ifdef __CUDA_ARCH__
    // In PTX, because the compiler makes a product of 64 bits by 64 of it, and adds a high part that is always 0.
    uint64_t product;
    asm("mul.wide.u32 %0, %1, %2;" : "=l"(product) : "r"(static_cast<uint32_t>(a)), "r"(static_cast<uint32_t>(b)));
    return product;
#else
    return static_cast<uint64_t>(static_cast<uint32_t>(a)) * static_cast<uint32_t>(b);
#endif
  }
};

template <class To, class From>
TFVAE_INLINE To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From), "bit_cast needs types of one size");
  To to;
  __builtin_memcpy(&to, &from, sizeof(To));
  return to;
}

// The sum of two integers, or of a vector of them and one, modulo 2^32 or 2^64. Compilers of the host are told that all
// integers wrap (-fwrapv), which those of vectors need; one for a device cannot be told.
template <class Int, class Other>
TFVAE_INLINE Int wrapping_sum(Int a, Other b) {
  if constexpr (std::is_integral_v<Int>) {
    using Unsigned = std::make_unsigned_t<Int>;
    return static_cast<Int>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b));
  } else {
    return a + b;
  }
}

template <class F>
TFVAE_INLINE F broadcast(LaneOf<F> x) {
  return F() + x;
}

template <class Mask, class F>
TFVAE_INLINE F select(Mask mask, F a, F b) {
  return mask ? a : b;
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CORE_LANES_H_
