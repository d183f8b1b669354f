#define TFVAE_ISA avx512_bf16
#include "csrc/cpu/make_table.h"

namespace tfvae {

static_assert(avx512_bf16::kHardwareBFloat16, "compiled without -mavx512bf16");

// constexpr, so that nothing of this file runs before the dispatcher has seen the processor.
extern const KernelTable k_avx512_bf16_kernels;
constexpr KernelTable k_avx512_bf16_kernels = avx512_bf16::make_table("avx512_bf16");

}  // namespace tfvae
