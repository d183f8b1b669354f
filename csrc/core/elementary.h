// exp with its neighbours, log, and sin and cos of a fraction of a turn. tests/ops/test_elementary.py states and checks
// their error bounds, over every float for log, sin and cos.
#ifndef TFVAE_CORE_ELEMENTARY_H_
#define TFVAE_CORE_ELEMENTARY_H_

#include <limits>

#include "csrc/core/lanes.h"
#include "csrc/core/polynomials.h"

namespace tfvae {
namespace TFVAE_ISA {

template <class Scalar>
struct FloatFormat;

template <>
struct FloatFormat<float> {
  static constexpr int kMantissaBits = 23;
  static constexpr int32_t kExponentBias = 127;
  static constexpr int32_t kOne = 0x3f800000;
  static constexpr int32_t kSqrtHalf = 0x3f3504f3;
  static constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits.
  static constexpr int32_t kRounderBits = 0x4b400000;
  static constexpr float kLn2High = 0x1.62e4p-1f;  // Short enough that its product with an exponent is exact.
  static constexpr float kLn2Low = 0x1.7f7d1cp-20f;
  static constexpr float kHalfLog2E = 0x1.715476p-1f;
  static constexpr float kExpHighest = 89.0f;  // exp is inf from here up, 0 from kExpLowest down.
  static constexpr float kExpLowest = -104.0f;
  static constexpr float kTurnUnit = 0x1.921fb6p-21f;  // 2 pi / 2^23
};

template <>
struct FloatFormat<double> {
  static constexpr int kMantissaBits = 52;
  static constexpr int64_t kExponentBias = 1023;
  static constexpr int64_t kOne = 0x3ff0000000000000;
  static constexpr int64_t kSqrtHalf = 0x3fe6a09e667f3bcd;
  static constexpr double kRounder = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr int64_t kRounderBits = 0x4338000000000000;
  static constexpr double kLn2High = 0x1.62e42fefap-1;
  static constexpr double kLn2Low = 0x1.cf79abc9e3b3ap-40;
  static constexpr double kHalfLog2E = 0x1.71547652b82fep-1;
  static constexpr double kExpHighest = 710.0;
  static constexpr double kExpLowest = -746.0;
  static constexpr double kTurnUnit = 0x1.921fb54442d18p-50;  // 2 pi / 2^52
};

template <class F>
using Format = FloatFormat<LaneOf<F>>;

// exp(x) and exp(x) - 1 for every x; where `near` holds (|x| < ln 2) also exp(x) - 1 - x without cancellation.
template <class F>
struct Exponential {
  F value;
  F minus_one;
  F minus_one_minus_x;
  decltype(IntOf<F>() == IntOf<F>()) near;
};

// x = 2 n ln 2 + r and exp(x) = exp(r) 2^n 2^n: in two factors, because 2^(2n) leaves the range of normal numbers
// before exp(x) does, and equal ones, because that costs one.
template <class F>
TFVAE_INLINE Exponential<F> exponential(F x) {
  using C = Format<F>;
  x = LaneTraits<F>::at_most(x, C::kExpHighest);
  x = LaneTraits<F>::at_least(x, C::kExpLowest);
  const F rounded = x * C::kHalfLog2E + C::kRounder;
  const IntOf<F> n = bit_cast<IntOf<F>>(rounded) - C::kRounderBits;
  const F n_real = rounded - C::kRounder;
  const F r = (x - n_real * (2 * C::kLn2High)) - n_real * (2 * C::kLn2Low);
  const F power = bit_cast<F>((n + C::kExponentBias) << C::kMantissaBits);
  Exponential<F> e;
  e.minus_one_minus_x = r * r * Tails<LaneOf<F>>::template exp<F>(r);
  const F r_minus_one = r + e.minus_one_minus_x;
  e.value = (r_minus_one + LaneOf<F>(1)) * power * power;
  e.near = n == 0;
  e.minus_one = select(e.near, r_minus_one, e.value - LaneOf<F>(1));
  return e;
}

// log(x) for normal positive x.
template <class F>
TFVAE_INLINE F logarithm(F x) {
  using C = Format<F>;
  const IntOf<F> bits = bit_cast<IntOf<F>>(x);
  const IntOf<F> k = (bits - C::kSqrtHalf) >> C::kMantissaBits;
  const F f = bit_cast<F>(bits - (k << C::kMantissaBits)) - LaneOf<F>(1);
  const F k_real = LaneTraits<F>::to_real(k);
  const F square = f * f;
  F tail = k_real * C::kLn2Low + square * f * Tails<LaneOf<F>>::template log<F>(f);
  tail = tail - square * LaneOf<F>(0.5);
  return (f + tail) + k_real * C::kLn2High;
}

template <class F>
struct SinCos {
  F sin;
  F cos;
};

// sin and cos of 2 pi turn / 2^m for an integer 0 <= turn < 2^m, m the mantissa bits of F: the reduction to an octant
// is exact integer arithmetic.
template <class F>
TFVAE_INLINE SinCos<F> sin_cos_of_turn(IntOf<F> turn) {
  using C = Format<F>;
  using Int = IntOf<F>;
  using IntLane = IntOf<LaneOf<F>>;
  constexpr int kBits = static_cast<int>(sizeof(LaneOf<F>)) * 8;
  constexpr int kQuarterBits = C::kMantissaBits - 2;
  constexpr IntLane kQuarter = IntLane(1) << kQuarterBits;
  constexpr IntLane kSignBit = std::numeric_limits<IntLane>::min();
  // Half a quarter further, the two bits from kQuarterBits up number the quadrant, the bits below the place in it.
  const Int shifted = turn + kQuarter / 2;
  const F angle = LaneTraits<F>::to_real((shifted & (kQuarter - 1)) - kQuarter / 2) * C::kTurnUnit;
  const F y = angle * angle;
  const F s = angle + angle * (y * Tails<LaneOf<F>>::template sin<F>(y));
  const F c = (LaneOf<F>(1) - y * LaneOf<F>(0.5)) + y * y * Tails<LaneOf<F>>::template cos<F>(y);
  const auto odd = (shifted << (kBits - 1 - kQuarterBits)) < 0;
  const Int sin_sign = (shifted << (kBits - 2 - kQuarterBits)) & kSignBit;
  const Int cos_sign = ((shifted + kQuarter) << (kBits - 2 - kQuarterBits)) & kSignBit;
  return {bit_cast<F>(bit_cast<Int>(select(odd, c, s)) ^ sin_sign),
          bit_cast<F>(bit_cast<Int>(select(odd, s, c)) ^ cos_sign)};
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CORE_ELEMENTARY_H_
