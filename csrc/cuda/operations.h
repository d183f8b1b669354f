// The four operations under one form, for whoever runs them: csrc/cuda/launch.h on a device, tests/cpp/emulated_grid.h
// on the host. kRegisters: how many a thread may use, as few as hold what it keeps; see csrc/cuda/tuning.h.
#ifndef TFVAE_CUDA_OPERATIONS_H_
#define TFVAE_CUDA_OPERATIONS_H_

#include "csrc/cuda/plan.h"

namespace tfvae {
namespace TFVAE_ISA {

struct Forward {
  using Params = ForwardParams;
  using Launch = ForwardLaunch;
  template <class T>
  using Sum = Arithmetic<T>;  // What a second kernel writes.
  template <class T, PriorShape kPrior>
  static constexpr int kRegisters = kForwardRegisters<T, kPrior>;
  template <class T>
  static Plan<Launch> plan(const Params& p, const DeviceSeed& seed, void* scratch, const Device& d) {
    return plan_forward<T>(p, seed, scratch, d);
  }
  template <class T, PriorShape kPrior, class Thread>
  static TFVAE_DEVICE void run(const Thread& thread, const Launch& launch) {
    run_forward<T, kPrior>(thread, launch);
  }
};

struct Backward {
  using Params = BackwardParams;
  using Launch = BackwardLaunch;
  template <class T>
  using Sum = T;  // What a second kernel writes.
  template <class T, PriorShape kPrior>
  static constexpr int kRegisters = sizeof(T) == 8 || kPrior != PriorShape::kNone ? 128 : 64;
  template <class T>
  static Plan<Launch> plan(const Params& p, const DeviceSeed& seed, void* scratch, const Device& d) {
    return plan_backward<T>(p, seed, scratch, d);
  }
  template <class T, PriorShape kPrior, class Thread>
  static TFVAE_DEVICE void run(const Thread& thread, const Launch& launch) {
    run_backward<T, kPrior>(thread, launch);
  }
};

struct LogRatio {
  using Params = LogRatioParams;
  using Launch = LogRatioLaunch;
  template <class T>
  using Sum = Arithmetic<T>;  // What a second kernel writes.
  template <class T, PriorShape kPrior>
  static constexpr int kRegisters = sizeof(T) == 8 ? 128 : 80;
  template <class T>
  static Plan<Launch> plan(const Params& p, const DeviceSeed& seed, void* scratch, const Device& d) {
    return plan_log_ratio<T>(p, seed, scratch, d);
  }
  template <class T, PriorShape kPrior, class Thread>
  static TFVAE_DEVICE void run(const Thread& thread, const Launch& launch) {
    run_log_ratio<T, kPrior>(thread, launch);
  }
};

struct LogRatioGrad {
  using Params = LogRatioGradParams;
  using Launch = LogRatioGradLaunch;
  template <class T>
  using Sum = T;  // What a second kernel writes.
  template <class T, PriorShape kPrior>
  static constexpr int kRegisters = kPrior == PriorShape::kShared ? 255 : 128;
  template <class T>
  static Plan<Launch> plan(const Params& p, const DeviceSeed& seed, void* scratch, const Device& d) {
    return plan_log_ratio_grad<T>(p, seed, scratch, d);
  }
  template <class T, PriorShape kPrior, class Thread>
  static TFVAE_DEVICE void run(const Thread& thread, const Launch& launch) {
    run_log_ratio_grad<T, kPrior>(thread, launch);
  }
};

template <PriorShape kPrior_>
struct PriorTag {
  static constexpr PriorShape kPrior = kPrior_;
};

template <class Body>
inline auto with_prior(PriorShape prior, Body body) {
  switch (prior) {
    case PriorShape::kNone:
      return body(PriorTag<PriorShape::kNone>());
    case PriorShape::kFull:
      return body(PriorTag<PriorShape::kFull>());
    default:
      return body(PriorTag<PriorShape::kShared>());
  }
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_OPERATIONS_H_
