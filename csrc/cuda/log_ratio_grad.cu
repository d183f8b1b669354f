#define TFVAE_ISA cuda_device
#include "csrc/cuda/kernel_table.h"
#include "csrc/cuda/launch.h"

namespace tfvae {

extern const CudaKernel<LogRatioGradParams> k_cuda_log_ratio_grad = {
    cuda_device::Launcher<cuda_device::LogRatioGrad>::scratch_bytes,
    cuda_device::Launcher<cuda_device::LogRatioGrad>::launch};

}  // namespace tfvae
