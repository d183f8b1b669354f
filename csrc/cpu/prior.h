// Where a unit of work finds its prior: nowhere, beside the parameters, or in a row repeated for it.
#ifndef TFVAE_CPU_PRIOR_H_
#define TFVAE_CPU_PRIOR_H_

#include "csrc/core/gaussian.h"
#include "csrc/core/params.h"
#include "csrc/cpu/elements.h"
#include "csrc/cpu/partition.h"
#include "csrc/cpu/rows.h"

namespace tfvae {
namespace TFVAE_ISA {

struct NoPrior {};

template <class T>
struct FullPrior {
  const T* mean;
  const T* log_var;
};

// The precision, an exponential, is that of all rows of the unit.
template <class A>
struct SharedPrior {
  const A* mean;
  const A* log_var;
  const A* precision;
};

// Calls body with where the prior of this range lies: at most kUnitSize elements.
template <class T, class Body>
TFVAE_INLINE void with_prior(const CommonParams& p, const Range& range, Body body) {
  using A = Arithmetic<T>;
  using V = VectorOf<A>;
  const T* mean = static_cast<const T*>(p.prior_mean);
  const T* log_var = static_cast<const T*>(p.prior_log_var);
  if (p.prior == PriorShape::kNone) {
    body(NoPrior());
  } else if (p.prior == PriorShape::kFull) {
    body(FullPrior<T>{mean + range.begin, log_var + range.begin});
  } else {
    constexpr int64_t kSize = kUnitSize + kLanes<V>;
    alignas(64) A means[kSize], log_vars[kSize], precisions[kSize];
    const int64_t width = range.width();
    for_vectors<V>(width, [&](int64_t i, auto access) {
      const Prior<V> prior = make_prior<V>(access.get(mean + range.column + i), access.get(log_var + range.column + i));
      access.put(means + i, prior.mean);
      access.put(log_vars + i, prior.log_var);
      access.put(precisions + i, prior.precision);
    });
    repeat_first_row(means, range.rows, width);
    repeat_first_row(log_vars, range.rows, width);
    repeat_first_row(precisions, range.rows, width);
    body(SharedPrior<A>{means, log_vars, precisions});
  }
}

// Whether there is a prior, which all units of a call have in common.
template <bool kHasPrior_>
struct HasPriorTag {
  static constexpr bool kHasPrior = kHasPrior_;
};

template <class Body>
inline void with_or_without_prior(const CommonParams& p, Body body) {
  if (p.prior == PriorShape::kNone) {
    body(HasPriorTag<false>());
  } else {
    body(HasPriorTag<true>());
  }
}

// The prior's part of a vector.
template <class V, class Access>
TFVAE_INLINE NoPrior prior_vector(const Access&, NoPrior, int64_t) {
  return {};
}
template <class V, class Access, class T>
TFVAE_INLINE Prior<V> prior_vector(const Access& access, const FullPrior<T>& prior, int64_t i) {
  return make_prior<V>(access.get(prior.mean + i), access.get(prior.log_var + i));
}
template <class V, class Access, class A>
TFVAE_INLINE Prior<V> prior_vector(const Access& access, const SharedPrior<A>& prior, int64_t i) {
  return {access.get(prior.mean + i), access.get(prior.log_var + i), access.get(prior.precision + i)};
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_PRIOR_H_
