// Several vectors as one number. The mathematics of csrc/core on a pack takes every step for all of its vectors before
// the next step, so that the processor finds independent operations side by side instead of having to look for them in
// the iterations of a loop that are still to come.
#ifndef TFVAE_CPU_PACK_H_
#define TFVAE_CPU_PACK_H_

#include <type_traits>

#include "csrc/cpu/memory.h"
#include "csrc/cpu/vector.h"

namespace tfvae {
namespace TFVAE_ISA {

template <class V, int N>
struct Pack {
  static_assert(N == 1 || N == 2);
  V part[N];
};

template <int I, class V, int N>
TFVAE_INLINE V part_of(Pack<V, N> x) {
  return x.part[I];
}
template <int I, class X>
TFVAE_INLINE X part_of(X same) {
  return same;
}

// function(the parts i of all arguments, of which those that are no pack have one) for every i. Everything goes by
// value: references leave stores behind that nothing reads. Without a loop: until it is unrolled, late, compilers see
// arrays in memory instead of values, take three times as long, and leave functions that they think large uninlined.
template <class Function, class V, int N, class... More>
TFVAE_INLINE auto each(Function function, Pack<V, N> first, More... more) {
  using P = Pack<decltype(function(first.part[0], part_of<0>(more)...)), N>;
  if constexpr (N == 1) {
    return P{{function(first.part[0], part_of<0>(more)...)}};
  } else {
    return P{{function(first.part[0], part_of<0>(more)...), function(first.part[1], part_of<1>(more)...)}};
  }
}

#define TFVAE_PACK_OPERATOR(op)                                    \
  template <class V, int N>                                        \
  TFVAE_INLINE auto operator op(Pack<V, N> a, Pack<V, N> b) {      \
    return each([](V x, V y) { return x op y; }, a, b);            \
  }                                                                \
  template <class V, int N>                                        \
  TFVAE_INLINE auto operator op(Pack<V, N> a, ElementOf<V> b) {    \
    return each([](V x, ElementOf<V> y) { return x op y; }, a, b); \
  }                                                                \
  template <class V, int N>                                        \
  TFVAE_INLINE auto operator op(ElementOf<V> a, Pack<V, N> b) {    \
    return each([](V y, ElementOf<V> x) { return x op y; }, b, a); \
  }
TFVAE_PACK_OPERATOR(+)
TFVAE_PACK_OPERATOR(-)
TFVAE_PACK_OPERATOR(*)
TFVAE_PACK_OPERATOR(&)
TFVAE_PACK_OPERATOR(|)
TFVAE_PACK_OPERATOR(^)
TFVAE_PACK_OPERATOR(==)
#undef TFVAE_PACK_OPERATOR

template <class V, int N>
TFVAE_INLINE auto operator-(Pack<V, N> a) {
  return each([](V x) { return -x; }, a);
}
template <class V, int N>
TFVAE_INLINE auto operator~(Pack<V, N> a) {
  return each([](V x) { return ~x; }, a);
}
template <class V, int N>
TFVAE_INLINE auto operator<<(Pack<V, N> a, int bits) {
  return each([](V x, int y) { return x << y; }, a, bits);
}
template <class V, int N>
TFVAE_INLINE auto operator>>(Pack<V, N> a, int bits) {
  return each([](V x, int y) { return x >> y; }, a, bits);
}

template <class Mask, class V, int N>
TFVAE_INLINE Pack<V, N> select(Pack<Mask, N> mask, Pack<V, N> a, Pack<V, N> b) {
  return each([](Mask m, V x, V y) { return select(m, x, y); }, mask, a, b);
}

template <class To, class V, int N>
TFVAE_INLINE To bit_cast(Pack<V, N> from) {
  using Part = std::remove_reference_t<decltype(To().part[0])>;
  return each([](V x) { return bit_cast<Part>(x); }, from);
}

template <class V, int N>
struct LaneTraits<Pack<V, N>> {
  using One = LaneTraits<V>;
  using Scalar = typename One::Scalar;
  using P = Pack<V, N>;
  using Int = Pack<typename One::Int, N>;
  static constexpr bool kScales = One::kScales, kTables = One::kTables;

