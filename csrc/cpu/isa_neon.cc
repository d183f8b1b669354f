#define TFVAE_ISA neon
#include "csrc/cpu/make_table.h"

namespace tfvae {

// constexpr, so that nothing of this file runs before the dispatcher has seen the processor.
extern const KernelTable k_neon_kernels;
constexpr KernelTable k_neon_kernels = neon::make_table("neon");

}  // namespace tfvae
