// reparameterize_log_ratio: a thread keeps what the samples of its packet share in registers and goes through samples.
// Blocks take items in turn: a unit and a run of samples.
#ifndef TFVAE_CUDA_LOG_RATIO_H_
#define TFVAE_CUDA_LOG_RATIO_H_

#include "csrc/cuda/noise.h"
#include "csrc/cuda/prior.h"
#include "csrc/cuda/sums.h"

namespace tfvae {
namespace TFVAE_ISA {

struct LogRatioLaunch {
  LogRatioParams params;
  DeviceSeed seed;
  Units units;  // Of at most one packet per thread.
  RowLayout layout;
  Divider by_columns, by_units;
  int64_t samples_per_item, items;
  bool aligned;
  void* partials;  // [units_per_row, num_samples, rows] sums where a row has several units.
};

template <class T>
TFVAE_DEVICE void write_log_ratio(const LogRatioLaunch& l, const Range& range, int64_t k, int row, Arithmetic<T> sum) {
  using A = Arithmetic<T>;
  const int64_t place = k * l.units.rows + range.row + row;
  if (l.units.units_per_row == 1) {
    static_cast<A*>(l.params.log_ratio)[place] = sum;
  } else {
    static_cast<A*>(l.partials)[range.part * l.params.num_samples * l.units.rows + place] = sum;
  }
}

template <class T, PriorShape kPrior, class Thread>
TFVAE_DEVICE void run_log_ratio(const Thread& thread, const LogRatioLaunch& l) {
  using A = Arithmetic<T>;
  constexpr int P = kPacketSize<T>;
  const PhiloxStream stream = stream_of(l.seed);
  const int64_t elements = l.units.rows * l.units.columns;
  RowSums<T, Thread> sums(thread, l.units, l.layout);
  for (int64_t item = thread.block(); item < l.items; item += thread.blocks()) {
    const int64_t run = l.by_units.quotient(item);
    const Range range = range_of_unit(l.units, item - run * l.units.units);
    const int64_t start = (range.begin / P + thread.index()) * P;
    const Window window = window_of<T>(start, range.begin, range.end, l.aligned);
    RatioPacket<T> shared;
    if (!window.empty()) {
      shared = ratio_packet<kPrior, T>(load_packet<T>(static_cast<const T*>(l.params.mean) + start, window),
                                       load_packet<T>(static_cast<const T*>(l.params.log_var) + start, window),
                                       load_prior<T, kPrior>(l.params, l.by_columns, start, window));
    }
    const int64_t last = smaller((run + 1) * l.samples_per_item, l.params.num_samples);
    for (int64_t k = run * l.samples_per_item; k < last; ++k) {
      if (!window.empty()) {
        const int64_t place = k * elements + start;
        const Packet<T> eps = noise_from<T>(place, stream);
        Packet<T> z, terms;
        for (int i = 0; i < P; ++i) {
          const RatioSample<A> s = ratio_sample<A>(shared.terms(i), eps.at[i]);
          z.at[i] = s.z;
          terms.at[i] = s.log_ratio + shared.shared.at[i];
        }
        const Window out = {window.mask, window.wide && place % P == 0};
        store_packet<T>(static_cast<T*>(l.params.z) + place, z, out);
        sums.add(thread.index(), terms, window);
      }
      sums.finish(range, [&](int row, A sum) { write_log_ratio<T>(l, range, k, row, sum); });
    }
  }
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_LOG_RATIO_H_
