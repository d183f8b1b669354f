// The ops with their parameters and types, for whoever has kernels of them.
#ifndef TFVAE_TF_REGISTER_H_
#define TFVAE_TF_REGISTER_H_

#include "tensorflow/core/framework/op_kernel.h"

// Registers Kernel<Params> of every op and type for a device.
#define TFVAE_REGISTER_ONE(op, Params, device, Kernel, T, Sum)                                                      \
  REGISTER_KERNEL_BUILDER(Name("Tfvae" #op).Device(device).TypeConstraint<T>("T").TypeConstraint<Sum>("sum_dtype"), \
                          Kernel<Params>)

#define TFVAE_REGISTER_OP(op, Params, device, Kernel)                     \
  TFVAE_REGISTER_ONE(op, Params, device, Kernel, Eigen::half, float);     \
  TFVAE_REGISTER_ONE(op, Params, device, Kernel, Eigen::bfloat16, float); \
  TFVAE_REGISTER_ONE(op, Params, device, Kernel, float, float);           \
  TFVAE_REGISTER_ONE(op, Params, device, Kernel, double, double)

#define TFVAE_REGISTER_OPS(device, Kernel)                                   \
  TFVAE_REGISTER_OP(ReparameterizeKl, ForwardParams, device, Kernel);        \
  TFVAE_REGISTER_OP(ReparameterizeKlGrad, BackwardParams, device, Kernel);   \
  TFVAE_REGISTER_OP(ReparameterizeLogRatio, LogRatioParams, device, Kernel); \
  TFVAE_REGISTER_OP(ReparameterizeLogRatioGrad, LogRatioGradParams, device, Kernel)

#endif  // TFVAE_TF_REGISTER_H_
