// reparameterize_log_ratio and its gradients, one unit of work: what the samples share is computed once.
#ifndef TFVAE_CPU_LOG_RATIO_H_
#define TFVAE_CPU_LOG_RATIO_H_

#include "csrc/core/gaussian.h"
#include "csrc/core/params.h"
#include "csrc/cpu/elements.h"
#include "csrc/cpu/noise.h"
#include "csrc/cpu/partition.h"
#include "csrc/cpu/prior.h"
#include "csrc/cpu/rows.h"

namespace tfvae {
namespace TFVAE_ISA {

constexpr int64_t kRatioUnitSize = 512;  // Smaller than kUnitSize: the samples multiply the work of a unit.
constexpr int64_t kSamplesPerItem = 16;

// RatioTerms of a unit, and the half difference of the log-variances. Whole vectors may be read past the end.
template <class A>
class RatioUnit {
 public:
  using V = VectorOf<A>;

  template <class T>
  TFVAE_INLINE void fill(const CommonParams& p, const Range& range) {
    const T* mean = static_cast<const T*>(p.mean) + range.begin;
    const T* log_var = static_cast<const T*>(p.log_var) + range.begin;
    with_prior<T>(p, range, [&](auto prior) {
      for_vectors<V>(range.size(), [&](int64_t i, auto access) {
        const V l = access.get(log_var + i);
        store(mean_ + i, access.get(mean + i));
        store(sigma_ + i, half_exponential<V>(l).value);
        put_prior(i, l, prior_vector<V>(access, prior, i));
      });
    });
  }

  TFVAE_INLINE RatioTerms<V> terms(int64_t i) const {
    return {load<V>(mean_ + i), load<V>(sigma_ + i), load<V>(prior_mean_ + i), load<V>(precision_ + i)};
  }
  TFVAE_INLINE V shared(int64_t i) const { return load<V>(shared_ + i); }

 private:
  TFVAE_INLINE void put_prior(int64_t i, V log_var, NoPrior) {
    store(prior_mean_ + i, V());
    store(precision_ + i, V() + A(1));
    store(shared_ + i, log_var * A(-0.5));
  }
  TFVAE_INLINE void put_prior(int64_t i, V log_var, const Prior<V>& prior) {
    store(prior_mean_ + i, prior.mean);
    store(precision_ + i, precision<V>(prior));
    store(shared_ + i, (prior.log_var - log_var) * A(0.5));
  }

  static constexpr int64_t kSize = kRatioUnitSize + kLanes<V>;
  alignas(64) A mean_[kSize], sigma_[kSize], prior_mean_[kSize], precision_[kSize], shared_[kSize];
};

// The samples [first, last) of one unit. partials: [num_samples, units] sums where a row has several units.
template <class T, bool kStreamed>
void log_ratio_unit(const LogRatioParams& p, const PhiloxStream& stream, const Partition& cut, int64_t unit,
                    int64_t first, int64_t last, Arithmetic<T>* partials) {
  using A = Arithmetic<T>;
  using V = VectorOf<A>;
  const Range range = range_of_unit(cut, unit);
  RatioUnit<A> shared;
  shared.template fill<T>(p, range);
  NoiseBlock<A, kRatioUnitSize> noise;
  alignas(64) A terms[kRatioUnitSize + kLanes<V>];
  for (int64_t k = first; k < last; ++k) {
    const int64_t begin = k * cut.rows * cut.columns + range.begin;
    noise.fill(stream, begin, range.size());
    const Output<kStreamed, T> z = {static_cast<T*>(p.z) + begin};
    for_vectors<V>(range.size(), [&](int64_t i, auto access) {
      const RatioSample<V> s = ratio_sample<V>(shared.terms(i), access.get(noise.data() + i));
      access.put(z + i, s.z);
      access.put(terms + i, s.log_ratio + shared.shared(i));
    });
    if (cut.units_per_row > 1) {
      partials[k * cut.units + unit] = sum(terms, range.size());
    } else {
      sum_rows(terms, range.rows, cut.columns, static_cast<A*>(p.log_ratio) + k * cut.rows + range.row);
    }
  }
}

// Sums over the samples of one unit's gradients.
template <class A>
struct RatioSums {
  static constexpr int64_t kSize = kRatioUnitSize + kLanes<VectorOf<A>>;
  alignas(64) A mean[kSize] = {}, log_var[kSize] = {}, prior_mean[kSize] = {}, prior_log_var[kSize] = {};

  TFVAE_INLINE void add(int64_t i, const RatioGradients<VectorOf<A>>& g) {
    using V = VectorOf<A>;
    store(mean + i, load<V>(mean + i) + g.mean);
    store(log_var + i, load<V>(log_var + i) + g.log_var);
    store(prior_mean + i, load<V>(prior_mean + i) + g.prior_mean);
    store(prior_log_var + i, load<V>(prior_log_var + i) + g.prior_log_var);
  }
};

template <class T, class A>
TFVAE_INLINE void copy_out(const A* from, int64_t count, void* to, int64_t begin) {
  for_vectors<VectorOf<A>>(
      count, [&](int64_t i, auto access) { access.put(static_cast<T*>(to) + begin + i, access.get(from + i)); });
}

// prior_sums as for backward_unit.
template <class T>
void log_ratio_grad_unit(const LogRatioGradParams& p, const PhiloxStream& stream, const Partition& cut, int64_t unit,
                         double* prior_sums) {
  using A = Arithmetic<T>;
  using V = VectorOf<A>;
  const Range range = range_of_unit(cut, unit);
  RatioUnit<A> shared;
  shared.template fill<T>(p, range);
  NoiseBlock<A, kRatioUnitSize> noise;
  RatioSums<A> sums;
  alignas(64) A upstream[kRatioUnitSize + kLanes<V>];
  for (int64_t k = 0; k < p.num_samples; ++k) {
    const int64_t begin = k * cut.rows * cut.columns + range.begin;
    noise.fill(stream, begin, range.size());
    const T* dz = static_cast<const T*>(p.dz) + begin;
    const A* dratio = static_cast<const A*>(p.dlog_ratio) + k * cut.rows + range.row;
    repeat_along_rows(dratio, range.rows, range.width(), upstream);
    for_vectors<V>(range.size(), [&](int64_t i, auto access) {
      sums.add(i, ratio_gradients<V>(shared.terms(i), access.get(noise.data() + i), access.get(dz + i),
                                     access.get(upstream + i), p.stop_density_gradient));
    });
  }
  copy_out<T>(sums.mean, range.size(), p.dmean, range.begin);
  copy_out<T>(sums.log_var, range.size(), p.dlog_var, range.begin);
  if (p.prior == PriorShape::kFull) {
    copy_out<T>(sums.prior_mean, range.size(), p.dprior_mean, range.begin);
    copy_out<T>(sums.prior_log_var, range.size(), p.dprior_log_var, range.begin);
  } else if (p.prior == PriorShape::kShared) {
    add_columns<kRatioUnitSize>(sums.prior_mean, range.rows, range.width(), prior_sums + range.column);
    add_columns<kRatioUnitSize>(sums.prior_log_var, range.rows, range.width(), prior_sums + cut.columns + range.column);
  }
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_LOG_RATIO_H_
