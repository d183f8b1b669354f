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
struct PriorAt {
  const T* mean;
  const T* log_var;
};

// Calls body with where the prior of this range lies: at most kUnitSize elements.
template <class T, class Body>
TFVAE_INLINE void with_prior(const CommonParams& p, const Range& range, Body body) {
  using A = Arithmetic<T>;
  const T* mean = static_cast<const T*>(p.prior_mean);
  const T* log_var = static_cast<const T*>(p.prior_log_var);
  if (p.prior == PriorShape::kNone) {
    body(NoPrior());
  } else if (p.prior == PriorShape::kFull) {
    body(PriorAt<T>{mean + range.begin, log_var + range.begin});
  } else {
    constexpr int64_t kSize = kUnitSize + kLanes<VectorOf<A>>;
    alignas(64) A repeated_mean[kSize], repeated_log_var[kSize];
    repeat_row(mean + range.column, range.rows, range.width(), repeated_mean);
    repeat_row(log_var + range.column, range.rows, range.width(), repeated_log_var);
    body(PriorAt<A>{repeated_mean, repeated_log_var});
  }
}

// The prior's part of a vector.
template <class V, class Access>
TFVAE_INLINE NoPrior prior_vector(const Access&, NoPrior, int64_t) {
  return {};
}
template <class V, class Access, class T>
TFVAE_INLINE Prior<V> prior_vector(const Access& access, const PriorAt<T>& prior, int64_t i) {
  return {access.get(prior.mean + i), access.get(prior.log_var + i)};
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_PRIOR_H_
