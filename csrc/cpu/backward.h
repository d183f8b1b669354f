// The gradients of reparameterize_kl, one unit of work: the noise is drawn again.
#ifndef TFVAE_CPU_BACKWARD_H_
#define TFVAE_CPU_BACKWARD_H_

#include <type_traits>

#include "csrc/core/gaussian.h"
#include "csrc/core/params.h"
#include "csrc/cpu/elements.h"
#include "csrc/cpu/exponentials.h"
#include "csrc/cpu/noise.h"
#include "csrc/cpu/partition.h"
#include "csrc/cpu/prior.h"
#include "csrc/cpu/prior_sums.h"
#include "csrc/cpu/rows.h"
#include "csrc/cpu/upcoming.h"

namespace tfvae {
namespace TFVAE_ISA {

// The gradient of the KL, which beside bfloat16 is float32 and may have a NaN of any pattern: bfloat16_bits_by_halves,
// which packs are rounded by where loops are not staged and the processor does not round, takes the usual one alone.
template <class T, class V>
TFVAE_INLINE V upstream(V gradient) {
  if constexpr (std::is_same_v<T, BFloat16> && !kStaged && !kHardwareBFloat16) {
    return select(gradient == gradient, gradient, broadcast<V>(__builtin_nanf("")));
  } else {
    return gradient;
  }
}

// Where the gradients by a prior go; of the range alone.
template <class T>
struct PriorGradientPlace {
  T* mean;
  T* log_var;
};

template <class T, bool kStreamed, class PriorPlace, class Out = T>
TFVAE_INLINE void backward_elements(const BackwardParams& p, const Range& range, const Arithmetic<T>* eps,
                                    const Arithmetic<T>* dkl, const PriorPlace& prior,
                                    const PriorGradientPlace<Out>& dprior = {}) {
  const T* mean = static_cast<const T*>(p.mean) + range.begin;
  const T* log_var = static_cast<const T*>(p.log_var) + range.begin;
  const T* dz = static_cast<const T*>(p.dz) + range.begin;
  const Output<kStreamed, T> dmean = {static_cast<T*>(p.dmean) + range.begin};
  const Output<kStreamed, T> dlog_var = {static_cast<T*>(p.dlog_var) + range.begin};
  with_half_exponentials(log_var, range.size(), [&](int64_t i, auto access, auto h) {
    using V = typename decltype(access)::Vector;
    const HalfExponential<V> half = h();
    const V m = access.get(mean + i), l = access.get(log_var + i), e = access.get(eps + i);
    const V gz = access.get(dz + i), gkl = upstream<T>(access.get(dkl + i));
    if constexpr (std::is_same_v<PriorPlace, NoPrior>) {
      const Gradients<V> g = gradients<V>(m, half, e, gz, gkl);
      access.put(dmean + i, g.mean);
      access.put(dlog_var + i, g.log_var);
    } else {
      const PriorGradients<V> g = gradients<V>(m, l, half, e, gz, gkl, prior_vector<V>(access, prior, i));
      access.put(dmean + i, g.q.mean);
      access.put(dlog_var + i, g.q.log_var);
      access.put(dprior.mean + i, g.prior.mean);
      access.put(dprior.log_var + i, g.prior.log_var);
    }
  });
}

// prior_sums: for a shared prior, what the gradients by it are added to.
template <class T, bool kStreamed>
void backward_unit(const BackwardParams& p, const PhiloxKeys& keys, const Partition& cut, int64_t unit,
                   PriorSums* prior_sums) {
  using A = Arithmetic<T>;
  const Range range = range_of_unit(cut, unit);
  NoiseBlock<A, kUnitSize> noise;
  Upcoming<T> upcoming = upcoming_parameters<T>(p, range);
  upcoming.dz = static_cast<const T*>(p.dz) + range.begin;
  noise.fill(keys, range.begin, range.size(), upcoming);
  const A* dkl = static_cast<const A*>(p.dkl);
  alignas(64) A repeated[kUnitSize + kLanes<VectorOf<A>>];
  if (p.per_dimension) {
    dkl += range.begin;
  } else {
    repeat_along_rows(dkl + range.row, range.rows, range.width(), repeated);
    dkl = repeated;
  }
  with_prior<T>(p, range, [&](auto prior) {
    using PriorPlace = decltype(prior);
    if constexpr (std::is_same_v<PriorPlace, SharedPrior<A>>) {
      constexpr int64_t kSize = kUnitSize + kLanes<VectorOf<A>>;
      alignas(64) A dmean[kSize], dlog_var[kSize];
      backward_elements<T, kStreamed>(p, range, noise.data(), dkl, prior, PriorGradientPlace<A>{dmean, dlog_var});
      prior_sums->add(dmean, dlog_var, range.rows);
    } else if constexpr (std::is_same_v<PriorPlace, FullPrior<T>>) {
      const PriorGradientPlace<T> dprior = {static_cast<T*>(p.dprior_mean) + range.begin,
                                            static_cast<T*>(p.dprior_log_var) + range.begin};
      backward_elements<T, kStreamed>(p, range, noise.data(), dkl, prior, dprior);
    } else {
      backward_elements<T, kStreamed>(p, range, noise.data(), dkl, prior);
    }
  });
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_BACKWARD_H_
