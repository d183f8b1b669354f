#include "csrc/cuda/kernel_table.h"

#include <cuda_runtime.h>

namespace tfvae {

extern const CudaKernel<ForwardParams> k_cuda_forward;
extern const CudaKernel<BackwardParams> k_cuda_backward;
extern const CudaKernel<LogRatioParams> k_cuda_log_ratio;
extern const CudaKernel<LogRatioGradParams> k_cuda_log_ratio_grad;

const CudaKernelTable& cuda_kernels() {
  static const CudaKernelTable table = {k_cuda_forward, k_cuda_backward, k_cuda_log_ratio, k_cuda_log_ratio_grad};
  return table;
}

int cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();
  return 0;
}

const char* is_usable_here(const void* data, bool* usable) {
  cudaPointerAttributes found{};
  int current = 0;
  cudaError_t error = cudaGetDevice(&current);
  if (error == cudaSuccess) error = cudaPointerGetAttributes(&found, data);
  *usable = error == cudaSuccess && (found.type == cudaMemoryTypeManaged || found.type == cudaMemoryTypeHost ||
                                     (found.type == cudaMemoryTypeDevice && found.device == current));
  if (error == cudaSuccess) return nullptr;
  cudaGetLastError();
  return cudaGetErrorString(error);
}

const char* allocate_scratch(int64_t bytes, void* stream, void** scratch) {
  *scratch = nullptr;
  if (bytes == 0) return nullptr;
  const cudaError_t error = cudaMallocAsync(scratch, static_cast<size_t>(bytes), static_cast<cudaStream_t>(stream));
  if (error == cudaSuccess) return nullptr;
  cudaGetLastError();
  return cudaGetErrorString(error);
}

void free_scratch(void* scratch, void* stream) {
  if (scratch != nullptr) cudaFreeAsync(scratch, static_cast<cudaStream_t>(stream));
}

}  // namespace tfvae
