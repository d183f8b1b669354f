// The kernels of one instruction set as tfvae::Kernel: how the work is cut, run and finished.
#ifndef TFVAE_CPU_KERNELS_H_
#define TFVAE_CPU_KERNELS_H_

#include "csrc/cpu/backward.h"
#include "csrc/cpu/forward.h"
#include "csrc/cpu/ieee_mode.h"
#include "csrc/cpu/kernel_table.h"
#include "csrc/cpu/log_ratio.h"

namespace tfvae {
namespace TFVAE_ISA {

constexpr int64_t kCyclesPerElement = 192 / kVectorBytes;  // As measured with 32 bytes, about 6.

inline int64_t size_of_arithmetic(DType dtype) { return dtype == DType::kFloat64 ? 8 : 4; }

// Rows cut in several units: out[row] is the sum of the row's partial sums, from left to right.
template <class A>
inline void sum_partials(const Partition& cut, int64_t rows, const A* partials, A* out) {
  const IeeeMode ieee;
  for (int64_t row = 0; row < rows; ++row) {
    double total = 0;
    for (int64_t i = 0; i < cut.units_per_row; ++i) total += partials[row * cut.units_per_row + i];
    out[row] = static_cast<A>(total);
  }
}

struct Forward {
  static Partition cut(const ForwardParams& p) { return partition(p.rows, p.columns, kUnitSize); }
  static bool has_partials(const ForwardParams& p) { return !p.per_dimension && cut(p).units_per_row > 1; }

  static Work work(const ForwardParams& p) {
    const int64_t units = cut(p).units;
    return {units, has_partials(p) ? units * size_of_arithmetic(p.dtype) : 0, kUnitSize * kCyclesPerElement};
  }

  static void run(const ForwardParams& p, void* scratch, int64_t begin, int64_t end) {
    const IeeeMode ieee;
    const PhiloxStream stream = stream_of_seed(p.seed[0], p.seed[1]);
    const Partition c = cut(p);
    with_type(p.dtype, [&](auto tag) {
      using T = typename decltype(tag)::T;
      with_streamed(is_streamed<T>(p, p.rows, p.z), [&](auto way) {
        for (int64_t unit = begin; unit < end; ++unit) {
          forward_unit<T, way.kStreamed>(p, stream, c, unit, static_cast<Arithmetic<T>*>(scratch));
        }
      });
    });
  }

  static void finish(const ForwardParams& p, const void* scratch) {
    with_type(p.dtype, [&](auto tag) {
      using A = Arithmetic<typename decltype(tag)::T>;
      A* kl = static_cast<A*>(p.kl);
      if (has_partials(p)) {
        sum_partials(cut(p), p.rows, static_cast<const A*>(scratch), kl);
      } else if (p.columns == 0 && !p.per_dimension) {
        for (int64_t row = 0; row < p.rows; ++row) kl[row] = 0;
      }
    });
  }
};

// Gradients with respect to a shared prior are sums over rows: each group of rows has sums of its own, [2, columns], in
// the scratch, and every item adds to its columns of one group, row after row.
template <class Params>
struct SharedPriorSums {
  static bool needed(const Params& p) { return p.prior == PriorShape::kShared; }

  static Work work(const Params& p, const Partition& c, int64_t cycles_per_unit) {
    if (!needed(p)) return {c.units, 0, cycles_per_unit};
    const int64_t items = c.groups() * c.units_per_row;
    return {items, c.groups() * 2 * c.columns * int64_t(sizeof(double)),
            items == 0 ? 0 : cycles_per_unit * (c.units / items)};
  }

  // Calls body(unit, sums) for every unit of the items.
  template <class Body>
  static void for_units(const Params& p, const Partition& c, void* scratch, int64_t begin, int64_t end, Body body) {
    if (!needed(p)) {
      for (int64_t unit = begin; unit < end; ++unit) body(unit, nullptr);
      return;
    }
    for (int64_t item = begin; item < end; ++item) {
      const int64_t group = item / c.units_per_row, part = item % c.units_per_row;
      double* sums = static_cast<double*>(scratch) + group * 2 * c.columns;
      const int64_t column = part * c.unit_size;
      for (int64_t i = column; i < c.columns && i < column + c.unit_size; ++i) sums[i] = sums[c.columns + i] = 0;
      for (int64_t block = c.blocks() * group / c.groups(); block < c.blocks() * (group + 1) / c.groups(); ++block) {
        body(block * c.units_per_row + part, sums);
      }
    }
  }

