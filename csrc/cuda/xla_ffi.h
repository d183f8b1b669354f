// The kernels as handlers of XLA's foreign function interface, platform "CUDA", for whoever registers them.
//
// A call takes the op's inputs in its order (mean, log_var, seed, of a gradient dz and the upstream gradient of the
// sums, then prior_mean and prior_log_var, if any), gives its outputs in its order, and has the attributes
// per_dimension (bool), num_samples (i64) and stop_density_gradient (bool), all three of every op. The seed may be
// int32 or int64.
#ifndef TFVAE_CUDA_XLA_FFI_H_
#define TFVAE_CUDA_XLA_FFI_H_

namespace tfvae {

struct XlaHandler {
  const char* target;  // The name a custom call names it by.
  void* handler;       // An XLA_FFI_Handler*.
};

constexpr int kXlaHandlerCount = 4;
const XlaHandler (&cuda_xla_handlers())[kXlaHandlerCount];

}  // namespace tfvae

#endif  // TFVAE_CUDA_XLA_FFI_H_
