// Vectors from and to memory of any element type, whole or in part.
#ifndef TFVAE_CPU_MEMORY_H_
#define TFVAE_CPU_MEMORY_H_

#include "csrc/core/storage.h"
#include "csrc/cpu/bfloat16.h"
#include "csrc/cpu/vector.h"

namespace tfvae {
namespace TFVAE_ISA {

// bits: what lies in memory. kStreamed: see stream().
template <bool kStreamed, class Bits, class T>
TFVAE_INLINE void put_bits(T* to, Bits bits) {
  if constexpr (kStreamed) {
    stream(to, bits);
  } else {
    __builtin_memcpy(to, &bits, sizeof(bits));
  }
}

template <class V, class T>
struct Memory {
  static TFVAE_INLINE V load(const T* from) {
    V v;
    __builtin_memcpy(&v, from, sizeof(V));
    return v;
  }
  static TFVAE_INLINE V bits(V v) { return v; }
};

TFVAE_INLINE VectorU16 load_pattern(const void* from) {
  VectorU16 pattern;
  __builtin_memcpy(&pattern, from, sizeof(pattern));
  return pattern;
}

template <>
struct Memory<VectorF32, BFloat16> {
#ifdef TFVAE_HARDWARE_UPPER
  static TFVAE_INLINE VectorF32 load(const BFloat16* from) {
    return bit_cast<VectorF32>(hardware_widen_upper(load_pattern(from)));
  }
  static TFVAE_INLINE VectorU16 exact_bits(VectorF32 v) {
    return hardware_narrow_upper(round_to_bfloat16<VectorF32, VectorI32>(v));
  }
#else
  static TFVAE_INLINE VectorF32 load(const BFloat16* from) {
    return widen_bfloat16<VectorF32>(hardware_widen(load_pattern(from)));
  }
  static TFVAE_INLINE VectorU16 exact_bits(VectorF32 v) {
    return hardware_narrow(narrow_bfloat16<VectorF32, VectorI32>(v));
  }
#endif
  static TFVAE_INLINE VectorU16 bits(VectorF32 v) { return bfloat16_bits(exact_bits, v); }
};

template <>
struct Memory<VectorF32, Half> {
#ifdef TFVAE_HARDWARE_HALF
  static TFVAE_INLINE VectorF32 load(const Half* from) { return hardware_widen_half(load_pattern(from)); }
  static TFVAE_INLINE VectorU16 bits(VectorF32 v) { return hardware_narrow_half(v); }
#else
  static TFVAE_INLINE VectorF32 load(const Half* from) {
    return widen_half<VectorF32>(hardware_widen(load_pattern(from)));
  }
  static TFVAE_INLINE VectorU16 bits(VectorF32 v) { return hardware_narrow(narrow_half<VectorF32, VectorI32>(v)); }
#endif
};

template <class V, class T>
TFVAE_INLINE V load(const T* from) {
  return Memory<V, T>::load(from);
}

template <class V, class T>
TFVAE_INLINE void store(T* to, V v) {
  put_bits<false>(to, Memory<V, T>::bits(v));
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
