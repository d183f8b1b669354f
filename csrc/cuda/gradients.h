// What the two gradient kernels share: their launch, upstream values of rows, and where gradients go.
#ifndef TFVAE_CUDA_GRADIENTS_H_
#define TFVAE_CUDA_GRADIENTS_H_

#include "csrc/cuda/noise.h"
#include "csrc/cuda/prior.h"
#include "csrc/cuda/prior_sums.h"

namespace tfvae {
namespace TFVAE_ISA {

template <class Params>
struct GradientLaunch {
  Params params;
  DeviceSeed seed;
  Steps steps;
  PriorSumsPlace prior_sums;
  Divider by_columns;
  int64_t elements;
  int samples_at_once;  // Threads that share the samples of one packet,
  int shares_values;    // and the values of shared memory in which they add up.
  bool aligned;         // All tensors start at multiples of 16 bytes,
  bool whole;           // and the rows are whole packets.
};

// values[row] for every element of the packet that begins at `place`.
template <class T, class W>
TFVAE_DEVICE Packet<T> load_of_rows(const Arithmetic<T>* values, Place place, int64_t columns, const W& window) {
  Packet<T> packet;
  if (is_within_row<T>(window, columns)) {
    const Arithmetic<T> value = values[place.row];
    for (int i = 0; i < kPacketSize<T>; ++i) packet.at[i] = value;
    return packet;
  }
  for (int i = 0; i < kPacketSize<T>; ++i) {
    packet.at[i] = window.has(i) ? values[place.row] : Arithmetic<T>(0);
    if (++place.column == columns) place = {place.row + 1, 0};
  }
  return packet;
}

template <class T>
struct GradientPackets {
  Packet<T> mean, log_var, prior_mean, prior_log_var;
};

template <class T, PriorShape kPrior, class Params, class W>
TFVAE_DEVICE void store_gradients(const Params& p, int64_t start, const GradientPackets<T>& g, const W& window) {
  store_packet<T>(static_cast<T*>(p.dmean) + start, g.mean, window);
  store_packet<T>(static_cast<T*>(p.dlog_var) + start, g.log_var, window);
  if constexpr (kPrior == PriorShape::kFull) {
    store_packet<T>(static_cast<T*>(p.dprior_mean) + start, g.prior_mean, window);
    store_packet<T>(static_cast<T*>(p.dprior_log_var) + start, g.prior_log_var, window);
  }
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_GRADIENTS_H_
