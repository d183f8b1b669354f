// Two standard normals from two uniform words (Box & Muller 1958), with TensorFlow's conventions: the uniform takes the
// low mantissa bits, its floor is 1e-7, and the sine comes first.
//
// TensorFlow rounds the angle 2 pi u to the type before it takes the sine; here the angle is exact. That, times the
// largest radius (5.68), is the 1.4e-6 by which a float32 normal may differ.
#ifndef TFVAE_CORE_BOX_MULLER_H_
#define TFVAE_CORE_BOX_MULLER_H_

#include "csrc/core/elementary.h"
#include "csrc/core/lanes.h"

namespace tfvae {
namespace TFVAE_ISA {

// -2 log of the fraction of 1 that the low m bits of a word are, m the mantissa bits of F.
template <class F>
TFVAE_INLINE F minus_two_log_of_uniform(IntOf<F> word) {
  using C = Format<F>;
  using L = LaneOf<F>;
  constexpr IntOf<L> kMantissa = (IntOf<L>(1) << C::kMantissaBits) - 1;
  constexpr L kSmallest = static_cast<L>(1e-7);
  if constexpr (LaneTraits<F>::kTables) {
    constexpr L kUnit = IntOf<L>(1) << C::kMantissaBits;
    const F count = LaneTraits<F>::at_least(LaneTraits<F>::to_real(word & kMantissa), kSmallest * kUnit);
    return minus_two_log_by_table<C::kMantissaBits, F>(count);
  } else {
    const F u = bit_cast<F>((word & kMantissa) | C::kOne) - L(1);
    return minus_two_log_by_polynomial<F>(LaneTraits<F>::at_least(u, kSmallest));
  }
}

template <class F>
TFVAE_INLINE F radius(IntOf<F> word) {
  return LaneTraits<F>::square_root(minus_two_log_of_uniform<F>(word));
}

// Both words give their low m bits. The first normal is y of the point, the second x.
template <class F>
TFVAE_INLINE Point<F> box_muller(IntOf<F> radius_word, IntOf<F> turn_word) {
  return on_circle<F>(radius<F>(radius_word), turn_word);
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CORE_BOX_MULLER_H_
