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

// The groups of a step that the 64-bit lanes hold: 0, G/2, 1, G/2 + 1, ... of G, an order in which interleaving within
// 16-byte blocks, the cheapest kind, brings the normals into theirs.
template <class A>
TFVAE_INLINE VectorU64 groups_of_lanes() {
  VectorU64 groups = {};
  for (uint64_t i = 0; i < sizeof(VectorU64) / sizeof(uint64_t); ++i) groups[i] = i % 2 * (kStepGroups<A> / 2) + i / 2;
  return groups;
}

// Philox on vectors of groups that share the upper word of their number, with what they share taken out of the first
// two rounds and the keys laid out as vectors.
class PhiloxSchedule {
 public:
  TFVAE_INLINE PhiloxSchedule(const PhiloxStream& stream, uint32_t group_high) {
    for (uint32_t round = 0; round < kPhiloxRounds; ++round) {
      key0_[round] = VectorU64() + uint64_t(stream.key0 + round * kPhiloxW0);
      key1_[round] = VectorU64() + uint64_t(stream.key1 + round * kPhiloxW1);
    }
    // The first round takes words 0 and 1 of the next from words 1 and 2 of the counter, which are the same in all
    // lanes, and so for words 2 and 3 of the one after.
    const PhiloxWords<uint64_t> counter = {0, group_high, stream.counter2, stream.counter3};
    const PhiloxWords<uint64_t> shared = philox_round<uint64_t, uint64_t>(counter, stream.key0, stream.key1);
    const PhiloxWords<uint64_t> shared2 = philox_round<uint64_t, uint64_t>(shared, 0, 0);
    first2_ = key1_[0] ^ uint64_t(stream.counter3);
    second0_ = key0_[1] ^ shared.w1;
    second2_ = key1_[1] ^ (shared2.w2 ^ shared.w3);
    second3_ = VectorU64() + shared2.w3;
  }

  // The words of Chains vectors of groups, round by round together: one chain alone would wait for its products.
  template <int Chains>
  TFVAE_INLINE void words(const VectorU64 (&groups)[Chains], PhiloxWords<VectorU64> (&c)[Chains]) const {
    const VectorU64 m0 = VectorU64() + uint64_t(kPhiloxM0), m1 = VectorU64() + uint64_t(kPhiloxM1);
#pragma GCC unroll 4
    for (int i = 0; i < Chains; ++i) {
      const VectorU64 p0 = WideProduct<VectorU64>::of_low_words(groups[i], m0);
      const VectorU64 p1 = WideProduct<VectorU64>::of_low_words((p0 >> 32) ^ first2_, m1);
      c[i] = {(p1 >> 32) ^ second0_, p1, p0 ^ second2_, second3_};
    }
#pragma GCC unroll 8
    for (uint32_t round = 2; round < kPhiloxRounds; ++round) {
#pragma GCC unroll 4
      for (int i = 0; i < Chains; ++i) c[i] = philox_round<VectorU64, VectorU64>(c[i], key0_[round], key1_[round]);
    }
  }

 private:
  VectorU64 key0_[kPhiloxRounds], key1_[kPhiloxRounds];
  VectorU64 first2_, second0_, second2_, second3_;
};

// The words of `even` in the even 32-bit lanes, of `odd` in the odd ones.
TFVAE_INLINE VectorF32 merge_words(VectorU64 even, VectorU64 odd) {
  return even_and_odd_lanes(bit_cast<VectorF32>(even), bit_cast<VectorF32>(odd << 32));
}

// The words of two steps from `group` on, as bits of A that box_muller takes: per step w0, w1, w2, w3 of every group
// for float, and for double the two 64-bit words in which TensorFlow puts their 52 random bits.
TFVAE_INLINE void words_of_two_steps(uint64_t group, const PhiloxSchedule& schedule, float* out) {
  constexpr int W = kLanes<VectorF32>;
  const VectorU64 even = groups_of_lanes<float>() + group;
  const VectorU64 groups[4] = {even, even + W / 4, even + W, even + (W + W / 4)};
  PhiloxWords<VectorU64> c[4];
  schedule.words<4>(groups, c);
  for (int i = 0; i < 4; i += 2, out += 4 * W) {
    store(out, merge_words(c[i].w0, c[i + 1].w0));
    store(out + W, merge_words(c[i].w1, c[i + 1].w1));
    store(out + 2 * W, merge_words(c[i].w2, c[i + 1].w2));
    store(out + 3 * W, merge_words(c[i].w3, c[i + 1].w3));
  }
}

