// Exact division of any 64-bit number by a divisor that is known before the launch, as one high product: the GPU has no
// instruction for division, and its 64-bit routine takes a hundred others (Granlund & Montgomery 1994, figure 4.1).
#ifndef TFVAE_CUDA_DIVIDER_H_
#define TFVAE_CUDA_DIVIDER_H_

#include "csrc/core/lanes.h"

namespace tfvae {
namespace TFVAE_ISA {

TFVAE_INLINE uint64_t high_product(uint64_t a, uint64_t b) {
#ifdef __CUDA_ARCH__
  return __umul64hi(a, b);
#else
  return static_cast<uint64_t>((static_cast<unsigned __int128>(a) * b) >> 64);
#endif
}

class Divider {
 public:
  Divider() = default;
  // divisor: 1 or more.
  explicit Divider(uint64_t divisor) {
    int bits = 0;
    while (bits < 64 && (static_cast<unsigned __int128>(1) << bits) < divisor) ++bits;
    const unsigned __int128 power = static_cast<unsigned __int128>(1) << bits;
    multiplier_ = static_cast<uint64_t>(((power - divisor) << 64) / divisor + 1);
    first_shift_ = bits < 1 ? bits : 1;
    second_shift_ = bits < 1 ? 0 : bits - 1;
  }

  TFVAE_INLINE int64_t quotient(int64_t number) const {
    const uint64_t n = static_cast<uint64_t>(number);
    const uint64_t high = high_product(multiplier_, n);
    return static_cast<int64_t>((high + ((n - high) >> first_shift_)) >> second_shift_);
  }

 private:
  uint64_t multiplier_;
  int first_shift_, second_shift_;
};

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_DIVIDER_H_
