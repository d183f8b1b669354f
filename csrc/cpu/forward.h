// reparameterize_kl, one unit of work: noise, z and KL terms in one pass, then the sums of rows.
#ifndef TFVAE_CPU_FORWARD_H_
#define TFVAE_CPU_FORWARD_H_

#include "csrc/core/gaussian.h"
#include "csrc/core/params.h"
#include "csrc/cpu/elements.h"
#include "csrc/cpu/noise.h"
#include "csrc/cpu/partition.h"
#include "csrc/cpu/rows.h"

namespace tfvae {
namespace TFVAE_ISA {

template <class V>
TFVAE_INLINE Sample<V> sample(V mean, V log_var, V eps, NoPrior) {
  return sample<V>(mean, log_var, eps);
}

// z of the range, and its KL terms to `terms`, which may be the output itself.
template <class T, class PriorPlace>
TFVAE_INLINE void forward_elements(const ForwardParams& p, const Range& range, const Arithmetic<T>* eps,
                                   const PriorPlace& prior, Arithmetic<T>* terms) {
  using V = VectorOf<Arithmetic<T>>;
  const T* mean = static_cast<const T*>(p.mean) + range.begin;
  const T* log_var = static_cast<const T*>(p.log_var) + range.begin;
  T* z = static_cast<T*>(p.z) + range.begin;
  for_vectors<V>(range.size(), [&](int64_t i, auto access) {
    const Sample<V> s = sample<V>(access.get(mean + i), access.get(log_var + i), access.get(eps + i),
                                  prior_vector<V>(access, prior, i));
    access.put(z + i, s.z);
    access.put(terms + i, s.kl);
  });
}

template <class T>
void forward_unit(const ForwardParams& p, const PhiloxStream& stream, const Partition& cut, int64_t unit,
                  Arithmetic<T>* partials) {
  using A = Arithmetic<T>;
  const Range range = range_of_unit(cut, unit);
  NoiseBlock<A, kUnitSize> noise;
  noise.fill(stream, range.begin, range.size());
  A* kl = static_cast<A*>(p.kl);
  alignas(64) A buffer[kUnitSize + kLanes<VectorOf<A>>];
  A* terms = p.per_dimension ? kl + range.begin : buffer;
  with_prior<T>(p, range, [&](auto prior) { forward_elements<T>(p, range, noise.data(), prior, terms); });
  if (p.per_dimension) return;
  if (cut.units_per_row > 1) {
    partials[unit] = sum(terms, range.size());
  } else {
    sum_rows(terms, range.rows, cut.columns, kl + range.row);
  }
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_FORWARD_H_
