// The gradients of reparameterize_kl: the noise is drawn again.
#ifndef TFVAE_CUDA_BACKWARD_H_
#define TFVAE_CUDA_BACKWARD_H_

#include "csrc/cuda/forward.h"
#include "csrc/cuda/gradients.h"

namespace tfvae {
namespace TFVAE_ISA {

using BackwardLaunch = GradientLaunch<BackwardParams>;

// Of the packet that begins at element `start`.
template <class T, PriorShape kPrior, class W>
TFVAE_DEVICE GradientPackets<T> gradients_of_packet(const BackwardLaunch& l, const PhiloxStream& stream, int64_t start,
                                                    const W& window) {
  using A = Arithmetic<T>;
  const BackwardParams& p = l.params;
  const Packet<T> mean = load_packet<T>(static_cast<const T*>(p.mean) + start, window);
  const Packet<T> log_var = load_packet<T>(static_cast<const T*>(p.log_var) + start, window);
  const Packet<T> dz = load_packet<T>(static_cast<const T*>(p.dz) + start, window);
  const PriorPacket<T> prior = load_prior<T, kPrior>(p, l.by_columns, start, window);
  const A* upstream = static_cast<const A*>(p.dkl);
  const Packet<T> dkl = p.per_dimension
                            ? load_values<T>(upstream + start, window)
                            : load_of_rows<T>(upstream, place_of(start, p.columns, l.by_columns), p.columns, window);
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

template <class T, PriorShape kPrior, class W, class Thread>
TFVAE_DEVICE void run_steps(const Thread& thread, const BackwardLaunch& l) {
  const PhiloxStream stream = stream_of(l.seed);
  const Walk walk = walk_of(l.steps, thread.block(), thread.index());
  const PriorSums<T, Thread> sums(thread, l.steps, thread.template shared<Arithmetic<T>>(), thread.index(),
                                  kPrior == PriorShape::kShared && thread.index() < l.steps.width);
  for (int64_t number = walk.first; number < walk.end; number += walk.step) {
    const int64_t start = number * kPacketSize<T>;
    const W window = window_of<T, W>(start, 0, l.elements, l.aligned);
    const GradientPackets<T> g = gradients_of_packet<T, kPrior>(l, stream, start, window);
    store_gradients<T, kPrior>(l.params, start, g, window);
    if constexpr (kPrior == PriorShape::kShared) sums.add(g.prior_mean, g.prior_log_var, window);
  }
  if constexpr (kPrior == PriorShape::kShared) {
    sums.finish(l.prior_sums);
  }
}

template <class T, PriorShape kPrior, class Thread>
TFVAE_DEVICE void run_backward(const Thread& thread, const BackwardLaunch& l) {
  if (l.whole) {
    run_steps<T, kPrior, WholeWindow>(thread, l);
  } else {
    run_steps<T, kPrior, Window>(thread, l);
  }
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_BACKWARD_H_
