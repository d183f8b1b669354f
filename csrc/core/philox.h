// Philox-4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011) with the key and
// counter that TensorFlow's stateless ops derive from a seed for alg="philox".
#ifndef TFVAE_CORE_PHILOX_H_
#define TFVAE_CORE_PHILOX_H_

#include "csrc/core/lanes.h"

namespace tfvae {
namespace TFVAE_ISA {

// The four words of each lane's counter. A lane is 64 bits wide and its word is the low half; the high half holds
// whatever the last product left there. That is the form a 32 x 32 -> 64 bit multiplier takes and gives.
template <class U>
struct PhiloxWords {
  U w0, w1, w2, w3;
};

// The multipliers and the Weyl increments of the key.
constexpr uint32_t kPhiloxM0 = 0xD2511F53u;
constexpr uint32_t kPhiloxM1 = 0xCD9E8D57u;
constexpr uint32_t kPhiloxW0 = 0x9E3779B9u;
constexpr uint32_t kPhiloxW1 = 0xBB67AE85u;
constexpr uint32_t kPhiloxRounds = 10;

// What a seed fixes: the key, and the upper half of the counter. The lower half counts the groups of four words.
struct PhiloxStream {
  uint32_t key0, key1;
  uint32_t counter2, counter3;
};

// Keys may be scalars or vectors.
template <class U, class Key>
TFVAE_INLINE PhiloxWords<U> philox_round(const PhiloxWords<U>& c, Key key0, Key key1) {
  const U p0 = WideProduct<U>::of_low_words(c.w0, U() + uint64_t(kPhiloxM0));
  const U p1 = WideProduct<U>::of_low_words(c.w2, U() + uint64_t(kPhiloxM1));
  return {(p1 >> 32) ^ c.w1 ^ key0, p1, (p0 >> 32) ^ c.w3 ^ key1, p0};
}

template <class U>
TFVAE_INLINE PhiloxWords<U> philox_rounds(PhiloxWords<U> c, uint32_t key0, uint32_t key1) {
#ifndef __CUDACC__
#pragma GCC unroll 10
#endif
  for (uint32_t round = 0; round < kPhiloxRounds; ++round) {
    c = philox_round<U, uint64_t>(c, key0 + round * kPhiloxW0, key1 + round * kPhiloxW1);
  }
  return c;
}

// The words of group number `group` (one per lane) of a stream.
template <class U>
TFVAE_INLINE PhiloxWords<U> philox(U group, const PhiloxStream& stream) {
  return philox_rounds<U>({group, group >> 32, U() + uint64_t(stream.counter2), U() + uint64_t(stream.counter3)},
                          stream.key0, stream.key1);
}

// TensorFlow scrambles a stateless seed by one Philox call with a fixed key.
TFVAE_INLINE PhiloxStream stream_of_seed(int64_t seed0, int64_t seed1) {
  const uint64_t s0 = static_cast<uint64_t>(seed0), s1 = static_cast<uint64_t>(seed1);
  const PhiloxWords<uint64_t> mix = philox_rounds<uint64_t>({s0, s0 >> 32, s1, s1 >> 32}, 0x3ec8f720u, 0x02461e29u);
  return {static_cast<uint32_t>(mix.w0), static_cast<uint32_t>(mix.w1), static_cast<uint32_t>(mix.w2),
          static_cast<uint32_t>(mix.w3)};
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CORE_PHILOX_H_