TFVAE_INLINE void words_of_two_steps(uint64_t group, const PhiloxSchedule& schedule, double* out) {
  constexpr int W = kLanes<VectorF64>;
  const VectorU64 first = groups_of_lanes<double>() + group;
  const VectorU64 groups[2] = {first, first + W};
  PhiloxWords<VectorU64> c[2];
  schedule.words<2>(groups, c);
  for (int i = 0; i < 2; ++i, out += 2 * W) {
    store(out, bit_cast<VectorF64>((c[i].w0 << 32) | (c[i].w1 & uint64_t(0xffffffff))));
    store(out + W, bit_cast<VectorF64>((c[i].w2 << 32) | (c[i].w3 & uint64_t(0xffffffff))));
  }
}

// Replaces the words of one step by its normals, in element order.
TFVAE_INLINE void normals_of_step(float* block) {
  constexpr int W = kLanes<VectorF32>;
  const auto word = [&](int i) { return bit_cast<VectorI32>(load<VectorF32>(block + i * W)); };
  const Point<VectorF32> a = box_muller<VectorF32>(word(0), word(1));
  const Point<VectorF32> b = box_muller<VectorF32>(word(2), word(3));
  const VectorF32 y_low = interleave_low(a.y, b.y), y_high = interleave_high(a.y, b.y);
  const VectorF32 x_low = interleave_low(a.x, b.x), x_high = interleave_high(a.x, b.x);
  store(block, interleave_low(y_low, x_low));
  store(block + W, interleave_high(y_low, x_low));
  store(block + 2 * W, interleave_low(y_high, x_high));
  store(block + 3 * W, interleave_high(y_high, x_high));
}

TFVAE_INLINE void normals_of_step(double* block) {
  constexpr int W = kLanes<VectorF64>;
  const auto word = [&](int i) { return bit_cast<VectorI64>(load<VectorF64>(block + i * W)); };
  const Point<VectorF64> n = box_muller<VectorF64>(word(0), word(1));
  store(block, interleave_low(n.y, n.x));
  store(block + W, interleave_high(n.y, n.x));
}

// A block of noise for the elements [begin, begin + count), count <= Capacity.
template <class A, int Capacity>
class NoiseBlock {
 public:
  TFVAE_INLINE void fill(const PhiloxStream& stream, int64_t begin, int64_t count) {
    // Pairs of steps start at multiples of their size, so their groups share the upper word of their number.
    constexpr int64_t kPairSize = 2 * kStepSize<A>;
    const int64_t lead = begin % kPairSize;
    const int64_t size = lead + count;
    uint64_t group = static_cast<uint64_t>(begin - lead) / kGroupSize<A>;
    PhiloxSchedule schedule(stream, static_cast<uint32_t>(group >> 32));
    for (int64_t done = 0; done < size; done += kPairSize, group += 2 * kStepGroups<A>) {
      if (static_cast<uint32_t>(group) == 0) schedule = PhiloxSchedule(stream, static_cast<uint32_t>(group >> 32));
      words_of_two_steps(group, schedule, buffer_ + done);
    }
    // A second pass, because the two kinds of work together want more registers than there are.
    for (int64_t done = 0; done < size; done += kStepSize<A>) normals_of_step(buffer_ + done);
    start_ = buffer_ + lead;
  }
  // Readable for whole vectors past the last element.
  TFVAE_INLINE const A* data() const { return start_; }

 private:
  alignas(64) A buffer_[Capacity + 4 * kStepSize<A>];
  const A* start_ = nullptr;
};

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_NOISE_H_
