// Vectors from and to memory of any element type, whole or in part.
#ifndef TFVAE_CPU_MEMORY_H_
#define TFVAE_CPU_MEMORY_H_

#include "csrc/core/storage.h"
#include "csrc/cpu/vector.h"

namespace tfvae {
namespace TFVAE_ISA {

template <class V, class T>
struct Memory {
  static TFVAE_INLINE V load(const T* from) {
    V v;
    __builtin_memcpy(&v, from, sizeof(V));
    return v;
  }
  static TFVAE_INLINE void store(T* to, V v) { __builtin_memcpy(to, &v, sizeof(V)); }
};

template <class T>
struct PatternMemory {
  static TFVAE_INLINE VectorU16 load_bits(const T* from) {
    VectorU16 bits;
    __builtin_memcpy(&bits, from, sizeof(bits));
    return bits;
  }
  static TFVAE_INLINE void store_bits(T* to, VectorU16 bits) { __builtin_memcpy(to, &bits, sizeof(bits)); }
};

template <>
struct Memory<VectorF32, BFloat16> : PatternMemory<BFloat16> {
  static TFVAE_INLINE VectorF32 load(const BFloat16* from) {
    return widen_bfloat16<VectorF32>(hardware_widen(load_bits(from)));
  }
  static TFVAE_INLINE void store(BFloat16* to, VectorF32 v) {
    store_bits(to, hardware_narrow(narrow_bfloat16<VectorF32, VectorI32>(v)));
  }
};

template <>
struct Memory<VectorF32, Half> : PatternMemory<Half> {
#ifdef TFVAE_HARDWARE_HALF
  static TFVAE_INLINE VectorF32 load(const Half* from) { return hardware_widen_half(load_bits(from)); }
  static TFVAE_INLINE void store(Half* to, VectorF32 v) { store_bits(to, hardware_narrow_half(v)); }
#else
  static TFVAE_INLINE VectorF32 load(const Half* from) {
    return widen_half<VectorF32>(hardware_widen(load_bits(from)));
  }
  static TFVAE_INLINE void store(Half* to, VectorF32 v) {
    store_bits(to, hardware_narrow(narrow_half<VectorF32, VectorI32>(v)));
  }
#endif
};

template <class V, class T>
TFVAE_INLINE V load(const T* from) {
  return Memory<V, T>::load(from);
}

template <class V, class T>
TFVAE_INLINE void store(T* to, V v) {
  Memory<V, T>::store(to, v);
}

// The first `count` lanes; the rest reads as zero.
template <class V, class T>
TFVAE_INLINE V load_part(const T* from, int64_t count) {
  T padded[kLanes<V>] = {};
  __builtin_memcpy(padded, from, count * sizeof(T));
  return load<V>(padded);
}

template <class V, class T>
TFVAE_INLINE void store_part(T* to, V v, int64_t count) {
  T padded[kLanes<V>];
  store(padded, v);
  __builtin_memcpy(to, padded, count * sizeof(T));
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_MEMORY_H_
