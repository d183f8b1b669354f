// Whole vectors of Philox words and normals, in element order.
#ifndef TFVAE_CPU_NOISE_H_
#define TFVAE_CPU_NOISE_H_

#include "csrc/core/box_muller.h"
#include "csrc/core/philox.h"
#include "csrc/cpu/memory.h"
#include "csrc/cpu/pack.h"
#include "csrc/cpu/upcoming.h"
#include "csrc/cpu/vector.h"

namespace tfvae {
namespace TFVAE_ISA {

// One Philox group gives four float or two double normals.
template <class A>
inline constexpr int kGroupSize = 4;
template <>
inline constexpr int kGroupSize<double> = 2;

// A chain is the groups that the 64-bit lanes of a vector hold, and gives two vectors of normals. Several are computed
// round by round together: one alone would wait for its products.
constexpr int kChainGroups = kLanes<VectorF64>;
template <class A>
inline constexpr int kChains = 4;
template <>
inline constexpr int kChains<double> = kStaged ? 2 : 4;

// Groups whose words are computed together, and the normals that they give.
template <class A>
constexpr int kBlockGroups = kChains<A> * kChainGroups;
template <class A>
constexpr int kBlockSize = kBlockGroups<A> * kGroupSize<A>;

// The groups of a chain in the order of its lanes: 0, G/2, 1, G/2 + 1, ... of G, so that interleaving within 16-byte
// blocks, the cheapest kind, brings the normals into theirs.
TFVAE_INLINE VectorU64 groups_of_lanes() {
  VectorU64 groups = {};
  for (uint64_t i = 0; i < kChainGroups; ++i) groups[i] = i % 2 * (kChainGroups / 2) + i / 2;
  return groups;
}

// What a round of Philox makes of the words of a group, before the keys: the products' halves, and the words that meet
// the upper ones.
struct PhiloxProducts {
  VectorU64 p0, p1, w1, w3;
};

// The keys of a stream's rounds as vectors, laid out once for many blocks.
struct PhiloxKeys {
  TFVAE_INLINE explicit PhiloxKeys(const PhiloxStream& of) : stream(of) {
    for (uint32_t round = 0; round < kPhiloxRounds; ++round) {
      key0[round] = VectorU64() + uint64_t(stream.key0 + round * kPhiloxW0);
      key1[round] = VectorU64() + uint64_t(stream.key1 + round * kPhiloxW1);
    }
  }

  PhiloxStream stream;
  VectorU64 key0[kPhiloxRounds], key1[kPhiloxRounds];
};

// Philox on blocks of groups, one after the other, that share the upper word of their number: what they share is taken
// out of the first two rounds, and the first product, which is linear in the number, is carried on by addition.
template <class A>
class PhiloxSchedule {
 public:
  // From the block that begins with `group` on.
  TFVAE_INLINE PhiloxSchedule(const PhiloxKeys& keys, uint64_t group) : keys_(&keys) {
    const PhiloxStream& stream = keys.stream;
    // The first round takes words 0 and 1 of the next from words 1 and 2 of the counter, which are the same in all
    // lanes, and so for words 2 and 3 of the one after.
    const PhiloxWords<uint64_t> counter = {0, group >> 32, stream.counter2, stream.counter3};
    const PhiloxWords<uint64_t> shared = philox_round<uint64_t, uint64_t>(counter, stream.key0, stream.key1);
    const PhiloxWords<uint64_t> shared2 = philox_round<uint64_t, uint64_t>(shared, 0, 0);
    first2_ = keys_->key1[0] ^ uint64_t(stream.counter3);
    second0_ = keys_->key0[1] ^ shared.w1;
    second2_ = keys_->key1[1] ^ (shared2.w2 ^ shared.w3);
    second3_ = VectorU64() + shared2.w3;
    for (int i = 0; i < kChains<A>; ++i) {
      products_[i] =
          WideProduct<VectorU64>::of_low_words(groups_of_lanes() + (group + i * kChainGroups), multiplier0());
    }
  }

  // The last round of the next block's chains.
  TFVAE_INLINE void next(PhiloxProducts (&out)[kChains<A>]) {
    PhiloxWords<VectorU64> c[kChains<A>];
#pragma GCC unroll 4
    for (int i = 0; i < kChains<A>; ++i) {
      const VectorU64 p0 = products_[i];
      products_[i] += uint64_t(kBlockGroups<A>) * kPhiloxM0;
      const VectorU64 p1 = WideProduct<VectorU64>::of_low_words((p0 >> 32) ^ first2_, multiplier1());
      c[i] = {(p1 >> 32) ^ second0_, p1, p0 ^ second2_, second3_};
    }
#pragma GCC unroll 8
    for (uint32_t round = 2; round < kPhiloxRounds - 1; ++round) {
      const VectorU64 key0 = keys_->key0[round], key1 = keys_->key1[round];
#pragma GCC unroll 4
      for (int i = 0; i < kChains<A>; ++i) c[i] = philox_round<VectorU64, VectorU64>(c[i], key0, key1);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kChains<A>; ++i) {
      out[i] = {WideProduct<VectorU64>::of_low_words(c[i].w0, multiplier0()),
                WideProduct<VectorU64>::of_low_words(c[i].w2, multiplier1()), c[i].w1, c[i].w3};
    }
  }

