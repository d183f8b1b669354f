// Packets: 16 bytes of consecutive elements that start at a multiple of their number, in registers as the type of the
// arithmetic. One memory instruction moves a packet, and one or two Philox groups make its noise, because groups start
// at multiples of 4 (float64: 2) too.
#ifndef TFVAE_CUDA_PACKET_H_
#define TFVAE_CUDA_PACKET_H_

#include "csrc/core/storage.h"

// Code of the kernels: for the device, or for the host where no CUDA compiler is at work.
#ifdef __CUDACC__
#define TFVAE_DEVICE __device__ __forceinline__
#define TFVAE_UNROLL _Pragma("unroll")
#else
#define TFVAE_DEVICE inline
#define TFVAE_UNROLL
#endif

namespace tfvae {
namespace TFVAE_ISA {

template <class T>
constexpr int kPacketSize = 16 / static_cast<int>(sizeof(T));

template <class T>
struct Packet {
  Arithmetic<T> at[kPacketSize<T>];
};

// The elements of a packet that belong to whoever works on it, a bit each. `wide`: all do, and memory is aligned.
struct Window {
  uint32_t mask;
  bool wide;
  static constexpr bool kWholeRows = false;
  TFVAE_INLINE bool has(int i) const { return (mask >> i & 1) != 0; }
  TFVAE_INLINE bool empty() const { return mask == 0; }
  TFVAE_INLINE Window from(int i) const { return {mask >> i, wide}; }
};

// The window where all packets of all tensors are whole and aligned, and so every row is made of them: the usual case,
// which pays for no comparison.
struct WholeWindow {
  static constexpr bool wide = true, kWholeRows = true;
  TFVAE_INLINE bool has(int) const { return true; }
  TFVAE_INLINE WholeWindow from(int) const { return {}; }
};

// Of the packet that starts at element `start`, in the range [begin, end).
template <class T, class W = Window>
TFVAE_INLINE W window_of(int64_t start, int64_t begin, int64_t end, bool aligned) {
  if constexpr (W::kWholeRows) {
    return {};
  } else {
    constexpr int P = kPacketSize<T>;
    constexpr uint32_t kAll = (1u << P) - 1;
    const int before = begin <= start ? 0 : static_cast<int>(begin - start < P ? begin - start : P);
    const int behind = end - start >= P ? 0 : static_cast<int>(end > start ? start + P - end : P);
    const uint32_t mask = (kAll << before & kAll) & kAll >> behind;
    return {mask, aligned && mask == kAll};
  }
}

// Whether the packet is whole, and so are the packets of every row, which it then lies within.
template <class T, class W>
TFVAE_INLINE bool is_within_row(const W& window, int64_t columns) {
  return W::kWholeRows || (window.wide && columns % kPacketSize<T> == 0);
}

TFVAE_INLINE float widen(float x) { return x; }
TFVAE_INLINE double widen(double x) { return x; }
TFVAE_INLINE float widen(BFloat16 x) { return widen_bfloat16<float>(int32_t{x.bits}); }
TFVAE_INLINE float widen(Half x) {
#ifdef __CUDA_ARCH__
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(x.bits));
  return wide;
#else
  return widen_half<float>(int32_t{x.bits});
#endif
}

// To nearest, ties to even. sm_75 has no such instruction for bfloat16.
template <class T>
TFVAE_INLINE T narrow(Arithmetic<T> x) {
  return x;
}
template <>
TFVAE_INLINE Half narrow<Half>(float x) {
#ifdef __CUDA_ARCH__
  Half half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half.bits) : "f"(x));
  return half;
#else
  return {static_cast<uint16_t>(narrow_half<float, int32_t>(x))};
#endif
}
template <>
TFVAE_INLINE BFloat16 narrow<BFloat16>(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  BFloat16 narrowed;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(narrowed.bits) : "f"(x));
  return narrowed;
#else
  return {static_cast<uint16_t>(narrow_bfloat16<float, int32_t>(x))};
#endif
}

// Elements that one instruction moves.
template <class T>
struct alignas(16) Words {
  T at[kPacketSize<T>];
};

