// The prior of a packet: none, beside the parameters, or a row for all rows.
#ifndef TFVAE_CUDA_PRIOR_H_
#define TFVAE_CUDA_PRIOR_H_

#include "csrc/core/gaussian.h"
#include "csrc/core/params.h"
#include "csrc/cuda/packet.h"
#include "csrc/cuda/units.h"

namespace tfvae {
namespace TFVAE_ISA {

template <class T>
struct PriorPacket {
  Packet<T> mean, log_var;
};

// The columns of a packet that begins in `column`, from a row of values.
template <class T, class W>
TFVAE_DEVICE Packet<T> load_columns(const T* row, int64_t columns, int64_t column, const W& window) {
  if (is_within_row<T>(window, columns)) return load_packet<T>(row + column, window);
  Packet<T> packet;
  for (int i = 0; i < kPacketSize<T>; ++i) {
    packet.at[i] = window.has(i) ? widen(row[column]) : Arithmetic<T>(0);
    column = column + 1 < columns ? column + 1 : 0;
  }
  return packet;
}

// Of the packet that begins at element `start`.
template <class T, PriorShape kShape, class W>
TFVAE_DEVICE PriorPacket<T> load_prior(const CommonParams& p, const Divider& by_columns, int64_t start,
                                       const W& window) {
  const T* mean = static_cast<const T*>(p.prior_mean);
  const T* log_var = static_cast<const T*>(p.prior_log_var);
  if constexpr (kShape == PriorShape::kFull) {
    return {load_packet<T>(mean + start, window), load_packet<T>(log_var + start, window)};
  } else if constexpr (kShape == PriorShape::kShared) {
    const int64_t column = place_of(start, p.columns, by_columns).column;
    return {load_columns<T>(mean, p.columns, column, window), load_columns<T>(log_var, p.columns, column, window)};
  } else {
    return {};
  }
}

template <PriorShape kShape, class T>
TFVAE_DEVICE Sample<Arithmetic<T>> sample_at(int i, const Packet<T>& mean, const Packet<T>& log_var,
                                             const Packet<T>& eps, const PriorPacket<T>& prior) {
  using A = Arithmetic<T>;
  const HalfExponential<A> h = half_exponential<A>(log_var.at[i]);
  if constexpr (kShape == PriorShape::kNone) {
    return sample<A>(mean.at[i], log_var.at[i], h, eps.at[i]);
  } else {
    return sample<A>(mean.at[i], log_var.at[i], h, eps.at[i], make_prior<A>(prior.mean.at[i], prior.log_var.at[i]));
  }
}

template <PriorShape kShape, class T>
TFVAE_DEVICE PriorGradients<Arithmetic<T>> gradients_at(int i, const Packet<T>& mean, const Packet<T>& log_var,
                                                        const Packet<T>& eps, const PriorPacket<T>& prior,
                                                        Arithmetic<T> dz, Arithmetic<T> dkl) {
  using A = Arithmetic<T>;
  const HalfExponential<A> h = half_exponential<A>(log_var.at[i]);
  if constexpr (kShape == PriorShape::kNone) {
    return {gradients<A>(mean.at[i], h, eps.at[i], dz, dkl), {}};
  } else {
    return gradients<A>(mean.at[i], log_var.at[i], h, eps.at[i], dz, dkl,
                        make_prior<A>(prior.mean.at[i], prior.log_var.at[i]));
  }
}

// What the samples of a packet share: RatioTerms, and half the difference of the log-variances.
template <class T>
struct RatioPacket {
  Packet<T> mean, sigma, prior_mean, precision, shared;

  TFVAE_DEVICE RatioTerms<Arithmetic<T>> terms(int i) const {
    return {mean.at[i], sigma.at[i], prior_mean.at[i], precision.at[i]};
  }
};

template <PriorShape kShape, class T>
TFVAE_DEVICE RatioPacket<T> ratio_packet(const Packet<T>& mean, const Packet<T>& log_var, const PriorPacket<T>& prior) {
  using A = Arithmetic<T>;
  RatioPacket<T> r;
  for (int i = 0; i < kPacketSize<T>; ++i) {
    const A l = log_var.at[i];
    r.mean.at[i] = mean.at[i];
    r.sigma.at[i] = half_exponential<A>(l).value;
    if constexpr (kShape == PriorShape::kNone) {
      r.prior_mean.at[i] = 0;
      r.precision.at[i] = 1;
      r.shared.at[i] = l * A(-0.5);
    } else {
      const Prior<A> p = make_prior<A>(prior.mean.at[i], prior.log_var.at[i]);
      r.prior_mean.at[i] = p.mean;
      r.precision.at[i] = p.precision;
      r.shared.at[i] = (p.log_var - l) * A(0.5);
    }
  }
  return r;
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_PRIOR_H_
