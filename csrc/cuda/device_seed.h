#ifndef TFVAE_CUDA_DEVICE_SEED_H_
#define TFVAE_CUDA_DEVICE_SEED_H_

namespace tfvae {

// Where the two integers of a seed lie: in the memory of the device, and so read there.
struct DeviceSeed {
  const void* data;
  bool is_int64;  // Else int32.
};

}  // namespace tfvae

#endif  // TFVAE_CUDA_DEVICE_SEED_H_
