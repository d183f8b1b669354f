// How values lie in memory: float and double as they are; float16 and bfloat16 as 16-bit patterns that are widened to
// float for all arithmetic and rounded once, to nearest even, on the way out.
#ifndef TFVAE_CORE_STORAGE_H_
#define TFVAE_CORE_STORAGE_H_

#include "csrc/core/lanes.h"

namespace tfvae {

enum class DType : int { kFloat16 = 0, kBFloat16 = 1, kFloat32 = 2, kFloat64 = 3 };

namespace TFVAE_ISA {

struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

// The type of noise, arithmetic and sums.
template <class T>
struct ArithmeticOf {
  using Type = float;
};
template <>
struct ArithmeticOf<double> {
  using Type = double;
};
template <class T>
using Arithmetic = typename ArithmeticOf<T>::Type;

// A type as a value, for with_type.
template <class T_>
struct TypeTag {
  using T = T_;
};

// body(TypeTag<T>()) for the type of a dtype.
template <class Body>
inline auto with_type([[maybe_unused]] DType dtype, Body body) {
#ifdef TFVAE_BFLOAT16_ALONE
  return body(TypeTag<BFloat16>());
#else
  switch (dtype) {
    case DType::kFloat16:
      return body(TypeTag<Half>());
    case DType::kBFloat16:
      return body(TypeTag<BFloat16>());
    case DType::kFloat32:
      return body(TypeTag<float>());
    default:
      return body(TypeTag<double>());
  }
#endif
}

// 32-bit lanes (I: int32_t or a vector of them) whose upper half is the pattern of x; the lower half is to be cut off.
template <class F, class I>
TFVAE_INLINE I round_to_bfloat16(F x) {
  const I bits = bit_cast<I>(x);
  const I rounded = wrapping_sum(bits, 0x7fff + ((bits >> 16) & 1));
  return select(x != x, bits | 0x400000, rounded);
}

// The same from the two halves of the pattern, vectors of unsigned 16-bit lanes, where the lower half of a NaN is 0.
template <class I>
TFVAE_INLINE I round_upper_half(I upper, I lower) {
  return upper - bit_cast<I>(lower > 0x8000 - (upper & 1));
}

// Here the lanes hold the pattern: widen takes its bits with zeros above them, narrow gives it as a signed 16-bit
// number.
template <class F, class I>
TFVAE_INLINE F widen_bfloat16(I bits) {
  return bit_cast<F>(bits << 16);
}

template <class F, class I>
TFVAE_INLINE I narrow_bfloat16(F x) {
  return round_to_bfloat16<F, I>(x) >> 16;
}

template <class F, class I>
TFVAE_INLINE F widen_half(I bits) {
  const I magnitude = (bits & 0x7fff) << 13;
  // 2^112 moves the exponent bias from 15 to 127 and makes denormals normal.
  const F scaled = bit_cast<F>(magnitude) * 0x1p112f;
  const I exponent = select(scaled >= 65536.0f, I() + 0x7f800000, I());
  return bit_cast<F>(bit_cast<I>(scaled) | exponent | ((bits & 0x8000) << 16));
}

template <class F, class I>
TFVAE_INLINE I narrow_half(F x) {
  const I bits = bit_cast<I>(x);
  const I sign = (bits >> 16) & -0x8000;
  const I magnitude = bits & 0x7fffffff;
  const I normal = (magnitude - (112 << 23) + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  // Below 2^-14: adding 1/2 leaves the denormal's ten bits, rounded, at the end of the mantissa.
  const I denormal = bit_cast<I>(bit_cast<F>(magnitude) + 0.5f) - 0x3f000000;
  I result = select(magnitude < 0x38800000, denormal, normal);
  result = select(magnitude >= 0x477ff000, I() + 0x7c00, result);
  result = select(magnitude > 0x7f800000, I() + 0x7e00, result);
  return result | sign;
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CORE_STORAGE_H_
