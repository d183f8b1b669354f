// A range of elements as vectors: packs of whole ones, whole ones, then the rest padded with zeros.
#ifndef TFVAE_CPU_ELEMENTS_H_
#define TFVAE_CPU_ELEMENTS_H_

#include "csrc/cpu/memory.h"
#include "csrc/cpu/output.h"
#include "csrc/cpu/pack.h"

namespace tfvae {
namespace TFVAE_ISA {

// Loads and stores whole vectors.
template <class V>
struct WholeVectors {
  using Vector = V;
  template <class T>
  TFVAE_INLINE V get(const T* from) const {
    return load<V>(from);
  }
  template <class T>
  TFVAE_INLINE void put(T* to, V v) const {
    store(to, v);
  }
  template <bool kStreamed, class T>
  TFVAE_INLINE void put(Output<kStreamed, T> to, V v) const {
    put_bits<kStreamed>(to.at, Memory<V, T>::bits(v));
  }
};

// Loads and stores the first `count` lanes.
template <class V>
struct PartVectors {
  using Vector = V;
  int64_t count;
  template <class T>
  TFVAE_INLINE V get(const T* from) const {
    return load_part<V>(from, count);
  }
  template <class T>
  TFVAE_INLINE void put(T* to, V v) const {
    store_part(to, v, count);
  }
  template <bool kStreamed, class T>
  TFVAE_INLINE void put(Output<kStreamed, T> to, V v) const {
    store_part(to.at, v, count);
  }
};

// Calls body(i, access) for i = 0 and so on, up to `count` elements: for as many as access.Vector has, a pack of
// Together vectors or a single one.
template <class V, int Together = 1, class Body>
TFVAE_INLINE void for_vectors(int64_t count, Body body) {
  constexpr int W = kLanes<V>;
  int64_t i = 0;
  if constexpr (Together > 1) {
    for (; i + Together * W <= count; i += Together * W) body(i, WholeVectors<Pack<V, Together>>());
  }
  for (; i + W <= count; i += W) body(i, WholeVectors<V>());
  if (i < count) body(i, PartVectors<V>{count - i});
}

// Narrowed where T is of half precision.
template <class A, class T>
TFVAE_INLINE void copy_elements(const A* from, int64_t count, T* to) {
  for_vectors<VectorOf<A>>(count, [&](int64_t i, auto access) { access.put(to + i, access.get(from + i)); });
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_ELEMENTS_H_
