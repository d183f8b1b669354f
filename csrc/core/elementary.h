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
  static constexpr float kRounder =
      25165824.0f;  // 1.5 * 2^24: adding it rounds to even, with the half in the low bits.
  static constexpr int32_t kRounderBits = 0x4bc00000;
  static constexpr float kLn2High = 0x1.62e4p-1f;  // Short enough that its product with an exponent is exact.
  static constexpr float kLn2Low = 0x1.7f7d1cp-20f;
  static constexpr float kLn2 = 0x1.62e43p-1f;  // Exceeds ln 2 by 2^-29, which no logarithm shows.
  static constexpr float kLog2E = 0x1.715476p0f;
  static constexpr float kExpHighest = 89.0f;  // exp is inf from here up, 0 from kExpLowest down.
  static constexpr float kExpLowest = -104.0f;
};

template <>
struct FloatFormat<double> {
  static constexpr int kMantissaBits = 52;
  static constexpr int64_t kExponentBias = 1023;
  static constexpr int64_t kOne = 0x3ff0000000000000;
  static constexpr int64_t kSqrtHalf = 0x3fe6a09e667f3bcd;
  static constexpr double kRounder = 13510798882111488.0;  // 1.5 * 2^53
  static constexpr int64_t kRounderBits = 0x4348000000000000;
  static constexpr double kLn2High = 0x1.62e42fefap-1;
  static constexpr double kLn2Low = 0x1.cf79abc9e3b3ap-40;
  static constexpr double kLog2E = 0x1.71547652b82fep0;
  static constexpr double kExpHighest = 710.0;
  static constexpr double kExpLowest = -746.0;
};

template <class F>
using Format = FloatFormat<LaneOf<F>>;

// x / 2 = n ln 2 + r / 2 for an even n, and what a polynomial makes of r.
template <class F>
struct ReducedExponential {
  F rounded;               // n + kRounder
  F minus_one;             // exp(r / 2) - 1
  F minus_one_minus_half;  // exp(r / 2) - 1 - r / 2
};

// exp(x / 2), and near 0, where it would cancel, exp(x / 2) - 1 and exp(x / 2) - 1 - x / 2.
template <class F>
struct HalfExponential {
  F value;
  MaskOf<F> near;  // Where the next two hold: about |x| <= 2 ln 2.
  F minus_one;
  F minus_one_minus_half;
};

template <class F>
TFVAE_INLINE ReducedExponential<F> reduced_exponential(F x) {
  using C = Format<F>;
  using L = LaneOf<F>;
  F limited = x;
  if constexpr (!LaneTraits<F>::kScales) {
    limited = LaneTraits<F>::at_least(LaneTraits<F>::at_most(x, 2 * C::kExpHighest), 2 * C::kExpLowest);
  }
  const F rounded = limited * (C::kLog2E / 2) + C::kRounder, n = rounded - C::kRounder;
  const F r = (limited - n * (2 * C::kLn2High)) - n * (2 * C::kLn2Low);
  const F excess = r * r * Tails<L>::template half_exp<F>(r);
  return {rounded, r * L(0.5) + excess, excess};
}

// exp(x / 2) = exp(r / 2) 2^n: by an instruction, which makes NaN, 0 and inf of n whatever exp(r / 2) is, if only it is
// positive and finite; or in two equal factors, because 2^n leaves the range of normal numbers before exp(x / 2) does.
template <class F>
TFVAE_INLINE HalfExponential<F> half_exponential(const ReducedExponential<F>& e) {
  using C = Format<F>;
  using L = LaneOf<F>;
  const F n = e.rounded - C::kRounder;
  F value;
  if constexpr (LaneTraits<F>::kScales) {
    value = LaneTraits<F>::scale(LaneTraits<F>::positive_up_to(e.minus_one + L(1), L(4)), n);
  } else {
    const IntOf<F> half_n = bit_cast<IntOf<F>>(e.rounded) - C::kRounderBits;
    const F factor = bit_cast<F>((half_n + C::kExponentBias) << C::kMantissaBits);
    value = (e.minus_one * factor + factor) * factor;
  }
  return {value, n == L(0), e.minus_one, e.minus_one_minus_half};
}

template <class F>
TFVAE_INLINE HalfExponential<F> half_exponential(F x) {
  return half_exponential<F>(reduced_exponential<F>(x));
}

// exp(x). A doubled x is exact.
template <class F>
TFVAE_INLINE F exponential(F x) {
  return half_exponential<F>(x + x).value;
}

