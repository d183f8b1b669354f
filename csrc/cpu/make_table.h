// Fills in the KernelTable of the instruction set this file is compiled for.
#ifndef TFVAE_CPU_MAKE_TABLE_H_
#define TFVAE_CPU_MAKE_TABLE_H_

#include "csrc/cpu/kernels.h"

namespace tfvae {
namespace TFVAE_ISA {

template <class A>
inline void copy_normals(const PhiloxKeys& keys, int64_t begin, int64_t count, A* out) {
  NoiseBlock<A, kUnitSize> noise;
  for (int64_t done = 0; done < count; done += kUnitSize) {
    const int64_t size = count - done < kUnitSize ? count - done : kUnitSize;
    noise.fill(keys, begin + done, size, Upcoming<A>());
    __builtin_memcpy(out + done, noise.data(), size * sizeof(A));
  }
}

inline void normals(DType dtype, const int64_t seed[2], int64_t begin, int64_t count, void* out) {
  const IeeeMode ieee;
  const PhiloxKeys keys(stream_of_seed(seed[0], seed[1]));
  if (dtype == DType::kFloat64) {
    copy_normals(keys, begin, count, static_cast<double*>(out));
  } else {
    copy_normals(keys, begin, count, static_cast<float*>(out));
  }
}

inline void words(const int64_t seed[2], int64_t count, uint32_t* out) {
  const PhiloxKeys keys(stream_of_seed(seed[0], seed[1]));
  PhiloxSchedule<float> schedule(keys, 0);
  constexpr int64_t kBlock = kBlockSize<float>, kChain = kChainGroups * 4;
  float block[kBlock];
  uint32_t bits[kBlock];
  for (int64_t done = 0; done < count; done += kBlock) {
    const uint64_t first = static_cast<uint64_t>(done) / 4;
    if (done > 0 && static_cast<uint32_t>(first) == 0) schedule = PhiloxSchedule<float>(keys, first);
    next_words(&schedule, block);
    __builtin_memcpy(bits, block, sizeof(bits));
    const int64_t size = count - done < kBlock ? count - done : kBlock;
    for (int64_t i = 0; i < size; ++i) {
      const int64_t group = i % kChain / 4, word = i % 4;
      const int64_t lane = group % (kChainGroups / 2) * 2 + group / (kChainGroups / 2);  // Undoes groups_of_lanes.
      out[done + i] = bits[i / kChain * kChain + word % 2 * kLanes<VectorF32> + lane * 2 + word / 2];
    }
  }
}

template <class Function>
inline void map(int64_t count, const float* in, float* out, Function function) {
  constexpr int W = kLanes<VectorF32>;
  for (int64_t i = 0; i < count; i += W) {
    const int64_t rest = count - i < W ? count - i : W;
    store_part(out + i, function(load_part<VectorF32>(in + i, rest)), rest);
  }
}

// "sin" and "cos" take the turn as an integer 0 <= turn < 2^23 held in a float.
inline void elementary(const char* function, int64_t count, const float* in, float* out) {
  const IeeeMode ieee;
  using V = VectorF32;
  const auto turn = [](V x) { return __builtin_convertvector(x, VectorI32); };
  switch (function[0]) {
    case 'e':
      return map(count, in, out, [](V x) { return exponential<V>(x); });
    case 'm':
      return map(count, in, out, [](V x) {
        const HalfExponential<V> e = half_exponential<V>(x + x);
        return select(e.near, e.minus_one, e.value - 1.0f);
      });
    case 'x':
      return map(count, in, out, [](V x) { return variance_excess<V>(x, half_exponential<V>(x)); });
    case 'l':
      return map(count, in, out, [](V x) { return minus_two_log<V>(x) * -0.5f; });
    case 's':
      return map(count, in, out, [&](V x) { return on_circle<V>(V() + 1.0f, turn(x)).y; });
    case 'c':
      return map(count, in, out, [&](V x) { return on_circle<V>(V() + 1.0f, turn(x)).x; });
  }
}

constexpr KernelTable make_table(const char* isa) {
  return {isa,
          {Forward::work, Forward::run, Forward::finish},
          {Backward::work, Backward::run, Backward::finish},
          {LogRatio::work, LogRatio::run, LogRatio::finish},
          {LogRatioGrad::work, LogRatioGrad::run, LogRatioGrad::finish},
          normals,
          words,
          elementary};
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_MAKE_TABLE_H_