  static void finish(const Params& p, const Partition& c, const void* scratch) {
    if (!needed(p)) return;
    const IeeeMode ieee;
    const double* sums = static_cast<const double*>(scratch);
    with_type(p.dtype, [&](auto tag) {
      using T = typename decltype(tag)::T;
      using A = Arithmetic<T>;
      for (int64_t i = 0; i < 2 * c.columns; ++i) {
        double total = 0;
        for (int64_t group = 0; group < c.groups(); ++group) total += sums[group * 2 * c.columns + i];
        T* out = static_cast<T*>(i < c.columns ? p.dprior_mean : p.dprior_log_var);
        store_part(out + i % c.columns, broadcast<VectorOf<A>>(static_cast<A>(total)), 1);
      }
    });
  }
};

struct Backward {
  using Sums = SharedPriorSums<BackwardParams>;
  static Partition cut(const BackwardParams& p) { return partition(p.rows, p.columns, kUnitSize); }
  static Work work(const BackwardParams& p) { return Sums::work(p, cut(p), kUnitSize * kCyclesPerElement); }

  static void run(const BackwardParams& p, void* scratch, int64_t begin, int64_t end) {
    const IeeeMode ieee;
    const PhiloxStream stream = stream_of_seed(p.seed[0], p.seed[1]);
    const Partition c = cut(p);
    with_type(p.dtype, [&](auto tag) {
      using T = typename decltype(tag)::T;
      const bool streamed = is_streamed<T>(p, p.rows, p.dmean, p.dz) && is_streamed<T>(p, p.rows, p.dlog_var, p.dz);
      with_streamed(streamed, [&](auto way) {
        Sums::for_units(p, c, scratch, begin, end,
                        [&](int64_t unit, double* sums) { backward_unit<T, way.kStreamed>(p, stream, c, unit, sums); });
      });
    });
  }

  static void finish(const BackwardParams& p, const void* scratch) { Sums::finish(p, cut(p), scratch); }
};

struct LogRatio {
  static Partition cut(const LogRatioParams& p) { return partition(p.rows, p.columns, kRatioUnitSize); }
  static int64_t sample_blocks(const LogRatioParams& p) {
    return p.num_samples / kSamplesPerItem + (p.num_samples % kSamplesPerItem != 0);
  }
  static bool has_partials(const LogRatioParams& p) { return cut(p).units_per_row > 1; }

  static Work work(const LogRatioParams& p) {
    const int64_t units = cut(p).units;
    return {units * sample_blocks(p), has_partials(p) ? p.num_samples * units * size_of_arithmetic(p.dtype) : 0,
            kRatioUnitSize * kSamplesPerItem * kCyclesPerElement};
  }

  static void run(const LogRatioParams& p, void* scratch, int64_t begin, int64_t end) {
    const IeeeMode ieee;
    const PhiloxStream stream = stream_of_seed(p.seed[0], p.seed[1]);
    const Partition c = cut(p);
    with_type(p.dtype, [&](auto tag) {
      using T = typename decltype(tag)::T;
      with_streamed(is_streamed<T>(p, p.num_samples * p.rows, p.z), [&](auto way) {
        for (int64_t item = begin; item < end; ++item) {
          const int64_t first = item / c.units * kSamplesPerItem;
          const int64_t last = first + kSamplesPerItem < p.num_samples ? first + kSamplesPerItem : p.num_samples;
          log_ratio_unit<T, way.kStreamed>(p, stream, c, item % c.units, first, last,
                                           static_cast<Arithmetic<T>*>(scratch));
        }
      });
    });
  }

  static void finish(const LogRatioParams& p, const void* scratch) {
    with_type(p.dtype, [&](auto tag) {
      using A = Arithmetic<typename decltype(tag)::T>;
      A* out = static_cast<A*>(p.log_ratio);
      if (has_partials(p)) {
        sum_partials(cut(p), p.num_samples * p.rows, static_cast<const A*>(scratch), out);
      } else if (p.columns == 0) {
        for (int64_t i = 0; i < p.num_samples * p.rows; ++i) out[i] = 0;
      }
    });
  }
};

struct LogRatioGrad {
  using Sums = SharedPriorSums<LogRatioGradParams>;
  static Partition cut(const LogRatioGradParams& p) { return partition(p.rows, p.columns, kRatioUnitSize); }
  static Work work(const LogRatioGradParams& p) {
    return Sums::work(p, cut(p), kRatioUnitSize * p.num_samples * kCyclesPerElement);
  }

  static void run(const LogRatioGradParams& p, void* scratch, int64_t begin, int64_t end) {
    const IeeeMode ieee;
    const PhiloxStream stream = stream_of_seed(p.seed[0], p.seed[1]);
    const Partition c = cut(p);
    with_type(p.dtype, [&](auto tag) {
      using T = typename decltype(tag)::T;
      Sums::for_units(p, c, scratch, begin, end,
                      [&](int64_t unit, double* sums) { log_ratio_grad_unit<T>(p, stream, c, unit, sums); });
    });
  }

  static void finish(const LogRatioGradParams& p, const void* scratch) { Sums::finish(p, cut(p), scratch); }
};

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_KERNELS_H_
