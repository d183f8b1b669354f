// The gradients of reparameterize_kl: the noise is drawn again.
#ifndef TFVAE_CUDA_BACKWARD_H_
#define TFVAE_CUDA_BACKWARD_H_

#include "csrc/cuda/forward.h"
#include "csrc/cuda/gradients.h"

namespace tfvae {
namespace TFVAE_ISA {

using BackwardLaunch = GradientLaunch<BackwardParams>;

template <class T, PriorShape kPrior>
struct BackwardPacket {
  int64_t start;
  Window window;
  Packet<T> mean, log_var, dz, dkl;
  PriorPacket<T> prior;

  TFVAE_DEVICE void load(const BackwardLaunch& l, int64_t number) {
    const BackwardParams& p = l.params;
    start = number * kPacketSize<T>;
    window = window_of<T>(start, 0, l.elements, l.aligned);
    mean = load_packet<T>(static_cast<const T*>(p.mean) + start, window);
    log_var = load_packet<T>(static_cast<const T*>(p.log_var) + start, window);
    dz = load_packet<T>(static_cast<const T*>(p.dz) + start, window);
    prior = load_prior<T, kPrior>(p, l.by_columns, start, window);
    const Arithmetic<T>* upstream = static_cast<const Arithmetic<T>*>(p.dkl);
    if (p.per_dimension) {
      dkl = load_values<T>(upstream + start, window);
    } else {
      dkl = load_of_rows<T>(upstream, place_of(start, p.columns, l.by_columns), p.columns, window);
    }
  }

  TFVAE_DEVICE GradientPackets<T> gradients(const PhiloxStream& stream) const {
    using A = Arithmetic<T>;
    const Packet<T> eps = noise_of_packet<T>(start, stream);
    GradientPackets<T> g;
    for (int i = 0; i < kPacketSize<T>; ++i) {
      const PriorGradients<A> at = gradients_at<kPrior, T>(i, mean, log_var, eps, prior, dz.at[i], dkl.at[i]);
      g.mean.at[i] = at.q.mean;
      g.log_var.at[i] = at.q.log_var;
      g.prior_mean.at[i] = at.prior.mean;
      g.prior_log_var.at[i] = at.prior.log_var;
    }
    return g;
  }
};

template <class T, PriorShape kPrior, class Thread>
TFVAE_DEVICE void run_backward(const Thread& thread, const BackwardLaunch& l) {
  // Two packets of float64 and the sums over rows would be more than the registers hold.
  constexpr int kAtOnce = sizeof(T) == 8 && kPrior == PriorShape::kShared ? 1 : kPacketsAtOnce<T>;
  const PhiloxStream stream = stream_of(l.seed);
  const Walk walk = walk_of(l.steps, thread.block(), thread.index());
  const PriorSums<T, Thread> sums(thread, l.steps, thread.template shared<Arithmetic<T>>(), thread.index(),
                                  kPrior == PriorShape::kShared && thread.index() < l.steps.width);
  for (int64_t base = walk.first; base < walk.end; base += kAtOnce * walk.step) {
    BackwardPacket<T, kPrior> packet[kAtOnce];
    TFVAE_UNROLL
    for (int i = 0; i < kAtOnce; ++i) {
      if (base + i * walk.step < walk.end) packet[i].load(l, base + i * walk.step);
    }
    TFVAE_UNROLL
    for (int i = 0; i < kAtOnce; ++i) {
      if (base + i * walk.step >= walk.end) continue;
      const GradientPackets<T> g = packet[i].gradients(stream);
      store_gradients<T, kPrior>(l.params, packet[i].start, g, packet[i].window);
      if constexpr (kPrior == PriorShape::kShared) sums.add(g.prior_mean, g.prior_log_var, packet[i].window);
    }
  }
  if constexpr (kPrior == PriorShape::kShared) {
    sums.finish(l.prior_sums);
  }
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_BACKWARD_H_
