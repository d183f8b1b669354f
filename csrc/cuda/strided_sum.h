// The second, small kernel where a sum is spread over blocks: out[i] = the sum over j of in[j * stride + i], in double
// precision and a fixed order.
#ifndef TFVAE_CUDA_STRIDED_SUM_H_
#define TFVAE_CUDA_STRIDED_SUM_H_

#include "csrc/cuda/packet.h"
#include "csrc/cuda/units.h"

namespace tfvae {
namespace TFVAE_ISA {

struct StridedSumLaunch {
  const void* in;
  int64_t sums, count, stride;
  int width;      // Sums that a block makes, a power of two: neighbours, for whole lines of memory.
  int64_t split;  // Sums from here on go to ...
  void* out;
  void* out_behind;  // ... the second output.
};

template <class T, class Thread>
TFVAE_DEVICE void run_strided_sum(const Thread& thread, const StridedSumLaunch& l) {
  const int x = thread.index() % l.width, y = thread.index() / l.width, height = thread.threads() / l.width;
  double* totals = thread.template shared<double>();
  for (int64_t base = thread.block() * l.width; base < l.sums; base += thread.blocks() * l.width) {
    const Arithmetic<T>* in = static_cast<const Arithmetic<T>*>(l.in) + base + x;
    double total = 0;
    if (base + x < l.sums) {
      for (int64_t j = y; j < l.count; j += height) total += in[j * l.stride];
    }
    totals[thread.index()] = total;
    thread.sync();
    for (int half = height / 2; half > 0; half /= 2) {
      if (y < half) totals[thread.index()] += totals[thread.index() + half * l.width];
      thread.sync();
    }
    if (y == 0 && base + x < l.sums) {
      const int64_t i = base + x;
      T* out = static_cast<T*>(i < l.split ? l.out : l.out_behind);
      out[i < l.split ? i : i - l.split] = narrow<T>(static_cast<Arithmetic<T>>(totals[x]));
    }
    thread.sync();
  }
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_STRIDED_SUM_H_
