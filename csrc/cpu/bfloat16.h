// Vectors of float rounded to bfloat16 by the processor, where it has an instruction for it (AVX512_BF16).
#ifndef TFVAE_CPU_BFLOAT16_H_
#define TFVAE_CPU_BFLOAT16_H_

#include "csrc/core/storage.h"
#include "csrc/cpu/vector.h"

namespace tfvae {
namespace TFVAE_ISA {

#if defined(TFVAE_EMULATED_BFLOAT16) || defined(__AVX512BF16__)
constexpr bool kHardwareBFloat16 = true;
#else
constexpr bool kHardwareBFloat16 = false;
#endif

// a, then b.
TFVAE_INLINE VectorHalves join(VectorU16 a, VectorU16 b) {
  const VectorU16 parts[2] = {a, b};
  VectorHalves both;
  __builtin_memcpy(&both, parts, sizeof(both));
  return both;
}

// The instruction makes zeros of denormal numbers; hardware_lost_some tells whether it has.
#if defined(TFVAE_EMULATED_BFLOAT16)
TFVAE_INLINE VectorU16 hardware_narrow_bfloat16(VectorF32 x) {
  const VectorI32 bits = bit_cast<VectorI32>(x), denormal = (bits & 0x7f800000) == 0;
  const VectorI32 rounded = select(denormal, bits & int32_t(0x80000000), round_to_bfloat16<VectorF32, VectorI32>(x));
  return __builtin_convertvector(rounded >> 16, VectorU16);
}
TFVAE_INLINE VectorHalves hardware_narrow_bfloat16(VectorF32 a, VectorF32 b) {
  return join(hardware_narrow_bfloat16(a), hardware_narrow_bfloat16(b));
}
TFVAE_INLINE bool hardware_lost_some(VectorU16 rounded, VectorF32 x) {
  for (int i = 0; i < kVectorBytes / 4; ++i) {
    if ((rounded[i] & 0x7fff) == 0 && x[i] != 0) return true;
  }
  return false;
}
TFVAE_INLINE bool hardware_lost_some(VectorHalves, VectorF32 a, VectorF32 b) {
  return hardware_lost_some(hardware_narrow_bfloat16(a), a) || hardware_lost_some(hardware_narrow_bfloat16(b), b);
}
#elif defined(__AVX512BF16__)
TFVAE_INLINE __mmask16 hardware_zeros(__m512 x) {
  return _mm512_testn_epi32_mask(bit_cast<__m512i>(x), _mm512_set1_epi32(0x7fffffff));
}
TFVAE_INLINE VectorU16 hardware_narrow_bfloat16(__m512 x) {
  return bit_cast<VectorU16>(_mm512_maskz_cvtneps_pbh(0xffff, x));
}
TFVAE_INLINE VectorHalves hardware_narrow_bfloat16(__m512 a, __m512 b) {
  return bit_cast<VectorHalves>(_mm512_maskz_cvtne2ps_pbh(0xffffffff, b, a));
}
TFVAE_INLINE bool hardware_lost_some(VectorU16 rounded, __m512 x) {
  const __mmask16 zeros = _mm256_testn_epi16_mask(bit_cast<__m256i>(rounded), _mm256_set1_epi16(0x7fff));
  return __builtin_expect(zeros != 0, false) && zeros != hardware_zeros(x);
}
TFVAE_INLINE bool hardware_lost_some(VectorHalves rounded, __m512 a, __m512 b) {
  const __mmask32 zeros = _mm512_testn_epi16_mask(bit_cast<__m512i>(rounded), _mm512_set1_epi16(0x7fff));
  return __builtin_expect(zeros != 0, false) && zeros != (hardware_zeros(a) | __mmask32(hardware_zeros(b)) << 16);
}
#endif

// The bits of bfloat16, of one vector or two, by the processor; where it has no instruction for that, or has lost a
// denormal number, as `exactly` says.
template <class Exactly, class... V>
TFVAE_INLINE auto bfloat16_bits(Exactly exactly, V... v) {
  if constexpr (kHardwareBFloat16) {
    const auto rounded = hardware_narrow_bfloat16(v...);
    return hardware_lost_some(rounded, v...) ? exactly(v...) : rounded;
  } else {
    return exactly(v...);
  }
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_BFLOAT16_H_
