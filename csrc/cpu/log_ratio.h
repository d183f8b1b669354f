// reparameterize_log_ratio and its gradients, one unit of work: what the samples share is computed once.
#ifndef TFVAE_CPU_LOG_RATIO_H_
#define TFVAE_CPU_LOG_RATIO_H_

#include "csrc/core/gaussian.h"
#include "csrc/core/params.h"
#include "csrc/cpu/elements.h"
#include "csrc/cpu/noise.h"
#include "csrc/cpu/partition.h"
#include "csrc/cpu/prior.h"
#include "csrc/cpu/prior_sums.h"
#include "csrc/cpu/rows.h"

namespace tfvae {
namespace TFVAE_ISA {

constexpr int64_t kRatioUnitSize = 512;  // Smaller than kUnitSize: the samples multiply the work of a unit.
constexpr int64_t kSamplesPerItem = 16;

// RatioTerms of a unit, and the half difference of the log-variances. Whole vectors may be read past the end.
template <class A, bool kHasPrior>
class RatioUnit {
 public:
  using V = VectorOf<A>;

  template <class T>
  TFVAE_INLINE void fill(const CommonParams& p, const Range& range) {
    const T* mean = static_cast<const T*>(p.mean) + range.begin;
    const T* log_var = static_cast<const T*>(p.log_var) + range.begin;
    const auto fill_with = [&](auto prior) {
      for_vectors<V>(range.size(), [&](int64_t i, auto access) {
        const V l = access.get(log_var + i);
        store(mean_ + i, access.get(mean + i));
        store(sigma_ + i, half_exponential<V>(l).value);
        put_prior(i, l, prior_vector<V>(access, prior, i));
      });
    };
    if constexpr (kHasPrior) {
      with_prior<T>(p, range, fill_with);
    } else {
      fill_with(NoPrior());
    }
  }

  TFVAE_INLINE RatioTerms<V> terms(int64_t i) const {
    const V mean = load<V>(mean_ + i), sigma = load<V>(sigma_ + i);
    if constexpr (kHasPrior) {
      return {mean, sigma, load<V>(prior_mean_ + i), load<V>(precision_ + i)};
    } else {
      return {mean, sigma, V(), V() + A(1)};
    }
  }
  TFVAE_INLINE V shared(int64_t i) const { return load<V>(shared_ + i); }

 private:
  TFVAE_INLINE void put_prior(int64_t i, V log_var, NoPrior) { store(shared_ + i, log_var * A(-0.5)); }
  TFVAE_INLINE void put_prior(int64_t i, V log_var, const Prior<V>& prior) {
    store(prior_mean_ + i, prior.mean);
    store(precision_ + i, prior.precision);
    store(shared_ + i, (prior.log_var - log_var) * A(0.5));
  }

  static constexpr int64_t kSize = kRatioUnitSize + kLanes<V>, kPriorSize = kHasPrior ? kSize : kLanes<V>;
  alignas(64) A mean_[kSize], sigma_[kSize], shared_[kSize], prior_mean_[kPriorSize], precision_[kPriorSize];
};

// The noise of one sample. Not inlined: in a loop over samples the compiler moves what Philox needs out of it, which is
// more than there are registers.
template <class T, class A>
__attribute__((noinline)) void fill_noise(const PhiloxKeys& keys, int64_t begin, int64_t count,
                                          const Upcoming<T>& upcoming, NoiseBlock<A, kRatioUnitSize>* noise) {
  noise->fill(keys, begin, count, upcoming);
}

// The samples [first, last) of one unit. partials: [num_samples, units] sums where a row has several units.
template <class T, bool kStreamed, bool kHasPrior>
void log_ratio_unit(const LogRatioParams& p, const PhiloxKeys& keys, const Partition& cut, int64_t unit, int64_t first,
                    int64_t last, Arithmetic<T>* partials) {
  using A = Arithmetic<T>;
  using V = VectorOf<A>;
  const Range range = range_of_unit(cut, unit);
  RatioUnit<A, kHasPrior> shared;
  shared.template fill<T>(p, range);
  NoiseBlock<A, kRatioUnitSize> noise;
  alignas(64) A terms[kRatioUnitSize + kLanes<V>];
  for (int64_t k = first; k < last; ++k) {
    const int64_t begin = k * cut.rows * cut.columns + range.begin;
    fill_noise(keys, begin, range.size(), Upcoming<T>(), &noise);
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
template <class A, bool kHasPrior>
struct RatioSums {
  static constexpr int64_t kSize = kRatioUnitSize + kLanes<VectorOf<A>>, kPriorSize = kHasPrior ? kSize : 1;
  alignas(64) A mean[kSize] = {}, log_var[kSize] = {}, prior_mean[kPriorSize] = {}, prior_log_var[kPriorSize] = {};

  TFVAE_INLINE void add(int64_t i, const RatioGradients<VectorOf<A>>& g) {
    using V = VectorOf<A>;
    store(mean + i, load<V>(mean + i) + g.mean);
    store(log_var + i, load<V>(log_var + i) + g.log_var);
    if constexpr (kHasPrior) {
      store(prior_mean + i, load<V>(prior_mean + i) + g.prior_mean);
      store(prior_log_var + i, load<V>(prior_log_var + i) + g.prior_log_var);
    }
  }
};

// prior_sums as for backward_unit.
template <class T, bool kHasPrior>
void log_ratio_grad_unit(const LogRatioGradParams& p, const PhiloxKeys& keys, const Partition& cut, int64_t unit,
                         PriorSums* prior_sums) {
  using A = Arithmetic<T>;
  using V = VectorOf<A>;
  const Range range = range_of_unit(cut, unit);
  RatioUnit<A, kHasPrior> shared;
  shared.template fill<T>(p, range);
  NoiseBlock<A, kRatioUnitSize> noise;
  RatioSums<A, kHasPrior> sums;
  alignas(64) A upstream[kRatioUnitSize + kLanes<V>];
  for (int64_t k = 0; k < p.num_samples; ++k) {
    const int64_t begin = k * cut.rows * cut.columns + range.begin;
    const T* dz = static_cast<const T*>(p.dz) + begin;
    Upcoming<T> upcoming;
    upcoming.dz = dz;
    fill_noise(keys, begin, range.size(), upcoming, &noise);
    const A* dratio = static_cast<const A*>(p.dlog_ratio) + k * cut.rows + range.row;
    repeat_along_rows(dratio, range.rows, range.width(), upstream);
    for_vectors<V>(range.size(), [&](int64_t i, auto access) {
      sums.add(i, ratio_gradients<V>(shared.terms(i), access.get(noise.data() + i), access.get(dz + i),
                                     access.get(upstream + i), p.stop_density_gradient));
    });
  }
  const auto put = [&](const A* total, void* out) {
    copy_elements(total, range.size(), static_cast<T*>(out) + range.begin);
  };
  put(sums.mean, p.dmean);
  put(sums.log_var, p.dlog_var);
  if (p.prior == PriorShape::kFull) {
    put(sums.prior_mean, p.dprior_mean);
    put(sums.prior_log_var, p.dprior_log_var);
  } else if (p.prior == PriorShape::kShared) {
    prior_sums->add(sums.prior_mean, sums.prior_log_var, range.rows);
  }
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_LOG_RATIO_H_
