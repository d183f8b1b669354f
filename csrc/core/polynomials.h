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

template <class Scalar>
struct Tails;

template <>
struct Tails<float> {
  // (exp(x) - 1 - x) / x^2 for |x| <= ln 2; relative error 6.6e-9.
  template <class F>
  static TFVAE_INLINE F exp(F x) {
    return polynomial<F>(x, 0.5f, 0.1666667f, 0.04166665f, 0.008332778f, 0.0013889449f, 0.00020073472f, 2.4878489e-05f);
  }
  // -2 (log(1 + x) - x + x^2/2) / x^3 for sqrt(1/2) <= 1 + x <= sqrt(2); error of the logarithm 5.8e-9 relative.
  template <class F>
  static TFVAE_INLINE F minus_two_log(F x) {
    return polynomial<F>(x, -0.6666666f, 0.5000164f, -0.40002453f, 0.33246714f, -0.28403518f, 0.26320365f, -0.2552315f,
                         0.1526899f);
  }
  // (sin(sqrt y)/sqrt y - 1) / y and (cos(sqrt y) - 1 + y/2) / y^2 for sqrt y <= pi/4; errors 3.6e-9 and 9.5e-11.
  template <class F>
  static TFVAE_INLINE F sin(F y) {
    return polynomial<F>(y, -0.16666655f, 0.008332178f, -0.000195173f);
  }
  template <class F>
  static TFVAE_INLINE F cos(F y) {
    return polynomial<F>(y, 0.041666646f, -0.0013887368f, 2.4438452e-05f);
  }
};

template <>
struct Tails<double> {
  // As above; errors 6.9e-20, 2.4e-19, 1.9e-21 and 2.2e-23.
  template <class F>
  static TFVAE_INLINE F exp(F x) {
    return polynomial<F>(x, 0.5, 0.16666666666666666, 0.04166666666666666, 0.00833333333333334, 0.001388888888889121,
                         0.00019841269841259284, 2.4801587298676598e-05, 2.7557319230796834e-06, 2.755732096018509e-07,
                         2.505210644615559e-08, 2.087622583429972e-09, 1.6059224909055618e-10, 1.155123733813165e-11,
                         7.662873368641748e-13);
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
  template <class F>
  static TFVAE_INLINE F sin(F y) {
    return polynomial<F>(y, -0.16666666666666666, 0.008333333333333323, -0.00019841269841255137, 2.7557319214227095e-06,
                         -2.5052104921339407e-08, 1.6058367894238528e-10, -7.578761824380013e-13);
  }
  template <class F>
  static TFVAE_INLINE F cos(F y) {
    return polynomial<F>(y, 0.041666666666666664, -0.0013888888888888874, 2.480158730157154e-05,
                         -2.7557319215394465e-07, 2.0876754370362023e-09, -1.1470293744000417e-11,
                         4.73813062351925e-14);
  }
};

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CORE_POLYNOMIALS_H_
