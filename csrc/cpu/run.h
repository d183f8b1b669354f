// Runs a kernel over all units of its work, on whatever threads the caller has.
#ifndef TFVAE_CPU_RUN_H_
#define TFVAE_CPU_RUN_H_

#include <functional>

#include "csrc/cpu/kernel_table.h"

namespace tfvae {

// Calls body(begin, end) on pieces that make up [0, count), in parallel or not, and returns when all are done.
// nanoseconds: about what one of the count takes, for deciding whether threads pay.
using ParallelFor =
    std::function<void(int64_t count, int64_t nanoseconds, const std::function<void(int64_t, int64_t)>& body)>;

// Bytes of scratch run_forward needs: 0 unless rows are so long that several threads may share one.
int64_t forward_scratch_bytes(const KernelTable& kernels, const ForwardParams& params);

void run_forward(const KernelTable& kernels, const ForwardParams& params, void* scratch, const ParallelFor& parallel);
void run_backward(const KernelTable& kernels, const BackwardParams& params, const ParallelFor& parallel);

}  // namespace tfvae

#endif  // TFVAE_CPU_RUN_H_
