// The gradients of reparameterize_log_ratio. A thread sums over the samples of its packet in registers; where there are
// few packets, several threads of a block take the samples of a packet in turn and the first of them adds up.
#ifndef TFVAE_CUDA_LOG_RATIO_GRAD_H_
#define TFVAE_CUDA_LOG_RATIO_GRAD_H_

#include "csrc/cuda/gradients.h"

namespace tfvae {
namespace TFVAE_ISA {

using LogRatioGradLaunch = GradientLaunch<LogRatioGradParams>;

// Sums of the gradients of one packet over samples first, first + step, ...
template <class T, PriorShape kPrior>
TFVAE_DEVICE GradientPackets<T> sum_over_samples(const LogRatioGradLaunch& l, const PhiloxStream& stream, int64_t start,
                                                 const Window& window, int first) {
  using A = Arithmetic<T>;
  constexpr int P = kPacketSize<T>;
  const LogRatioGradParams& p = l.params;
  const RatioPacket<T> shared =
      ratio_packet<kPrior, T>(load_packet<T>(static_cast<const T*>(p.mean) + start, window),
                              load_packet<T>(static_cast<const T*>(p.log_var) + start, window),
                              load_prior<T, kPrior>(p, l.by_columns, start, window));
  const Place place = place_of(start, p.columns, l.by_columns);
  GradientPackets<T> sums;
  for (int i = 0; i < P; ++i) {
    sums.mean.at[i] = sums.log_var.at[i] = sums.prior_mean.at[i] = sums.prior_log_var.at[i] = 0;
  }
  for (int64_t k = first; k < p.num_samples; k += l.samples_at_once) {
    const int64_t at = k * l.elements + start;
    const Packet<T> eps = noise_from<T>(at, stream);
    const Window in = {window.mask, window.wide && at % P == 0};
    const Packet<T> dz = load_packet<T>(static_cast<const T*>(p.dz) + at, in);
    const Packet<T> dratio =
        load_of_rows<T>(static_cast<const A*>(p.dlog_ratio) + k * p.rows, place, p.columns, window);
    for (int i = 0; i < P; ++i) {
      const RatioGradients<A> g =
          ratio_gradients<A>(shared.terms(i), eps.at[i], dz.at[i], dratio.at[i], p.stop_density_gradient);
      sums.mean.at[i] += g.mean;
      sums.log_var.at[i] += g.log_var;
      sums.prior_mean.at[i] += g.prior_mean;
      sums.prior_log_var.at[i] += g.prior_log_var;
    }
  }
  return sums;
}

// Adds up what the threads that share a packet hold, in their order; for the first of them. Whole values: a packet of
// each kind of gradient per thread.
template <class T, PriorShape kPrior, class Thread>
TFVAE_DEVICE void add_up_shares(const Thread& thread, int width, int x, int y, int shares, GradientPackets<T>* g) {
  using A = Arithmetic<T>;
  constexpr int P = kPacketSize<T>, kKinds = kPrior == PriorShape::kNone ? 2 : 4;
  Packet<T>* const kinds[] = {&g->mean, &g->log_var, &g->prior_mean, &g->prior_log_var};
  A* values = thread.template shared<A>();
  thread.sync();  // The memory may hold what others still read.
  TFVAE_UNROLL
  for (int kind = 0; kind < kKinds; ++kind) {
    if (y < shares) {
      store_shared<T>(values + ((kind * shares + y) * width + x) * P, *kinds[kind]);
    }
  }
  thread.sync();
  if (y > 0) return;
  TFVAE_UNROLL
  for (int kind = 0; kind < kKinds; ++kind) {
    for (int other = 1; other < shares; ++other) {
      const Packet<T> share = load_shared<T>(values + ((kind * shares + other) * width + x) * P);
      for (int i = 0; i < P; ++i) kinds[kind]->at[i] += share.at[i];
    }
  }
}

template <class T, PriorShape kPrior, class Thread>
TFVAE_DEVICE void run_log_ratio_grad(const Thread& thread, const LogRatioGradLaunch& l) {
  const PhiloxStream stream = stream_of(l.seed);
  const int y = thread.index() / l.steps.width, x = thread.index() - y * l.steps.width;
  const bool first = y == 0;
  const Walk walk = walk_of(l.steps, thread.block(), x);
  // Behind the memory of add_up_shares.
  Arithmetic<T>* memory = thread.template shared<Arithmetic<T>>() + l.shares_values;
  const PriorSums<T, Thread> prior_sums(thread, l.steps, memory, x,
                                        kPrior == PriorShape::kShared && first && x < l.steps.width);
  for (int64_t step = 0; step < l.steps.steps_per_group; ++step) {
    const int64_t number = walk.first + step * walk.step, start = number * kPacketSize<T>;
    const bool mine = number < walk.end && y < l.samples_at_once;
    const Window window = window_of<T>(start, 0, l.elements, l.aligned);
    GradientPackets<T> g;
    if (mine) {
      g = sum_over_samples<T, kPrior>(l, stream, start, window, y);
    }
    if (l.samples_at_once > 1) {
      add_up_shares<T, kPrior>(thread, l.steps.width, x, mine ? y : l.samples_at_once, l.samples_at_once, &g);
    }
    if (mine && first) {
      store_gradients<T, kPrior>(l.params, start, g, window);
      if constexpr (kPrior == PriorShape::kShared) prior_sums.add(g.prior_mean, g.prior_log_var, window);
    }
  }
  if constexpr (kPrior == PriorShape::kShared) {
    prior_sums.finish(l.prior_sums);
  }
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_LOG_RATIO_GRAD_H_
