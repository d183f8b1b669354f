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

// radius_bits and turn_bits: random mantissas, m bits each.
template <class F>
TFVAE_INLINE SinCos<F> box_muller(IntOf<F> radius_bits, IntOf<F> turn_bits) {
  using C = Format<F>;
  constexpr LaneOf<F> kSmallest = static_cast<LaneOf<F>>(1e-7);
  const F u = LaneTraits<F>::at_least(bit_cast<F>(radius_bits | C::kOne) - LaneOf<F>(1), kSmallest);
  const F radius = LaneTraits<F>::square_root(logarithm<F>(u) * LaneOf<F>(-2));
  const SinCos<F> direction = sin_cos_of_turn<F>(turn_bits);
  return {direction.sin * radius, direction.cos * radius};
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CORE_BOX_MULLER_H_
