// reparameterize_kl: noise, z and KL terms in one pass, and the sums of rows. Blocks take units in turn.
#ifndef TFVAE_CUDA_FORWARD_H_
#define TFVAE_CUDA_FORWARD_H_

#include "csrc/cuda/noise.h"
#include "csrc/cuda/prior.h"
#include "csrc/cuda/sums.h"

namespace tfvae {
namespace TFVAE_ISA {

// See csrc/cuda/operations.h, which has those of the other operations. The plan needs these too.
template <class T, PriorShape kPrior>
constexpr int kForwardRegisters = sizeof(T) == 8 || (sizeof(T) == 2 && kPrior != PriorShape::kNone) ? 128 : 64;

struct ForwardLaunch {
  ForwardParams params;
  DeviceSeed seed;
  Units units;
  RowLayout layout;
  Divider by_columns;
  bool aligned;    // All tensors start at multiples of 16 bytes,
  bool whole;      // and the rows are whole packets.
  void* partials;  // [units_per_row, rows] sums where a row has several units.
};

// Writes z of the packet that begins at element `start`; gives its KL terms.
template <class T, PriorShape kPrior, class W>
TFVAE_DEVICE Packet<T> draw_packet(const ForwardLaunch& l, const PhiloxStream& stream, int64_t start, const W& window) {
  const Packet<T> mean = load_packet<T>(static_cast<const T*>(l.params.mean) + start, window);
  const Packet<T> log_var = load_packet<T>(static_cast<const T*>(l.params.log_var) + start, window);
  const PriorPacket<T> prior = load_prior<T, kPrior>(l.params, l.by_columns, start, window);
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

template <class T, PriorShape kPrior, class W, class Thread>
TFVAE_DEVICE void run_units(const Thread& thread, const ForwardLaunch& l) {
  using A = Arithmetic<T>;
  constexpr int P = kPacketSize<T>;
  const PhiloxStream stream = stream_of(l.seed);
  A* kl = static_cast<A*>(l.params.kl);
  RowSums<T, Thread> sums(thread, l.units, l.layout);
  for (int64_t unit = thread.block(); unit < l.units.units; unit += thread.blocks()) {
    const Range range = range_of_unit(l.units, unit);
    const int64_t first = range.begin / P;
    const int packets = static_cast<int>(ceil_divide(range.end, P) - first);
    for (int number = thread.index(); number < packets; number += thread.threads()) {
      const int64_t start = (first + number) * P;
      const W window = window_of<T, W>(start, range.begin, range.end, l.aligned);
      const Packet<T> terms = draw_packet<T, kPrior>(l, stream, start, window);
      if (l.params.per_dimension) {
        store_values<T>(kl + start, terms, window);
      } else {
        sums.add(number, terms, window);
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

template <class T, PriorShape kPrior, class Thread>
TFVAE_DEVICE void run_forward(const Thread& thread, const ForwardLaunch& l) {
  if (l.whole) {
    run_units<T, kPrior, WholeWindow>(thread, l);
  } else {
    run_units<T, kPrior, Window>(thread, l);
  }
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_FORWARD_H_
