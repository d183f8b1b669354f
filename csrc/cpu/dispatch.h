// The instruction sets compiled into this library, and the one in use.
#ifndef TFVAE_CPU_DISPATCH_H_
#define TFVAE_CPU_DISPATCH_H_

#include <vector>

#include "csrc/cpu/kernel_table.h"

namespace tfvae {

// Compiled in and able to run on this processor, the best first.
const std::vector<const KernelTable*>& usable_kernels();

// The first of usable_kernels(), or the one the environment variable TFVAE_ISA names; null if it names none of them.
// Chosen once per process.
const KernelTable* active_kernels();

}  // namespace tfvae

#endif  // TFVAE_CPU_DISPATCH_H_
