// reparameterize_kl, one unit of work: noise, z and KL terms in one pass, then the sums of rows.
#ifndef TFVAE_CPU_FORWARD_H_
#define TFVAE_CPU_FORWARD_H_

#include <type_traits>

#include "csrc/core/gaussian.h"
#include "csrc/core/params.h"
#include "csrc/cpu/elements.h"
#include "csrc/cpu/exponentials.h"
#include "csrc/cpu/noise.h"
#include "csrc/cpu/partition.h"
#include "csrc/cpu/prior.h"
#include "csrc/cpu/rows.h"
#include "csrc/cpu/upcoming.h"

namespace tfvae {
namespace TFVAE_ISA {

template <class V>
TFVAE_INLINE Sample<V> sample(V mean, V log_var, const HalfExponential<V>& h, V eps, NoPrior) {
  return sample<V>(mean, log_var, h, eps);
}

// z of `count` elements of the range from `first` on; calls take(i, access, sample) for vectors of them.
template <class T, bool kStreamed, class PriorPlace, class Take>
TFVAE_INLINE void forward_elements(const ForwardParams& p, const Range& range, int64_t first, int64_t count,
                                   const Arithmetic<T>* eps, const PriorPlace& prior, Take take) {
  const T* mean = static_cast<const T*>(p.mean) + range.begin;
  const T* log_var = static_cast<const T*>(p.log_var) + range.begin;
  const Output<kStreamed, T> z = {static_cast<T*>(p.z) + range.begin};
  with_half_exponentials(log_var + first, count, [&](int64_t offset, auto access, auto h) {
    using V = typename decltype(access)::Vector;
    const int64_t i = first + offset;
    const V m = access.get(mean + i), l = access.get(log_var + i), e = access.get(eps + i);
    const Sample<V> s = sample<V>(m, l, h(), e, prior_vector<V>(access, prior, i));
    access.put(z + i, s.z);
    take(i, access, s);
  });
}

// Whether rows are added up on the way. That has a price per row, and a higher one for a part of a vector at its end.
template <class V>
TFVAE_INLINE bool adds_rows_up(int64_t width) {
  return !kStaged && width >= (width % kLanes<V> == 0 ? 8 : 32) * kLanes<V>;
}

template <class T, bool kStreamed>
void forward_unit(const ForwardParams& p, const PhiloxKeys& keys, const Partition& cut, int64_t unit,
                  Arithmetic<T>* partials) {
  using A = Arithmetic<T>;
  using V = VectorOf<A>;
  const Range range = range_of_unit(cut, unit);
  NoiseBlock<A, kUnitSize> noise;
  noise.fill(keys, range.begin, range.size(), upcoming_parameters<T>(p, range));
  A* kl = static_cast<A*>(p.kl);
  with_prior<T>(p, range, [&](auto prior) {
    if (!p.per_dimension && adds_rows_up<V>(range.width())) {
      A* sums = cut.units_per_row > 1 ? partials + unit : kl + range.row;
      for (int64_t row = 0; row < range.rows; ++row) {
        // Of bfloat16 in one sum: widening and rounding want the registers of the other.
        RowSum<V> squares, excesses;
        RowSum<V>& rest = std::is_same_v<T, BFloat16> ? squares : excesses;
        forward_elements<T, kStreamed>(p, range, row * range.width(), range.width(), noise.data(), prior,
                                       [&](int64_t, auto access, const auto& s) {
                                         squares.add(access, s.square_distance);
                                         rest.add(access, s.excess);
                                       });
        squares.add(excesses);
        sums[row] = squares.value() * A(0.5);
      }
    } else {
      alignas(64) A to_add[kUnitSize + kLanes<V>];
      A* terms = p.per_dimension ? kl + range.begin : to_add;
      forward_elements<T, kStreamed>(p, range, 0, range.size(), noise.data(), prior,
                                     [&](int64_t i, auto access, const auto& s) { access.put(terms + i, s.kl()); });
      if (p.per_dimension) return;
      if (cut.units_per_row > 1) {
        partials[unit] = sum(terms, range.size());
      } else {
        sum_rows(terms, range.rows, cut.columns, kl + range.row);
      }
    }
  });
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_FORWARD_H_
