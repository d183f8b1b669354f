// Fills in the KernelTable of the instruction set this file is compiled for.
#ifndef TFVAE_CPU_MAKE_TABLE_H_
#define TFVAE_CPU_MAKE_TABLE_H_

#include "csrc/cpu/ieee_mode.h"
#include "csrc/cpu/kernel_table.h"
#include "csrc/cpu/loops.h"

namespace tfvae {
namespace TFVAE_ISA {

template <class T>
struct TypeTag {
  using Type = T;
};

template <class Body>
inline void with_type(DType dtype, Body body) {
  switch (dtype) {
    case DType::kFloat16:
      return body(TypeTag<Half>());
    case DType::kBFloat16:
      return body(TypeTag<BFloat16>());
    case DType::kFloat32:
      return body(TypeTag<float>());
    case DType::kFloat64:
      return body(TypeTag<double>());
  }
}

inline int64_t count_units(int64_t rows, int64_t columns) { return partition(rows, columns).units; }

inline int64_t count_units_per_row(int64_t rows, int64_t columns) { return partition(rows, columns).units_per_row; }

inline void forward(const ForwardParams& p, void* partials, int64_t unit_begin, int64_t unit_end) {
  const IeeeMode ieee;
  const PhiloxStream stream = stream_of_seed(p.seed[0], p.seed[1]);
  const Partition cut = partition(p.rows, p.columns);
  with_type(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    for (int64_t unit = unit_begin; unit < unit_end; ++unit) {
      ForwardUnit<T>::run(p, stream, cut, unit, static_cast<Arithmetic<T>*>(partials));
    }
  });
}

inline void sum_partials(const ForwardParams& p, const void* partials) {
  const IeeeMode ieee;
  const Partition cut = partition(p.rows, p.columns);
  with_type(p.dtype, [&](auto tag) {
    using A = Arithmetic<typename decltype(tag)::Type>;
    const A* part = static_cast<const A*>(partials);
    A* kl = static_cast<A*>(p.kl);
    for (int64_t row = 0; row < p.rows; ++row) {
      double total = 0;
      for (int64_t i = 0; i < cut.units_per_row; ++i) total += part[row * cut.units_per_row + i];
      kl[row] = static_cast<A>(total);
    }
  });
}

inline void backward(const BackwardParams& p, int64_t unit_begin, int64_t unit_end) {
  const IeeeMode ieee;
  const PhiloxStream stream = stream_of_seed(p.seed[0], p.seed[1]);
  const Partition cut = partition(p.rows, p.columns);
  with_type(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    for (int64_t unit = unit_begin; unit < unit_end; ++unit) BackwardUnit<T>::run(p, stream, cut, unit);
  });
}

template <class A>
inline void copy_normals(const PhiloxStream& stream, int64_t begin, int64_t count, A* out) {
  NoiseBlock<A, kUnitSize> noise;
  for (int64_t done = 0; done < count; done += kUnitSize) {
    const int64_t size = count - done < kUnitSize ? count - done : kUnitSize;
    noise.fill(stream, begin + done, size);
    __builtin_memcpy(out + done, noise.data(), size * sizeof(A));
  }
}

inline void normals(DType dtype, const int64_t seed[2], int64_t begin, int64_t count, void* out) {
  const IeeeMode ieee;
  const PhiloxStream stream = stream_of_seed(seed[0], seed[1]);
  if (dtype == DType::kFloat64) {
    copy_normals(stream, begin, count, static_cast<double*>(out));
  } else {
    copy_normals(stream, begin, count, static_cast<float*>(out));
  }
}

inline void words(const int64_t seed[2], int64_t count, uint32_t* out) {
  const PhiloxSchedule schedule(stream_of_seed(seed[0], seed[1]), 0);
  constexpr int W = kLanes<VectorF32>;
  constexpr int64_t kPairSize = 2 * kStepSize<float>;
  float block[kPairSize];
  uint32_t bits[kPairSize];
  for (int64_t done = 0; done < count; done += kPairSize) {
    words_of_two_steps(static_cast<uint64_t>(done) / 4, schedule, block);
    __builtin_memcpy(bits, block, sizeof(bits));
    const int64_t size = count - done < kPairSize ? count - done : kPairSize;
    for (int64_t i = 0; i < size; ++i) {
      const int64_t step = i / kStepSize<float>, group = i % kStepSize<float> / 4;
      out[done + i] = bits[step * kStepSize<float> + i % 4 * W + group];
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
      return map(count, in, out, [](V x) { return exponential<V>(x).value; });
    case 'm':
      return map(count, in, out, [](V x) { return exponential<V>(x).minus_one; });
    case 'x':
      return map(count, in, out, [](V x) { return spread<V>(x).excess; });
    case 'l':
      return map(count, in, out, [](V x) { return logarithm<V>(x); });
    case 's':
      return map(count, in, out, [&](V x) { return sin_cos_of_turn<V>(turn(x)).sin; });
    case 'c':
      return map(count, in, out, [&](V x) { return sin_cos_of_turn<V>(turn(x)).cos; });
  }
}

constexpr KernelTable make_table(const char* isa) {
  return {isa, count_units, count_units_per_row, forward, sum_partials, backward, normals, words, elementary};
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_MAKE_TABLE_H_
