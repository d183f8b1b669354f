#define TFVAE_ISA cuda_device
#include "csrc/cuda/kernel_table.h"
#include "csrc/cuda/launch.h"

namespace tfvae {

extern const CudaKernel<LogRatioParams> k_cuda_log_ratio = {cuda_device::Launcher<cuda_device::LogRatio>::scratch_bytes,
                                                            cuda_device::Launcher<cuda_device::LogRatio>::launch};

}  // namespace tfvae