// From and to global memory. In PTX, because a plain copy of Words is a store per element to the compiler, which does
// not always make one of them again.
template <class T>
TFVAE_DEVICE Words<T> load_words(const T* from) {
#ifdef __CUDA_ARCH__
  Words<uint32_t> w;
  asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(w.at[0]), "=r"(w.at[1]), "=r"(w.at[2]), "=r"(w.at[3])
               : "l"(__cvta_generic_to_global(from))
               : "memory");
  return bit_cast<Words<T>>(w);
#else
  return *reinterpret_cast<const Words<T>*>(from);
#endif
}

template <class T>
TFVAE_DEVICE void store_words(T* to, const Words<T>& words) {
#ifdef __CUDA_ARCH__
  const auto w = bit_cast<Words<uint32_t>>(words);
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};"
               :
               : "l"(__cvta_generic_to_global(to)), "r"(w.at[0]), "r"(w.at[1]), "r"(w.at[2]), "r"(w.at[3])
               : "memory");
#else
  *reinterpret_cast<Words<T>*>(to) = words;
#endif
}

// The elements outside the window read as zero.
template <class T, class W>
TFVAE_DEVICE Packet<T> load_packet(const T* from, const W& window) {
  Packet<T> packet;
  if (window.wide) {
    const Words<T> words = load_words<T>(from);
    for (int i = 0; i < kPacketSize<T>; ++i) packet.at[i] = widen(words.at[i]);
  } else {
    for (int i = 0; i < kPacketSize<T>; ++i) {
      packet.at[i] = window.has(i) ? widen(from[i]) : Arithmetic<T>(0);
    }
  }
  return packet;
}

template <class T, class W>
TFVAE_DEVICE void store_packet(T* to, const Packet<T>& packet, const W& window) {
  if (window.wide) {
    Words<T> words;
    for (int i = 0; i < kPacketSize<T>; ++i) words.at[i] = narrow<T>(packet.at[i]);
    store_words<T>(to, words);
  } else {
    for (int i = 0; i < kPacketSize<T>; ++i) {
      if (window.has(i)) to[i] = narrow<T>(packet.at[i]);
    }
  }
}

// As many values of the arithmetic's own type as a packet of T has elements: 16 bytes, or twice 16.
template <class T>
constexpr int kWordsOfValues = kPacketSize<T> / kPacketSize<Arithmetic<T>>;

template <class T, class W>
TFVAE_DEVICE Packet<T> load_values(const Arithmetic<T>* from, const W& window) {
  using A = Arithmetic<T>;
  constexpr int P = kPacketSize<A>;
  Packet<T> packet;
  for (int word = 0; word < kWordsOfValues<T>; ++word) {
    const Packet<A> values = load_packet<A>(from + word * P, window.from(word * P));
    for (int i = 0; i < P; ++i) packet.at[word * P + i] = values.at[i];
  }
  return packet;
}

template <class T, class W>
TFVAE_DEVICE void store_values(Arithmetic<T>* to, const Packet<T>& packet, const W& window) {
  using A = Arithmetic<T>;
  constexpr int P = kPacketSize<A>;
  for (int word = 0; word < kWordsOfValues<T>; ++word) {
    Packet<A> values;
    for (int i = 0; i < P; ++i) values.at[i] = packet.at[word * P + i];
    store_packet<A>(to + word * P, values, window.from(word * P));
  }
}

// The same in shared memory, always whole.
template <class T>
TFVAE_DEVICE Packet<T> load_shared(const Arithmetic<T>* from) {
  using A = Arithmetic<T>;
  Packet<T> packet;
  for (int word = 0; word < kWordsOfValues<T>; ++word) {
    const Words<A> values = reinterpret_cast<const Words<A>*>(from)[word];
    for (int i = 0; i < kPacketSize<A>; ++i) packet.at[word * kPacketSize<A> + i] = values.at[i];
  }
  return packet;
}

template <class T>
TFVAE_DEVICE void store_shared(Arithmetic<T>* to, const Packet<T>& packet) {
  using A = Arithmetic<T>;
  for (int word = 0; word < kWordsOfValues<T>; ++word) {
    Words<A> values;
    for (int i = 0; i < kPacketSize<A>; ++i) values.at[i] = packet.at[word * kPacketSize<A> + i];
    reinterpret_cast<Words<A>*>(to)[word] = values;
  }
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_PACKET_H_
