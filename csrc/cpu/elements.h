// A range of elements as vectors: whole ones, then the rest padded with zeros.
#ifndef TFVAE_CPU_ELEMENTS_H_
#define TFVAE_CPU_ELEMENTS_H_

#include "csrc/cpu/memory.h"
#include "csrc/cpu/prior.h"

namespace tfvae {
namespace TFVAE_ISA {

// Loads and stores whole vectors.
template <class V>
struct WholeVectors {
  template <class T>
  TFVAE_INLINE V get(const T* from) const {
    return load<V>(from);
  }
  template <class T>
  TFVAE_INLINE void put(T* to, V v) const {
    store(to, v);
  }
};

// Loads and stores the first `count` lanes.
template <class V>
struct PartVectors {
  int64_t count;
  template <class T>
  TFVAE_INLINE V get(const T* from) const {
    return load_part<V>(from, count);
  }
  template <class T>
  TFVAE_INLINE void put(T* to, V v) const {
    store_part(to, v, count);
  }
};

// Calls body(i, access) for the vectors that start at i = 0, W, 2W, ... of `count` elements.
template <class V, class Body>
TFVAE_INLINE void for_vectors(int64_t count, Body body) {
  constexpr int W = kLanes<V>;
  int64_t i = 0;
  for (; i + W <= count; i += W) body(i, WholeVectors<V>());
  if (i < count) body(i, PartVectors<V>{count - i});
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

#endif  // TFVAE_CPU_ELEMENTS_H_
