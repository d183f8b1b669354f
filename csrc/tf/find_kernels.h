// The CPU kernels that an op runs.
#ifndef TFVAE_TF_FIND_KERNELS_H_
#define TFVAE_TF_FIND_KERNELS_H_

#include <string>

#include "csrc/cpu/dispatch.h"
#include "tensorflow/core/platform/errors.h"

namespace tfvae {

// The kernels for this processor, or what is wrong with the environment variable that chooses them.
inline absl::Status find_kernels(const KernelTable** kernels) {
  *kernels = active_kernels();
  if (*kernels != nullptr) return absl::OkStatus();
  std::string names;
  for (const KernelTable* table : usable_kernels()) absl::StrAppend(&names, names.empty() ? "" : ", ", table->isa);
  return absl::InvalidArgumentError(absl::StrCat("The environment variable TFVAE_ISA must be one of ", names,
                                                 " on this machine. Correct it, or unset it to let tfvae choose."));
}

inline const Kernel<ForwardParams>& kernel_for(const ForwardParams&, const KernelTable& table) { return table.forward; }
inline const Kernel<BackwardParams>& kernel_for(const BackwardParams&, const KernelTable& table) {
  return table.backward;
}
inline const Kernel<LogRatioParams>& kernel_for(const LogRatioParams&, const KernelTable& table) {
  return table.log_ratio;
}
inline const Kernel<LogRatioGradParams>& kernel_for(const LogRatioGradParams&, const KernelTable& table) {
  return table.log_ratio_grad;
}

}  // namespace tfvae

#endif  // TFVAE_TF_FIND_KERNELS_H_
