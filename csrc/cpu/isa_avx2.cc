#define TFVAE_ISA avx2
#include "csrc/cpu/make_table.h"

namespace tfvae {

// constexpr, so that nothing of this file runs before the dispatcher has seen the processor.
extern const KernelTable k_avx2_kernels;
constexpr KernelTable k_avx2_kernels = avx2::make_table("avx2");

}  // namespace tfvae
