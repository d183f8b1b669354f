// What the CUDA kernels offer, as a table of functions; csrc/cpu/kernel_table.h is its like for the CPU.
//
// All pointers of the parameters are to the memory of the current device, and so are the seed and the scratch; the seed
// in the parameters is not used. Nothing waits: the work is put on the stream, and no other stream is touched.
#ifndef TFVAE_CUDA_KERNEL_TABLE_H_
#define TFVAE_CUDA_KERNEL_TABLE_H_

#include <type_traits>

#include "csrc/core/params.h"
#include "csrc/cuda/device_seed.h"

namespace tfvae {

template <class Params>
struct CudaKernel {
  // Of memory that the launch needs, aligned to 16 bytes, until its work is done. Depends on the current device.
  int64_t (*scratch_bytes)(const Params&);
  // Returns what CUDA says went wrong, or null. stream: a cudaStream_t.
  const char* (*launch)(const Params&, const DeviceSeed&, void* scratch, void* stream);
};

struct CudaKernelTable {
  CudaKernel<ForwardParams> forward;
  CudaKernel<BackwardParams> backward;
  CudaKernel<LogRatioParams> log_ratio;
  CudaKernel<LogRatioGradParams> log_ratio_grad;
};

const CudaKernelTable& cuda_kernels();

// The kernel of an operation.
template <class Params>
const CudaKernel<Params>& cuda_kernel() {
  const CudaKernelTable& table = cuda_kernels();
  if constexpr (std::is_same_v<Params, ForwardParams>) {
    return table.forward;
  } else if constexpr (std::is_same_v<Params, BackwardParams>) {
    return table.backward;
  } else if constexpr (std::is_same_v<Params, LogRatioParams>) {
    return table.log_ratio;
  } else {
    return table.log_ratio_grad;
  }
}

// The devices this process can use; 0 without a driver.
int cuda_device_count();

// Whether the current device can use what lies at an address: of its own memory, managed, or registered memory of the
// host. Returns what CUDA says went wrong, or null.
const char* is_usable_here(const void* data, bool* usable);

// Memory in the order of the stream, for callers that have no allocator of their own. Returns what went wrong, or null.
const char* allocate_scratch(int64_t bytes, void* stream, void** scratch);
void free_scratch(void* scratch, void* stream);

}  // namespace tfvae

#endif  // TFVAE_CUDA_KERNEL_TABLE_H_