  // The words of a chain's groups as bits of float that box_muller takes: words 0 and 2, then words 1 and 3, side by
  // side.
  TFVAE_INLINE void put_words(const PhiloxProducts& c, float* out) const {
    const VectorU64 keys = low_halves(keys_->key0[kLast], keys_->key1[kLast]);
    store(out, bit_cast<VectorF32>(high_halves(c.p1, c.p0) ^ low_halves(c.w1, c.w3) ^ keys));
    store(out + kLanes<VectorF32>, bit_cast<VectorF32>(low_halves(c.p1, c.p0)));
  }

  // The same for double: the two 64-bit words in which TensorFlow puts 52 random bits each, 0 above 1 and 2 above 3.
  TFVAE_INLINE void put_words(const PhiloxProducts& c, double* out) const {
    store(out, bit_cast<VectorF64>(c.p1 ^ ((c.w1 ^ keys_->key0[kLast]) << 32)));
    store(out + kLanes<VectorF64>, bit_cast<VectorF64>(c.p0 ^ ((c.w3 ^ keys_->key1[kLast]) << 32)));
  }

 private:
  static constexpr uint32_t kLast = kPhiloxRounds - 1;
  static TFVAE_INLINE VectorU64 multiplier0() { return VectorU64() + uint64_t(kPhiloxM0); }
  static TFVAE_INLINE VectorU64 multiplier1() { return VectorU64() + uint64_t(kPhiloxM1); }

  const PhiloxKeys* keys_;
  VectorU64 first2_, second0_, second2_, second3_;
  VectorU64 products_[kChains<A>];
};

// The words of the schedule's next block, two vectors for every chain.
template <class A>
TFVAE_INLINE void next_words(PhiloxSchedule<A>* schedule, A* out) {
  PhiloxProducts c[kChains<A>];
  schedule->next(c);
  for (int i = 0; i < kChains<A>; ++i) schedule->put_words(c[i], out + 2 * i * kLanes<VectorOf<A>>);
}

// The first (Half = 0) or second vectors of as many chains as are computed together, and what is to stand there.
template <class A, int Half, class P = Pack<VectorOf<A>, kTogether>>
TFVAE_INLINE P load_chains(const A* block) {
  constexpr int W = kLanes<VectorOf<A>>;
  P v;
  for (int i = 0; i < kTogether; ++i) v.part[i] = load<VectorOf<A>>(block + (2 * i + Half) * W);
  return v;
}
template <class A, int Half, class P>
TFVAE_INLINE void store_chains(A* block, P v) {
  constexpr int W = kLanes<VectorOf<A>>;
  for (int i = 0; i < kTogether; ++i) store(block + (2 * i + Half) * W, v.part[i]);
}

template <class A, class P = Pack<VectorOf<A>, kTogether>>
TFVAE_INLINE P radii(const A* block) {
  return radius<P>(bit_cast<IntOf<P>>(load_chains<A, 0>(block)));
}

// Replaces the words of `size` normals by these, in element order. first: of what is upcoming, where the words begin.
template <class A, class T>
TFVAE_INLINE void normals_of_words(A* words, int64_t size, const Upcoming<T>& upcoming, int64_t first) {
  using P = Pack<VectorOf<A>, kTogether>;
  constexpr int64_t kStep = 2 * kLanes<VectorOf<A>> * kTogether;
  static_assert(kBlockSize<A> % kStep == 0, "words are made in whole blocks");
  if constexpr (kStaged) {
    for (A* block = words; block < words + size; block += kStep) store_chains<A, 0>(block, radii<A>(block));
  }
  for (A* block = words; block < words + size; block += kStep) {
    upcoming.ask_in_second_loop(first + (block - words), kStep);
    const P r = kStaged ? load_chains<A, 0>(block) : radii<A>(block);
    const Point<P> n = on_circle<P>(r, bit_cast<IntOf<P>>(load_chains<A, 1>(block)));
    store_chains<A, 0>(block, interleave_low(n.y, n.x));
    store_chains<A, 1>(block, interleave_high(n.y, n.x));
  }
}

// A block of noise for the elements [begin, begin + count), count <= Capacity. upcoming: what is read with it.
template <class A, int Capacity>
class NoiseBlock {
 public:
  template <class T>
  TFVAE_INLINE void fill(const PhiloxKeys& keys, int64_t begin, int64_t count, const Upcoming<T>& upcoming) {
    // Blocks start at multiples of their size, so their groups share the upper word of their number.
    const int64_t lead = begin % kBlockSize<A>;
    const int64_t size = lead + count;
    uint64_t group = static_cast<uint64_t>(begin - lead) / kGroupSize<A>;
    PhiloxSchedule<A> schedule(keys, group);
    for (int64_t done = 0; done < size; done += kBlockSize<A>, group += kBlockGroups<A>) {
      if (done > 0 && static_cast<uint32_t>(group) == 0) schedule = PhiloxSchedule<A>(keys, group);
      upcoming.ask_in_first_loop(done - lead, kBlockSize<A>);
      next_words(&schedule, buffer_ + done);
    }
    // A second pass, because the two kinds of work together want more registers than there are.
    normals_of_words(buffer_, size, upcoming, -lead);
    start_ = buffer_ + lead;
  }
  // Readable for whole vectors past the last element.
  TFVAE_INLINE const A* data() const { return start_; }

 private:
  alignas(64) A buffer_[Capacity + 2 * kBlockSize<A>];
  const A* start_ = nullptr;
};

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_NOISE_H_
