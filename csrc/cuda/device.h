// A thread of a running kernel; see csrc/cuda/sums.h for what kernels ask of one. Included by the .cu files only.
#ifndef TFVAE_CUDA_DEVICE_H_
#define TFVAE_CUDA_DEVICE_H_

#include "csrc/core/lanes.h"

namespace tfvae {
namespace TFVAE_ISA {

struct DeviceThread {
  __device__ __forceinline__ int index() const { return static_cast<int>(threadIdx.x); }
  __device__ __forceinline__ int threads() const { return static_cast<int>(blockDim.x); }
  __device__ __forceinline__ int64_t block() const { return blockIdx.x; }
  __device__ __forceinline__ int64_t blocks() const { return gridDim.x; }
  __device__ __forceinline__ void sync() const { __syncthreads(); }

  template <class A>
  __device__ __forceinline__ A shuffle_down(A x, int lanes) const {
    return __shfl_down_sync(0xffffffffu, x, static_cast<unsigned>(lanes));
  }

  template <class A>
  __device__ __forceinline__ A* shared() const {
    extern __shared__ __align__(16) unsigned char tfvae_shared[];
    return reinterpret_cast<A*>(tfvae_shared);
  }
};

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_DEVICE_H_
