#define TFVAE_ISA emulated
#define TFVAE_EMULATED_VECTOR_BYTES 64
#include "csrc/cpu/make_table.h"

namespace tfvae {

extern const KernelTable k_emulated_kernels;
constexpr KernelTable k_emulated_kernels = emulated::make_table("emulated");

}  // namespace tfvae
