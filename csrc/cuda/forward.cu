#define TFVAE_ISA cuda_device
#include "csrc/cuda/kernel_table.h"
#include "csrc/cuda/launch.h"

namespace tfvae {

extern const CudaKernel<ForwardParams> k_cuda_forward = {cuda_device::Launcher<cuda_device::Forward>::scratch_bytes,
                                                         cuda_device::Launcher<cuda_device::Forward>::launch};

}  // namespace tfvae
