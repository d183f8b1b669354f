// reparameterize_kl: noise, z and KL terms in one pass, and the sums of rows. Blocks take units in turn.
#ifndef TFVAE_CUDA_FORWARD_H_
#define TFVAE_CUDA_FORWARD_H_

#include "csrc/cuda/noise.h"
#include "csrc/cuda/prior.h"
#include "csrc/cuda/sums.h"

namespace tfvae {
namespace TFVAE_ISA {

// Packets that a thread reads before it computes on the first, for bytes in flight: two Philox groups.
template <class T>
constexpr int kPacketsAtOnce = sizeof(T) == 2 ? 1 : 2;

struct ForwardLaunch {
  ForwardParams params;
  DeviceSeed seed;
  Units units;
  RowLayout layout;
  Divider by_columns;
  bool aligned;    // All tensors start at multiples of 16 bytes.
  void* partials;  // [units_per_row, rows] sums where a row has several units.
};

template <class T, PriorShape kPrior>
struct ForwardPacket {
  int64_t start;
  Window window;
  Packet<T> mean, log_var;
  PriorPacket<T> prior;

  TFVAE_DEVICE void load(const ForwardLaunch& l, const Range& range, int64_t number) {
    start = number * kPacketSize<T>;
    window = window_of<T>(start, range.begin, range.end, l.aligned);
    if (window.empty()) return;
    mean = load_packet<T>(static_cast<const T*>(l.params.mean) + start, window);
    log_var = load_packet<T>(static_cast<const T*>(l.params.log_var) + start, window);
    prior = load_prior<T, kPrior>(l.params, l.by_columns, start, window);
  }

  // Writes z; gives the KL terms.
  TFVAE_DEVICE Packet<T> finish(const ForwardLaunch& l, const PhiloxStream& stream) const {
    const Packet<T> eps = noise_of_packet<T>(start, stream);
    Packet<T> z, terms;
    for (int i = 0; i < kPacketSize<T>; ++i) {
      const Sample<Arithmetic<T>> s = sample_at<kPrior, T>(i, mean, log_var, eps, prior);
      z.at[i] = s.z;
      terms.at[i] = s.kl();
    }
    store_packet<T>(static_cast<T*>(l.params.z) + start, z, window);
    return terms;
  }
};

template <class T, PriorShape kPrior, class Thread>
TFVAE_DEVICE void run_forward(const Thread& thread, const ForwardLaunch& l) {
  using A = Arithmetic<T>;
  constexpr int P = kPacketSize<T>, kAtOnce = kPacketsAtOnce<T>;
  const PhiloxStream stream = stream_of(l.seed);
  A* kl = static_cast<A*>(l.params.kl);
  RowSums<T, Thread> sums(thread, l.units, l.layout);
  for (int64_t unit = thread.block(); unit < l.units.units; unit += thread.blocks()) {
    const Range range = range_of_unit(l.units, unit);
    const int64_t first = range.begin / P;
    const int packets = static_cast<int>(ceil_divide(range.end, P) - first);
    for (int base = thread.index(); base < packets; base += kAtOnce * thread.threads()) {
      ForwardPacket<T, kPrior> packet[kAtOnce];
      TFVAE_UNROLL
      for (int i = 0; i < kAtOnce; ++i) packet[i].load(l, range, first + base + i * thread.threads());
      TFVAE_UNROLL
      for (int i = 0; i < kAtOnce; ++i) {
        if (packet[i].window.empty()) continue;
        const Packet<T> terms = packet[i].finish(l, stream);
        if (l.params.per_dimension) {
          store_values<T>(kl + packet[i].start, terms, packet[i].window);
        } else {
          sums.add(base + i * thread.threads(), terms, packet[i].window);
        }
      }
    }
    if (l.params.per_dimension) continue;
    sums.finish(range, [&](int row, A sum) {
      if (l.units.units_per_row == 1) {
        kl[range.row + row] = sum;
      } else {
        static_cast<A*>(l.partials)[range.part * l.units.rows + range.row] = sum;
      }
    });
  }
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_FORWARD_H_
