// The loops of the CPU kernels, compiled once per instruction set (see isa_*.cc).
#ifndef TFVAE_CPU_LOOPS_H_
#define TFVAE_CPU_LOOPS_H_

#include "csrc/core/gaussian.h"
#include "csrc/core/params.h"
#include "csrc/cpu/memory.h"
#include "csrc/cpu/noise.h"
#include "csrc/cpu/partition.h"

namespace tfvae {
namespace TFVAE_ISA {

// The sum of terms[0 .. count): four vectors of partial sums, then the lanes from left to right, then the rest.
template <class A>
TFVAE_INLINE A sum(const A* terms, int64_t count) {
  using V = VectorOf<A>;
  constexpr int W = kLanes<V>;
  A total = 0;
  int64_t i = 0;
  if (count >= W) {
    V parts[4] = {};
    for (; i + 4 * W <= count; i += 4 * W) {
      for (int k = 0; k < 4; ++k) parts[k] += load<V>(terms + i + k * W);
    }
    for (; i + W <= count; i += W) parts[0] += load<V>(terms + i);
    const V all = (parts[0] + parts[1]) + (parts[2] + parts[3]);
    for (int lane = 0; lane < W; ++lane) total += all[lane];
  }
  for (; i < count; ++i) total += terms[i];
  return total;
}

template <class T>
struct ForwardUnit {
  using A = Arithmetic<T>;
  using V = VectorOf<A>;
  static constexpr int W = kLanes<V>;

  // z of the range, and its KL terms to `terms`, which may be the output itself.
  static TFVAE_INLINE void elements(const ForwardParams& p, const A* eps, const Range& range, A* terms) {
    const T* mean = static_cast<const T*>(p.mean) + range.begin;
    const T* log_var = static_cast<const T*>(p.log_var) + range.begin;
    T* z = static_cast<T*>(p.z) + range.begin;
    const int64_t count = range.end - range.begin;
    int64_t i = 0;
    for (; i + W <= count; i += W) {
      const Sample<V> s = sample<V>(load<V>(mean + i), load<V>(log_var + i), load<V>(eps + i));
      store(z + i, s.z);
      store(terms + i, s.kl);
    }
    if (i < count) {
      const int64_t rest = count - i;
      const Sample<V> s =
          sample<V>(load_part<V>(mean + i, rest), load_part<V>(log_var + i, rest), load_part<V>(eps + i, rest));
      store_part(z + i, s.z, rest);
      store_part(terms + i, s.kl, rest);
    }
  }

  static void run(const ForwardParams& p, const PhiloxStream& stream, const Partition& cut, int64_t unit, A* partials) {
    const Range range = range_of_unit(cut, unit);
    NoiseBlock<A, kUnitSize> noise;
    noise.fill(stream, range.begin, range.end - range.begin);
    A* kl = static_cast<A*>(p.kl);
    if (p.per_dimension) {
      elements(p, noise.data(), range, kl + range.begin);
      return;
    }
    alignas(64) A terms[kUnitSize];
    elements(p, noise.data(), range, terms);
    if (cut.units_per_row > 1) {
      partials[unit] = sum(terms, range.end - range.begin);
      return;
    }
    const int64_t rows = (range.end - range.begin) / cut.columns;
    for (int64_t r = 0; r < rows; ++r) kl[range.row + r] = sum(terms + r * cut.columns, cut.columns);
  }
};

template <class T>
struct BackwardUnit {
  using A = Arithmetic<T>;
  using V = VectorOf<A>;
  static constexpr int W = kLanes<V>;

  // dkl of every element of the range: as given per dimension, else each row's value repeated.
  static TFVAE_INLINE const A* upstream(const BackwardParams& p, const Range& range, A* repeated) {
    const A* dkl = static_cast<const A*>(p.dkl);
    if (p.per_dimension) return dkl + range.begin;
    const int64_t count = range.end - range.begin;
    const int64_t width = count < p.columns ? count : p.columns;
    for (int64_t start = 0, row = range.row; start < count; start += width, ++row) {
      for (int64_t i = 0; i < width; ++i) repeated[start + i] = dkl[row];
    }
    return repeated;
  }

  static void run(const BackwardParams& p, const PhiloxStream& stream, const Partition& cut, int64_t unit) {
    const Range range = range_of_unit(cut, unit);
    const int64_t count = range.end - range.begin;
    NoiseBlock<A, kUnitSize> noise;
    noise.fill(stream, range.begin, count);
    alignas(64) A repeated[kUnitSize];
    const A* dkl = upstream(p, range, repeated);
    const A* eps = noise.data();
    const T* mean = static_cast<const T*>(p.mean) + range.begin;
    const T* log_var = static_cast<const T*>(p.log_var) + range.begin;
    const T* dz = static_cast<const T*>(p.dz) + range.begin;
    T* dmean = static_cast<T*>(p.dmean) + range.begin;
    T* dlog_var = static_cast<T*>(p.dlog_var) + range.begin;
    int64_t i = 0;
    for (; i + W <= count; i += W) {
      const Gradients<V> g =
          gradients<V>(load<V>(mean + i), load<V>(log_var + i), load<V>(eps + i), load<V>(dz + i), load<V>(dkl + i));
      store(dmean + i, g.mean);
      store(dlog_var + i, g.log_var);
    }
    if (i < count) {
      const int64_t rest = count - i;
      const Gradients<V> g =
          gradients<V>(load_part<V>(mean + i, rest), load_part<V>(log_var + i, rest), load_part<V>(eps + i, rest),
                       load_part<V>(dz + i, rest), load_part<V>(dkl + i, rest));
      store_part(dmean + i, g.mean, rest);
      store_part(dlog_var + i, g.log_var, rest);
    }
  }
};

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_LOOPS_H_