  static TFVAE_INLINE P to_real(Int x) { return each(One::to_real, x); }
  static TFVAE_INLINE P square_root(P x) { return each(One::square_root, x); }
  static TFVAE_INLINE P at_most(P x, Scalar limit) { return each(One::at_most, x, limit); }
  static TFVAE_INLINE P at_least(P x, Scalar limit) { return each(One::at_least, x, limit); }
  static TFVAE_INLINE P positive_up_to(P x, Scalar limit) { return each(One::positive_up_to, x, limit); }
  static TFVAE_INLINE P scale(P x, P n) { return each(One::scale, x, n); }
  static TFVAE_INLINE P multiply_add(P a, P b, P c) { return each(One::multiply_add, a, b, c); }
  static TFVAE_INLINE P exponent(P x) { return each(One::exponent, x); }
  static TFVAE_INLINE P fraction(P x) { return each(One::fraction, x); }
  static TFVAE_INLINE P lookup(const Scalar (&table)[16], Int index) {
    return each([](typename One::Int i, const Scalar(*t)[16]) { return One::lookup(*t, i); }, index, &table);
  }
  static TFVAE_INLINE P select_by_sign(Int sign, P a, P b) { return each(One::select_by_sign, sign, a, b); }
};

template <class V, int N>
TFVAE_INLINE Pack<V, N> interleave_low(Pack<V, N> a, Pack<V, N> b) {
  return each([](V x, V y) { return interleave_low(x, y); }, a, b);
}
template <class V, int N>
TFVAE_INLINE Pack<V, N> interleave_high(Pack<V, N> a, Pack<V, N> b) {
  return each([](V x, V y) { return interleave_high(x, y); }, a, b);
}

template <int Half>
struct HalvesOfLanes {
  static constexpr int lane(int i) { return 2 * i + Half; }
};

// Rounded with the patterns' halves apart, which takes half the steps. Packs that are stored here are computed from
// bfloat16, noise and numbers whose NaN is the usual one, so the lower half of a NaN is 0: processors keep the pattern
// of the NaN that they are given, and that of their own has nothing there.
TFVAE_INLINE VectorHalves bfloat16_bits_by_halves(Pack<VectorF32, 2> v) {
  const VectorHalves a = bit_cast<VectorHalves>(v.part[0]), b = bit_cast<VectorHalves>(v.part[1]);
  return round_upper_half(choose_lanes<HalvesOfLanes<1>>(a, b), choose_lanes<HalvesOfLanes<0>>(a, b));
}

template <class V, int N, class T>
struct Memory<Pack<V, N>, T> {
  static TFVAE_INLINE Pack<V, N> load(const T* from) {
    if constexpr (N == 1) {
      return {{Memory<V, T>::load(from)}};
    } else {
      return {{Memory<V, T>::load(from), Memory<V, T>::load(from + kLanes<V>)}};
    }
  }
  static TFVAE_INLINE auto bits(Pack<V, N> v) {
    if constexpr (!std::is_same_v<T, BFloat16> || kStaged) {
      return each([](V x) { return Memory<V, T>::bits(x); }, v);
    } else if constexpr (kHardwareBFloat16) {
      static_assert(N == 2);
      const auto exactly = [](V a, V b) { return join(Memory<V, T>::exact_bits(a), Memory<V, T>::exact_bits(b)); };
      return bfloat16_bits(exactly, v.part[0], v.part[1]);
    } else {
      return bfloat16_bits_by_halves(v);
    }
  }
};

template <bool kStreamed, class Bits, int N, class T>
TFVAE_INLINE void put_bits(T* to, Pack<Bits, N> bits) {
  put_bits<kStreamed>(to, bits.part[0]);
  if constexpr (N == 2) put_bits<kStreamed>(to + sizeof(Bits) / sizeof(T), bits.part[1]);
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_PACK_H_
