// From a plan to the device. Included by the .cu files only, each of which compiles the kernels of one operation.
#ifndef TFVAE_CUDA_LAUNCH_H_
#define TFVAE_CUDA_LAUNCH_H_

#include <cuda_runtime.h>

#include "csrc/cuda/device.h"
#include "csrc/cuda/operations.h"

namespace tfvae {
namespace TFVAE_ISA {

// To the compiler, a limit of registers is a number of blocks.
template <class Operation, class T, PriorShape kPrior>
constexpr int kBlocks = blocks_that_fit(Operation::template kRegisters<T, kPrior>);

template <class Operation, class T, PriorShape kPrior>
__global__ void __launch_bounds__(kMostThreads, (kBlocks<Operation, T, kPrior>))
    operation_kernel(const typename Operation::Launch launch) {
  Operation::template run<T, kPrior>(DeviceThread(), launch);
}

template <class T>
__global__ void __launch_bounds__(kMostThreads) strided_sum_kernel(const StridedSumLaunch launch) {
  run_strided_sum<T>(DeviceThread(), launch);
}

inline cudaError_t current_device(Device* device) {
  int number = 0, major = 0, minor = 0;
  cudaError_t error = cudaGetDevice(&number);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, number);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, number);
  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(&device->multiprocessors, cudaDevAttrMultiProcessorCount, number);
  }
  device->tuning = tuning_of(10 * major + minor);
  return error;
}

template <class Launch>
inline cudaError_t launch_kernel(void (*kernel)(Launch), const Launch& launch, int64_t blocks, int threads, int shared,
                                 cudaStream_t stream) {
  if (blocks > kMostBlocks) return cudaErrorInvalidConfiguration;
  Launch copy = launch;
  void* arguments[] = {&copy};
  return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), dim3(static_cast<unsigned>(blocks)), dim3(threads),
                          arguments, shared, stream);
}

template <class T, class Launch>
inline cudaError_t launch_plan(const Plan<Launch>& plan, void (*kernel)(Launch), cudaStream_t stream) {
  for (const Zeros& zeros : plan.zeros) {
    if (zeros.bytes == 0) continue;
    const cudaError_t error = cudaMemsetAsync(zeros.data, 0, zeros.bytes, stream);
    if (error != cudaSuccess) return error;
  }
  if (plan.blocks == 0) return cudaSuccess;
  cudaError_t error = launch_kernel(kernel, plan.launch, plan.blocks, plan.threads, plan.shared_bytes, stream);
  if (error == cudaSuccess && plan.has_sum) {
    constexpr int kShared = kMostThreads * sizeof(double);
    error = launch_kernel(strided_sum_kernel<T>, plan.sum, plan.sum_blocks, kMostThreads, kShared, stream);
  }
  return error;
}

// What went wrong, or null; and CUDA does not tell it a second time to whoever asks next.
inline const char* message_of(cudaError_t error) {
  if (error == cudaSuccess) return nullptr;
  cudaGetLastError();
  return cudaGetErrorString(error);
}

template <class Operation>
struct Launcher {
  using Params = typename Operation::Params;

  static int64_t scratch_bytes(const Params& params) {
    Device device{};
    if (message_of(current_device(&device)) != nullptr) return 0;  // The launch will say so.
    return with_type(params.dtype, [&](auto type) {
      using T = typename decltype(type)::T;
      return Operation::template plan<T>(params, DeviceSeed{}, nullptr, device).scratch_bytes;
    });
  }

  static const char* launch(const Params& params, const DeviceSeed& seed, void* scratch, void* stream) {
    Device device{};
    if (const char* message = message_of(current_device(&device))) return message;
    const cudaError_t error = with_type(params.dtype, [&](auto type) {
      using T = typename decltype(type)::T;
      const auto plan = Operation::template plan<T>(params, seed, scratch, device);
      return with_prior(params.prior, [&](auto prior) {
        return launch_plan<typename Operation::template Sum<T>>(
            plan, operation_kernel<Operation, T, decltype(prior)::kPrior>, static_cast<cudaStream_t>(stream));
      });
    });
    return message_of(error);
  }
};

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_LAUNCH_H_
