#define TFVAE_ISA avx512
#include "csrc/cpu/make_table.h"

namespace tfvae {

// constexpr, so that nothing of this file runs before the dispatcher has seen the processor.
extern const KernelTable k_avx512_kernels;
constexpr KernelTable k_avx512_kernels = avx512::make_table("avx512");

}  // namespace tfvae
