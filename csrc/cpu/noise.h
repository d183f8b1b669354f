// Whole vectors of Philox words and normals, in element order.
#ifndef TFVAE_CPU_NOISE_H_
#define TFVAE_CPU_NOISE_H_

#include "csrc/core/box_muller.h"
#include "csrc/core/philox.h"
#include "csrc/cpu/memory.h"
#include "csrc/cpu/vector.h"

namespace tfvae {
namespace TFVAE_ISA {

// One Philox group gives four float or two double normals.
template <class A>
constexpr int kGroupSize = 4;
template <>
constexpr int kGroupSize<double> = 2;

// Groups computed together, and the normals they give.
template <class A>
constexpr int kStepGroups = kLanes<VectorOf<A>>;
template <class A>
constexpr int kStepSize = kStepGroups<A> * kGroupSize<A>;

template <int... I>
TFVAE_INLINE VectorU64 lane_numbers_of() {
  return VectorU64{static_cast<uint64_t>(I)...};
}
TFVAE_INLINE VectorU64 lane_numbers() {
#if defined(__AVX512F__)
  return lane_numbers_of<0, 1, 2, 3, 4, 5, 6, 7>();
#elif defined(__AVX2__)
  return lane_numbers_of<0, 1, 2, 3>();
#else
  return lane_numbers_of<0, 1>();
#endif
}

// Words of even groups in the even 32-bit lanes, of odd groups in the odd ones.
TFVAE_INLINE VectorI32 merge_words(VectorU64 even, VectorU64 odd) {
  return bit_cast<VectorI32>((even & uint64_t(0xffffffff)) | (odd << 32));
}

struct WordVectors {
  VectorI32 w0, w1, w2, w3;
};

// The words of the groups group, group + 1, ..., one group a lane.
TFVAE_INLINE WordVectors words_of_groups(uint64_t group, const PhiloxStream& stream) {
  const VectorU64 even = lane_numbers() * 2 + group;
  const PhiloxWords<VectorU64> a = philox<VectorU64>(even, stream);
  const PhiloxWords<VectorU64> b = philox<VectorU64>(even + 1, stream);
  return {merge_words(a.w0, b.w0), merge_words(a.w1, b.w1), merge_words(a.w2, b.w2), merge_words(a.w3, b.w3)};
}

// Writes the kStepSize normals of kStepGroups groups.
TFVAE_INLINE void normals_step(uint64_t group, const PhiloxStream& stream, float* out) {
  constexpr int32_t kMask = 0x7fffff;
  constexpr int W = kLanes<VectorF32>;
  const WordVectors w = words_of_groups(group, stream);
  const SinCos<VectorF32> a = box_muller<VectorF32>(w.w0 & kMask, w.w1 & kMask);
  const SinCos<VectorF32> b = box_muller<VectorF32>(w.w2 & kMask, w.w3 & kMask);
  const VectorF32 sin_low = interleave_low(a.sin, b.sin), sin_high = interleave_high(a.sin, b.sin);
  const VectorF32 cos_low = interleave_low(a.cos, b.cos), cos_high = interleave_high(a.cos, b.cos);
  store(out, interleave_low(sin_low, cos_low));
  store(out + W, interleave_high(sin_low, cos_low));
  store(out + 2 * W, interleave_low(sin_high, cos_high));
  store(out + 3 * W, interleave_high(sin_high, cos_high));
}

TFVAE_INLINE void normals_step(uint64_t group, const PhiloxStream& stream, double* out) {
  const PhiloxWords<VectorU64> w = philox<VectorU64>(lane_numbers() + group, stream);
  const VectorU64 radius_bits = ((w.w0 & 0xfffff) << 32) | (w.w1 & uint64_t(0xffffffff));
  const VectorU64 turn_bits = ((w.w2 & 0xfffff) << 32) | (w.w3 & uint64_t(0xffffffff));
  const SinCos<VectorF64> n = box_muller<VectorF64>(bit_cast<VectorI64>(radius_bits), bit_cast<VectorI64>(turn_bits));
  store(out, interleave_low(n.sin, n.cos));
  store(out + kLanes<VectorF64>, interleave_high(n.sin, n.cos));
}

// A block of noise for the elements [begin, begin + count), count <= Capacity.
template <class A, int Capacity>
class NoiseBlock {
 public:
  TFVAE_INLINE void fill(const PhiloxStream& stream, int64_t begin, int64_t count) {
    const uint64_t first = static_cast<uint64_t>(begin) / kGroupSize<A>;
    const int64_t lead = begin % kGroupSize<A>;
    start_ = buffer_ + lead;
    uint64_t group = first;
    for (int64_t done = 0; done < lead + count; done += kStepSize<A>, group += kStepGroups<A>) {
      normals_step(group, stream, buffer_ + done);
    }
  }
  // Readable for whole vectors past the last element.
  TFVAE_INLINE const A* data() const { return start_; }

 private:
  alignas(64) A buffer_[Capacity + kGroupSize<A> + 2 * kStepSize<A>];
  const A* start_ = nullptr;
};

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_NOISE_H_
