#define TFVAE_ISA cuda_device
#include "csrc/cuda/kernel_table.h"
#include "csrc/cuda/launch.h"

namespace tfvae {

extern const CudaKernel<BackwardParams> k_cuda_backward = {cuda_device::Launcher<cuda_device::Backward>::scratch_bytes,
                                                           cuda_device::Launcher<cuda_device::Backward>::launch};

}  // namespace tfvae
