// The mathematics of one element: reparameterization, KL(N(mean, exp(log_var)) || N(0, 1)) in nats, and their gradients
// (Kingma & Welling 2013, appendix B).
#ifndef TFVAE_CORE_GAUSSIAN_H_
#define TFVAE_CORE_GAUSSIAN_H_

#include "csrc/core/elementary.h"
#include "csrc/core/lanes.h"

namespace tfvae {
namespace TFVAE_ISA {

// exp(log_var) - 1 from h = half_exponential(log_var), without cancellation near 0: with e = exp(log_var / 2) - 1 it is
// e (e + 2).
template <class F>
TFVAE_INLINE F variance_minus_one(const HalfExponential<F>& h) {
  using L = LaneOf<F>;
  return select(h.near, h.minus_one, h.value - L(1)) * (h.value + L(1));
}

// exp(log_var) - 1 - log_var likewise: e^2 + 2 (e - log_var / 2). Away from 0 it is exp(log_var / 2)^2 - (1 + log_var),
// unless the square is rounded before the rest is added: that would lose a digit.
template <class F>
TFVAE_INLINE F variance_excess(F log_var, const HalfExponential<F>& h) {
  using L = LaneOf<F>;
  F root = h.value, rest = L(-1) - log_var;
  if constexpr (!kFusesMultiplyAdd) {
    root = h.value - L(1);
    rest = (root + root) - log_var;
  }
  root = select(h.near, h.minus_one, root);
  rest = select(h.near, h.minus_one_minus_half + h.minus_one_minus_half, rest);
  return root * root + rest;
}

// A diagonal Gaussian prior N(mean, exp(log_var)).
template <class F>
struct Prior {
  F mean;
  F log_var;
  F precision;  // exp(-log_var)
};

template <class F>
TFVAE_INLINE Prior<F> make_prior(F mean, F log_var) {
  return {mean, log_var, exponential<F>(-log_var)};
}

// z, and twice the KL as the sum of two terms.
template <class F>
struct Sample {
  F z;
  F square_distance;  // (mean - prior mean)^2 / prior variance
  F excess;           // expm1(l) - l with l = log_var - prior log_var

  TFVAE_INLINE F kl() const { return (square_distance + excess) * LaneOf<F>(0.5); }
};

// Here and below h is half_exponential(log_var).
template <class F>
TFVAE_INLINE Sample<F> sample(F mean, F log_var, const HalfExponential<F>& h, F eps) {
  return {mean + h.value * eps, mean * mean, variance_excess<F>(log_var, h)};
}

template <class F>
TFVAE_INLINE Sample<F> sample(F mean, F log_var, const HalfExponential<F>& h, F eps, const Prior<F>& prior) {
  const F distance = mean - prior.mean;
  const F l = log_var - prior.log_var;
  return {mean + h.value * eps, distance * distance * prior.precision, variance_excess<F>(l, half_exponential<F>(l))};
}

template <class F>
struct Gradients {
  F mean;
  F log_var;
};

template <class F>
TFVAE_INLINE Gradients<F> gradients(F mean, const HalfExponential<F>& h, F eps, F dz, F dkl) {
  return {dz + dkl * mean, (dz * (h.value * eps) + dkl * variance_minus_one<F>(h)) * LaneOf<F>(0.5)};
}

template <class F>
struct PriorGradients {
  Gradients<F> q;
  Gradients<F> prior;
};

template <class F>
TFVAE_INLINE PriorGradients<F> gradients(F mean, F log_var, const HalfExponential<F>& h, F eps, F dz, F dkl,
                                         const Prior<F>& prior) {
  const F distance = mean - prior.mean;
  const F pull = distance * prior.precision;
  const F ratio_minus_one = variance_minus_one<F>(half_exponential<F>(log_var - prior.log_var));
  const F half_dkl = dkl * LaneOf<F>(0.5);
  return {{dz + dkl * pull, dz * (h.value * eps) * LaneOf<F>(0.5) + half_dkl * ratio_minus_one},
          {-dkl * pull, -half_dkl * (ratio_minus_one + distance * pull)}};
}

// What all samples of one element share in the log ratio.
template <class F>
struct RatioTerms {
  F mean;
  F sigma;
  F prior_mean;
  F prior_precision;
};

// log q(z) - log p(z) = (z - prior mean)^2 / (2 prior variance) - eps^2 / 2 + (prior log_var - log_var) / 2, of which
// the last term is the same for all samples and left to the caller.
template <class F>
struct RatioSample {
  F z;
  F log_ratio;
};

template <class F>
TFVAE_INLINE RatioSample<F> ratio_sample(const RatioTerms<F>& t, F eps) {
  const F z = t.mean + t.sigma * eps;
  const F distance = z - t.prior_mean;
  return {z, (distance * distance * t.prior_precision - eps * eps) * LaneOf<F>(0.5)};
}

// One sample's part of the gradients, by the upstream dz and dr of z and the log ratio. stop_density_gradient
// keeps the parameters inside log q fixed: that adds the gradient of log q by z and leaves out -1/2 by log_var.
template <class F>
struct RatioGradients {
  F mean;
  F log_var;
  F prior_mean;
  F prior_log_var;
};

template <class F>
TFVAE_INLINE RatioGradients<F> ratio_gradients(const RatioTerms<F>& t, F eps, F dz, F dr, bool stop_density_gradient) {
  const F sigma_eps = t.sigma * eps;
  const F distance = t.mean + sigma_eps - t.prior_mean;
  const F pull = distance * t.prior_precision;
  const F half = broadcast<F>(LaneOf<F>(0.5));
  const F half_dr = dr * half;
  // log q(z) with fixed parameters has the gradient -eps / sigma by z, and times sigma eps that is -eps^2.
  const F path = dz + dr * pull;
  RatioGradients<F> g;
  if (stop_density_gradient) {
    g.mean = path - dr * eps / t.sigma;
    g.log_var = path * sigma_eps * half - half_dr * eps * eps;
  } else {
    g.mean = path;
    g.log_var = path * sigma_eps * half - half_dr;
  }
  g.prior_mean = -dr * pull;
  g.prior_log_var = half_dr - half_dr * distance * pull;
  return g;
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CORE_GAUSSIAN_H_