// x = 2^k (1 + f) with 1 + f between the roots of 1/2 and 2.
template <class F>
TFVAE_INLINE F minus_two_log_by_polynomial(F x) {
  using C = Format<F>;
  using L = LaneOf<F>;
  using Int = IntOf<F>;
  const Int bits = bit_cast<Int>(x);
  // x = 2^k (1 + f). For float, integers of any size convert, so k stays where the exponent is.
  constexpr int kShift = sizeof(L) == 4 ? 0 : C::kMantissaBits;
  constexpr L kUnit = sizeof(L) == 4 ? L(1) / (1 << 23) : L(1);
  const Int exponent = (bits - C::kSqrtHalf) & ~((IntOf<L>(1) << C::kMantissaBits) - 1);
  const F k = LaneTraits<F>::to_real(exponent >> kShift);
  const F f = bit_cast<F>(bits - exponent) - L(1);
  const F square = f * f;
  const F tail = k * (-2 * C::kLn2Low * kUnit) + square * f * Tails<L>::template minus_two_log<F>(f);
  return (f * L(-2) + (square + tail)) + k * (-2 * C::kLn2High * kUnit);
}

// -2 log(x / 2^Scale). x / 2^Scale = 2^k m with 1/2 <= m < 1, and m = (1 + r) / c with c from a table of 16 by the
// leading bits of m. Where m is next to 1, c is 1 and its logarithm 0, so that nothing cancels.
template <int Scale, class F>
TFVAE_INLINE F minus_two_log_by_table(F x) {
  using C = Format<F>;
  using L = LaneOf<F>;
  using Int = IntOf<L>;
  using Table = LogTable<L>;
  const IntOf<F> bits = bit_cast<IntOf<F>>(x);
  const IntOf<F> index = bits >> (C::kMantissaBits - 4);
  const F k = LaneTraits<F>::exponent(bit_cast<F>(bits + (Int(1 - Scale) << C::kMantissaBits)));
  // -2 r. One rounding here and in the last line, whatever the compiler makes of sums and products, or digits are lost.
  const F s = LaneTraits<F>::multiply_add(LaneTraits<F>::lookup(Table::kMinusTwoReciprocal, index),
                                          LaneTraits<F>::fraction(x), broadcast<F>(L(2)));
  const F log1p = s * s * Table::template tail<F>(s) + s;
  const F rest = LaneTraits<F>::lookup(Table::kTwoLogReciprocal, index) + log1p;
  return LaneTraits<F>::multiply_add(k, broadcast<F>(L(-2 * C::kLn2)), rest);
}

// -2 log(x) for normal x, 0 < x <= 1.
template <class F>
TFVAE_INLINE F minus_two_log(F x) {
  if constexpr (LaneTraits<F>::kTables) {
    return minus_two_log_by_table<0, F>(x);
  } else {
    return minus_two_log_by_polynomial<F>(x);
  }
}

template <class F>
struct Point {
  F x;
  F y;
};

// radius (cos, sin)(2 pi turn / 2^m) for a radius >= 0, m the mantissa bits of F; higher bits of turn do not matter.
// The reduction to an octant is exact.
template <class F>
TFVAE_INLINE Point<F> on_circle(F radius, IntOf<F> turn) {
  using C = Format<F>;
  using L = LaneOf<F>;
  using Int = IntOf<F>;
  using IntLane = IntOf<L>;
  constexpr int kQuadrantBit = C::kMantissaBits - 2;
  constexpr int kTopBit = static_cast<int>(sizeof(IntLane)) * 8 - 1;
  constexpr IntLane kSignBit = std::numeric_limits<IntLane>::min();
  // Half a quadrant on, the bits from kQuadrantBit up count the nearest quarter turn, and those below are the mantissa
  // of 9/8 and the distance from it, in turns.
  const Int nearest = wrapping_sum(turn, IntLane(1) << (kQuadrantBit - 1));
  const F t = bit_cast<F>((nearest & ((IntLane(1) << kQuadrantBit) - 1)) | C::kOne) - L(1.125);
  const F square = t * t;
  const F s = t * Turns<L>::template sin<F>(square);
  const F c = square * Turns<L>::template cos<F>(square) + L(1);
  // Quarter turn 0, 1, 2 or 3: in an odd one sine and cosine change places; the sine is negative in 2 and 3, the cosine
  // in 1 and 2. What decides is moved to the sign bit.
  const Int odd = nearest << (kTopBit - kQuadrantBit);
  const Int y_radius = bit_cast<Int>(radius) ^ ((nearest << (kTopBit - 1 - kQuadrantBit)) & kSignBit);
  const Int x_radius = y_radius ^ (odd & kSignBit);
  return {LaneTraits<F>::select_by_sign(odd, s, c) * bit_cast<F>(x_radius),
          LaneTraits<F>::select_by_sign(odd, c, s) * bit_cast<F>(y_radius)};
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CORE_ELEMENTARY_H_
