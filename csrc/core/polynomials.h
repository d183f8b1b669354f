// Minimax coefficients, lowest power first; `python csrc/core/fit_polynomials.py` reproduces them and their errors.
#ifndef TFVAE_CORE_POLYNOMIALS_H_
#define TFVAE_CORE_POLYNOMIALS_H_

#include "csrc/core/lanes.h"

namespace tfvae {
namespace TFVAE_ISA {

// c0 + c2 y + c4 y^2 + ... by Horner's rule, over literals so that no table is read at run time.
template <class F>
TFVAE_INLINE F every_second(F, LaneOf<F> c0) {
  return broadcast<F>(c0);
}
template <class F>
TFVAE_INLINE F every_second(F, LaneOf<F> c0, LaneOf<F>) {
  return broadcast<F>(c0);
}
template <class F, class... Rest>
TFVAE_INLINE F every_second(F y, LaneOf<F> c0, LaneOf<F>, LaneOf<F> c2, Rest... rest) {
  return every_second<F>(y, c2, rest...) * y + c0;
}

// c0 + c1 x + c2 x^2 + ... as even(x^2) + x odd(x^2): as many operations as Horner's rule, half as long to wait for.
template <class F, class... Rest>
TFVAE_INLINE F polynomial(F x, LaneOf<F> c0, LaneOf<F> c1, LaneOf<F> c2, Rest... rest) {
  const F y = x * x;
  return every_second<F>(y, c1, c2, rest...) * x + every_second<F>(y, c0, c1, c2, rest...);
}

// c0 + c1 x + c2 x^2 + ... by Horner's rule.
template <class F>
TFVAE_INLINE F horner(F, LaneOf<F> c0) {
  return broadcast<F>(c0);
}
template <class F, class... Rest>
TFVAE_INLINE F horner(F x, LaneOf<F> c0, Rest... rest) {
  return horner<F>(x, rest...) * x + c0;
}

template <class Scalar>
struct Tails;

template <>
struct Tails<float> {
  // (exp(x / 2) - 1 - x / 2) / x^2 for |x| <= 2 ln 2; relative error 6.6e-9.
  template <class F>
  static TFVAE_INLINE F half_exp(F x) {
    return polynomial<F>(x, 0.125f, 0.020833338f, 0.0026041656f, 0.0002603993f, 2.1702264e-05f, 1.56824e-06f,
                         9.71816e-08f);
  }
  // -2 (log(1 + x) - x + x^2/2) / x^3 for sqrt(1/2) <= 1 + x <= sqrt(2); error of the logarithm 5.8e-9 relative.
  template <class F>
  static TFVAE_INLINE F minus_two_log(F x) {
    return polynomial<F>(x, -0.6666666f, 0.5000164f, -0.40002453f, 0.33246714f, -0.28403518f, 0.26320365f, -0.2552315f,
                         0.1526899f);
  }
};

template <>
struct Tails<double> {
  // As above; errors 6.9e-20 and 2.4e-19.
  template <class F>
  static TFVAE_INLINE F half_exp(F x) {
    return polynomial<F>(x, 0.125, 0.020833333333333332, 0.002604166666666666, 0.0002604166666666669,
                         2.1701388888892515e-05, 1.5500992063483815e-06, 9.688120038545546e-08, 5.3822889122650066e-09,
                         2.6911446250180753e-10, 1.2232473850661909e-11, 5.09673482282708e-13, 1.9603546031562033e-14,
                         7.050315758136993e-16, 2.3385233668950647e-17);
  }
  template <class F>
  static TFVAE_INLINE F minus_two_log(F x) {
    return polynomial<F>(x, -0.666666666666667, 0.5000000000000073, -0.399999999999879, 0.33333333333095744,
                         -0.28571428573146923, 0.25000000029103886, -0.2222222211737395, 0.1999999815151854,
                         -0.18181820956572334, 0.16666735061626883, -0.15384610100013382, 0.14284176826471467,
                         -0.13331797001767576, 0.12520736673053104, -0.1180501384640785, 0.10958939492984149,
                         -0.1005583538418914, 0.10378367209976166, -0.12105818286240591, 0.10819538735657623,
                         -0.04496881205019138);
  }
};

template <class Scalar>
struct LogTable;

template <>
struct LogTable<float> {
  // For m in [1/2 + i/32, 1/2 + (i + 1)/32): -2 c for a c near the middle's reciprocal, and 2 log c. Of the floats
  // there the one is taken whose logarithm is nearest to a float, to 0.0003 of its last place.
  alignas(64) static constexpr float kMinusTwoReciprocal[16] = {
      -3.8790805f, -3.6568594f, -3.4598222f, -3.2818792f, -3.1217074f, -2.9766114f, -2.8448443f, -2.7238626f,
      -2.6122892f, -2.5094104f, -2.415179f,  -2.3272524f, -2.2454f,    -2.169806f,  -2.098626f,  -2.0f};
  alignas(64) static constexpr float kTwoLogReciprocal[16] = {
      1.3249019f, 1.206915f,   1.09614f,    0.990538f,   0.89046586f, 0.7952767f,  0.70472234f, 0.61780757f,
      0.5341595f, 0.45380127f, 0.37725246f, 0.30308232f, 0.23147295f, 0.16298117f, 0.09627123f, 0.0f};
  // (-2 log(1 - s/2) - s) / s^2 for |s| <= 1/16; error of the logarithm 7.7e-9 relative where it is all there is, for
  // -0.036 < s, and 1.8e-8 absolute below, where at least 1/2 is added.
  template <class F>
  static TFVAE_INLINE F tail(F s) {
    return horner<F>(s, 0.24999918f, 0.083344914f, 0.032044496f);
  }
};

template <class Scalar>
struct Turns;

template <>
struct Turns<float> {
  // sin(2 pi t) / t and (cos(2 pi t) - 1) / t^2 with y = t^2, for |t| <= 1/8; errors 3.2e-9 relative and 3.2e-8.
  template <class F>
  static TFVAE_INLINE F sin(F y) {
    return horner<F>(y, 6.2831855f, -41.341663f, 81.592354f, -75.39356f);
  }
  template <class F>
  static TFVAE_INLINE F cos(F y) {
    return horner<F>(y, -19.739168f, 64.923225f, -83.665924f);
  }
};

template <>
struct Turns<double> {
  // As above; errors 1.9e-21 and 1.6e-23.
  template <class F>
  static TFVAE_INLINE F sin(F y) {
    return horner<F>(y, 6.283185307179586, -41.34170224039976, 81.60524927607493, -76.70585975299669, 42.0586939287263,
                     -15.094640379308494, 3.8197869780596605, -0.711614957542161);
  }
  template <class F>
  static TFVAE_INLINE F cos(F y) {
    return horner<F>(y, -19.739208802178716, 64.9393940226683, -85.45681720669357, 60.24464137182226,
                     -26.42625677305296, 7.90353522995646, -1.7143174810703141, 0.27947821776843906);
  }
};

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CORE_POLYNOMIALS_H_
