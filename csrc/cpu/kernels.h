// The kernels of one instruction set as tfvae::Kernel: how the work is cut, run and finished.
#ifndef TFVAE_CPU_KERNELS_H_
#define TFVAE_CPU_KERNELS_H_

#include "csrc/cpu/backward.h"
#include "csrc/cpu/forward.h"
#include "csrc/cpu/ieee_mode.h"
#include "csrc/cpu/kernel_table.h"
#include "csrc/cpu/log_ratio.h"
#include "csrc/cpu/prior_sums.h"

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
    const PhiloxKeys keys(stream_of_seed(p.seed[0], p.seed[1]));
    const Partition c = cut(p);
    with_type(p.dtype, [&](auto tag) {
      using T = typename decltype(tag)::T;
      with_streamed(is_streamed<T>(p, p.rows, p.z), [&](auto way) {
        for (int64_t unit = begin; unit < end; ++unit) {
          forward_unit<T, way.kStreamed>(p, keys, c, unit, static_cast<Arithmetic<T>*>(scratch));
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

template <class Params>
void finish_prior_sums(const Params& p, const Partition& cut, const void* scratch) {
  with_type(p.dtype, [&](auto tag) { SharedPriorSums(p, cut).template finish<typename decltype(tag)::T>(scratch); });
}

struct Backward {
  static Partition cut(const BackwardParams& p) { return partition(p.rows, p.columns, kUnitSize); }
  static Work work(const BackwardParams& p) { return SharedPriorSums(p, cut(p)).work(kUnitSize * kCyclesPerElement); }

  static void run(const BackwardParams& p, void* scratch, int64_t begin, int64_t end) {
    const IeeeMode ieee;
    const PhiloxKeys keys(stream_of_seed(p.seed[0], p.seed[1]));
    const Partition c = cut(p);
    with_type(p.dtype, [&](auto tag) {
      using T = typename decltype(tag)::T;
      const bool streamed = is_streamed<T>(p, p.rows, p.dmean, p.dz) && is_streamed<T>(p, p.rows, p.dlog_var, p.dz);
      with_streamed(streamed, [&](auto way) {
        SharedPriorSums(p, c).template for_units<T>(scratch, begin, end, [&](int64_t unit, PriorSums* sums) {
          backward_unit<T, way.kStreamed>(p, keys, c, unit, sums);
        });
      });
    });
  }

  static void finish(const BackwardParams& p, const void* scratch) { finish_prior_sums(p, cut(p), scratch); }
};

struct LogRatio {
  static Partition cut(const LogRatioParams& p) { return partition(p.rows, p.columns, kRatioUnitSize); }
  static int64_t sample_blocks(const LogRatioParams& p) {
    return p.num_samples / kSamplesPerItem + (p.num_samples % kSamplesPerItem != 0);
  }
  static int64_t samples_per_item(const LogRatioParams& p) {
    return p.num_samples < kSamplesPerItem ? p.num_samples : kSamplesPerItem;
  }
  static bool has_partials(const LogRatioParams& p) { return cut(p).units_per_row > 1; }

  static Work work(const LogRatioParams& p) {
    const int64_t units = cut(p).units;
    return {units * sample_blocks(p), has_partials(p) ? p.num_samples * units * size_of_arithmetic(p.dtype) : 0,
            kRatioUnitSize * samples_per_item(p) * kCyclesPerElement};
  }

  static void run(const LogRatioParams& p, void* scratch, int64_t begin, int64_t end) {
    const IeeeMode ieee;
    const PhiloxKeys keys(stream_of_seed(p.seed[0], p.seed[1]));
    const Partition c = cut(p);
    with_type(p.dtype, [&](auto tag) {
      using T = typename decltype(tag)::T;
      with_streamed(is_streamed<T>(p, p.num_samples * p.rows, p.z), [&](auto way) {
        with_or_without_prior(p, [&](auto prior) {
          for (int64_t item = begin; item < end; ++item) {
            const int64_t first = item / c.units * kSamplesPerItem;
            const int64_t last = first + kSamplesPerItem < p.num_samples ? first + kSamplesPerItem : p.num_samples;
            log_ratio_unit<T, way.kStreamed, prior.kHasPrior>(p, keys, c, item % c.units, first, last,
                                                              static_cast<Arithmetic<T>*>(scratch));
          }
        });
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
  static Partition cut(const LogRatioGradParams& p) { return partition(p.rows, p.columns, kRatioUnitSize); }
  static Work work(const LogRatioGradParams& p) {
    return SharedPriorSums(p, cut(p)).work(kRatioUnitSize * p.num_samples * kCyclesPerElement);
  }

  static void run(const LogRatioGradParams& p, void* scratch, int64_t begin, int64_t end) {
    const IeeeMode ieee;
    const PhiloxKeys keys(stream_of_seed(p.seed[0], p.seed[1]));
    const Partition c = cut(p);
    with_type(p.dtype, [&](auto tag) {
      using T = typename decltype(tag)::T;
      with_or_without_prior(p, [&](auto prior) {
        SharedPriorSums(p, c).template for_units<T>(scratch, begin, end, [&](int64_t unit, PriorSums* sums) {
          log_ratio_grad_unit<T, prior.kHasPrior>(p, keys, c, unit, sums);
        });
      });
    });
  }

  static void finish(const LogRatioGradParams& p, const void* scratch) { finish_prior_sums(p, cut(p), scratch); }
};

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_KERNELS_H_
