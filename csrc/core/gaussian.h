// The mathematics of one element: reparameterization, KL(N(mean, exp(log_var)) || N(0, 1)) in nats, and their gradients
// (Kingma & Welling 2013, appendix B).
#ifndef TFVAE_CORE_GAUSSIAN_H_
#define TFVAE_CORE_GAUSSIAN_H_

#include "csrc/core/elementary.h"
#include "csrc/core/lanes.h"

namespace tfvae {
namespace TFVAE_ISA {

// What log_var enters by: sigma = exp(log_var / 2), expm1(log_var), and expm1(log_var) - log_var, the last two without
// cancellation near 0. All three come from one exponential, of h = log_var / 2, because expm1(2h) = expm1(h) (exp(h) +
// 1) and expm1(2h) - 2h = expm1(h)^2 + 2 (expm1(h) - h).
template <class F>
struct Spread {
  F sigma;
  F variance_minus_one;
  F excess;
};

template <class F>
TFVAE_INLINE Spread<F> spread(F log_var) {
  const Exponential<F> e = exponential<F>(log_var * LaneOf<F>(0.5));
  const F variance_minus_one = e.minus_one * (e.value + LaneOf<F>(1));
  const F near_excess = e.minus_one * e.minus_one + e.minus_one_minus_x * LaneOf<F>(2);
  return {e.value, variance_minus_one, select(e.near, near_excess, variance_minus_one - log_var)};
}

template <class F>
struct Sample {
  F z;
  F kl;
};

template <class F>
TFVAE_INLINE Sample<F> sample(F mean, F log_var, F eps) {
  const Spread<F> s = spread<F>(log_var);
  return {mean + s.sigma * eps, (mean * mean + s.excess) * LaneOf<F>(0.5)};
}

template <class F>
struct Gradients {
  F mean;
  F log_var;
};

template <class F>
TFVAE_INLINE Gradients<F> gradients(F mean, F log_var, F eps, F dz, F dkl) {
  const Spread<F> s = spread<F>(log_var);
  return {dz + dkl * mean, (dz * (s.sigma * eps) + dkl * s.variance_minus_one) * LaneOf<F>(0.5)};
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CORE_GAUSSIAN_H_
