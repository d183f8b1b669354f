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

// Both words give their low m bits, m the mantissa bits of F. The first normal is y of the point, the second x.
template <class F>
TFVAE_INLINE Point<F> box_muller(IntOf<F> radius_word, IntOf<F> turn_word) {
  using C = Format<F>;
  constexpr IntOf<LaneOf<F>> kMantissa = (IntOf<LaneOf<F>>(1) << C::kMantissaBits) - 1;
  constexpr LaneOf<F> kSmallest = static_cast<LaneOf<F>>(1e-7);
  const F u = LaneTraits<F>::at_least(bit_cast<F>((radius_word & kMantissa) | C::kOne) - LaneOf<F>(1), kSmallest);
  return on_circle<F>(LaneTraits<F>::square_root(minus_two_log<F>(u)), turn_word);
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CORE_BOX_MULLER_H_
