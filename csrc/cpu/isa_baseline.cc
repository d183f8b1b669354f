#define TFVAE_ISA baseline
#include "csrc/cpu/make_table.h"

namespace tfvae {

// constexpr, so that nothing of this file runs before the dispatcher has seen the processor.
extern const KernelTable k_baseline_kernels;
constexpr KernelTable k_baseline_kernels = baseline::make_table("baseline");

}  // namespace tfvae
