// Runs a kernel over all items of its work, on whatever threads the caller has.
#ifndef TFVAE_CPU_RUN_H_
#define TFVAE_CPU_RUN_H_

#include <functional>

#include "csrc/cpu/kernel_table.h"

namespace tfvae {

// Calls body(begin, end) on pieces that make up [0, count), in parallel or not, and returns when all are done.
// cycles: about what one of the count takes, for deciding whether threads pay.
using ParallelFor =
    std::function<void(int64_t count, int64_t cycles, const std::function<void(int64_t, int64_t)>& body)>;

// scratch: kernel.work(params).scratch_bytes, aligned to 8 bytes.
template <class Params>
void run_kernel(const Kernel<Params>& kernel, const Params& params, void* scratch, const ParallelFor& parallel) {
  const Work work = kernel.work(params);
  if (work.items > 0) {
    parallel(work.items, work.cycles_per_item,
             [&](int64_t begin, int64_t end) { kernel.run(params, scratch, begin, end); });
  }
  kernel.finish(params, scratch);
}

}  // namespace tfvae

#endif  // TFVAE_CPU_RUN_H_
