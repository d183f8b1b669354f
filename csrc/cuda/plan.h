// From parameters to launches, on the host: how the work is cut, how many blocks and threads, how much memory. No CUDA
// is needed for it, so that the tests go through the same plans.
#ifndef TFVAE_CUDA_PLAN_H_
#define TFVAE_CUDA_PLAN_H_

#include <initializer_list>

#include "csrc/cuda/backward.h"
#include "csrc/cuda/forward.h"
#include "csrc/cuda/log_ratio.h"
#include "csrc/cuda/log_ratio_grad.h"
#include "csrc/cuda/strided_sum.h"
#include "csrc/cuda/tuning.h"

namespace tfvae {
namespace TFVAE_ISA {

struct Device {
  Tuning tuning;
  int multiprocessors;
};

// Memory to be filled with zero bytes, which are zeros of every type: what sums over nothing.
struct Zeros {
  void* data;
  int64_t bytes;
};

// One kernel, and where its sums are spread over blocks, a second one behind it.
template <class Launch>
struct Plan {
  Launch launch;
  int64_t blocks;  // 0: nothing to launch.
  int threads;
  int shared_bytes;
  int64_t scratch_bytes;
  bool has_sum;
  StridedSumLaunch sum;
  int64_t sum_blocks;
  Zeros zeros[2];
};

constexpr int64_t kMostBlocks = 0x7fffffff;
constexpr int kUnitBytes = 16384;  // Of row terms in shared memory, twice.

inline bool all_aligned(std::initializer_list<const void*> pointers) {
  uintptr_t bits = 0;
  for (const void* pointer : pointers) bits |= reinterpret_cast<uintptr_t>(pointer);
  return bits % 16 == 0;
}

// Enough units for all blocks before a thread gets more than one packet. A second kernel, for rows that are divided,
// pays for long rows only, and for longer ones yet where there are many.
template <class T>
inline UnitSizes forward_units(int64_t rows, int64_t columns, const Tuning& tuning) {
  constexpr int64_t P = kPacketSize<T>;
  const int64_t most = smaller(tuning.packets_per_thread * tuning.threads * P, kUnitBytes / sizeof(Arithmetic<T>));
  const int64_t least = smaller(tuning.threads * P, most);
  const int64_t wanted = larger(least, smaller(most, rows * columns / tuning.blocks_wanted / P * P));
  return {wanted, rows < tuning.blocks_wanted ? most : 8 * most, wanted, P};
}

template <class Launch>
inline void plan_sum(Plan<Launch>* plan, void* scratch, int64_t sums, int64_t count, void* out, void* out_behind,
                     int64_t split) {
  int width = 1;
  while (width < kWarp && width < sums) width *= 2;
  plan->has_sum = true;
  plan->sum = {scratch, sums, count, sums, width, split, out, out_behind};
  plan->sum_blocks = smaller(ceil_divide(sums, width), kMostBlocks);
}

template <class T>
inline Plan<ForwardLaunch> plan_forward(const ForwardParams& p, const DeviceSeed& seed, void* scratch,
                                        const Device& d) {
  using A = Arithmetic<T>;
  const int64_t elements = p.rows * p.columns;
  Plan<ForwardLaunch> plan{};
  if (elements == 0) {
    if (!p.per_dimension) plan.zeros[0] = {p.kl, p.rows * int64_t(sizeof(A))};
    return plan;
  }
  ForwardLaunch& l = plan.launch;
  l.params = p;
  l.seed = seed;
  l.units = cut_units(p.rows, p.columns, forward_units<T>(p.rows, p.columns, d.tuning));
  l.layout = row_layout<T>(l.units);
  l.by_columns = Divider(static_cast<uint64_t>(p.columns));
  l.aligned = all_aligned({p.mean, p.log_var, p.prior_mean, p.prior_log_var, p.z, p.per_dimension ? p.kl : nullptr});
  l.whole = l.aligned && p.columns % kPacketSize<T> == 0;
  l.partials = scratch;
  constexpr int kBlocks = blocks_that_fit(kForwardRegisters<T, PriorShape::kNone>);
  plan.blocks = smaller(l.units.units, int64_t{d.multiprocessors} * kBlocks);
  plan.threads = d.tuning.threads;
  plan.shared_bytes = 2 * l.layout.buffer_size * static_cast<int>(sizeof(A));
  if (!p.per_dimension && l.units.units_per_row > 1) {
    plan.scratch_bytes = l.units.units * int64_t(sizeof(A));
    plan_sum(&plan, scratch, p.rows, l.units.units_per_row, p.kl, nullptr, p.rows);
  }
  return plan;
}

template <class T>
inline Plan<LogRatioLaunch> plan_log_ratio(const LogRatioParams& p, const DeviceSeed& seed, void* scratch,
                                           const Device& d) {
  using A = Arithmetic<T>;
  constexpr int64_t P = kPacketSize<T>;
  Plan<LogRatioLaunch> plan{};
  if (p.rows * p.columns == 0) {
    plan.zeros[0] = {p.log_ratio, p.num_samples * p.rows * int64_t(sizeof(A))};
    return plan;
  }
  LogRatioLaunch& l = plan.launch;
  l.params = p;
  l.seed = seed;
  // Units that begin within a packet touch one packet more.
  const int64_t packets = p.columns % P == 0 ? d.tuning.threads : d.tuning.threads - 1;
  l.units = cut_units(p.rows, p.columns, {packets * P, packets * P, packets * P, P});
  l.layout = row_layout<T>(l.units);
  l.by_columns = Divider(static_cast<uint64_t>(p.columns));
  l.by_units = Divider(static_cast<uint64_t>(l.units.units));
  const int64_t runs = larger(1, smaller(p.num_samples, 4 * d.tuning.blocks_wanted / l.units.units));
  l.samples_per_item = ceil_divide(p.num_samples, runs);
  l.items = l.units.units * ceil_divide(p.num_samples, l.samples_per_item);
  l.aligned = all_aligned({p.mean, p.log_var, p.prior_mean, p.prior_log_var, p.z});
  l.partials = scratch;
  plan.blocks = smaller(l.items, kMostBlocks);
  plan.threads = d.tuning.threads;
  plan.shared_bytes = 2 * l.layout.buffer_size * static_cast<int>(sizeof(A));
  if (l.units.units_per_row > 1) {
    const int64_t sums = p.num_samples * p.rows;
    plan.scratch_bytes = sums * l.units.units_per_row * int64_t(sizeof(A));
    plan_sum(&plan, scratch, sums, l.units.units_per_row, p.log_ratio, nullptr, sums);
  }
  return plan;
}

// samples: threads that share the samples of a packet. shared_values: shared memory that the kernel needs besides.
template <class T, class Params>
inline Plan<GradientLaunch<Params>> plan_gradients(const Params& p, const DeviceSeed& seed, int samples,
                                                   int shared_values, bool aligned, void* scratch, const Device& d) {
  using A = Arithmetic<T>;
  constexpr int P = kPacketSize<T>;
  Plan<GradientLaunch<Params>> plan{};
  const bool sums = p.prior == PriorShape::kShared;
  if (p.rows * p.columns == 0) {
    if (sums) plan.zeros[0] = {p.dprior_mean, p.columns * int64_t(sizeof(T))};
    if (sums) plan.zeros[1] = {p.dprior_log_var, p.columns * int64_t(sizeof(T))};
    return plan;
  }
  GradientLaunch<Params>& l = plan.launch;
  l.params = p;
  l.seed = seed;
  l.elements = p.rows * p.columns;
  l.samples_at_once = samples;
  l.by_columns = Divider(static_cast<uint64_t>(p.columns));
  l.aligned = aligned && all_aligned({p.mean, p.log_var, p.prior_mean, p.prior_log_var, p.dz, p.dmean, p.dlog_var,
                                      sums ? nullptr : p.dprior_mean, sums ? nullptr : p.dprior_log_var});
  l.whole = l.aligned && p.columns % P == 0;
  const int width = d.tuning.threads / samples;
  const int64_t packets = ceil_divide(l.elements, P);
  // Bounds the terms that are added up one after another in the type of the arithmetic: these, and in the end a few
  // packets of the block.
  constexpr int64_t kMostStepsOfSums = 128;
  l.steps = sums ? column_steps(p.rows, p.columns, P, width, kMostStepsOfSums, d.tuning.blocks_wanted)
                 : flat_steps(packets, width, d.tuning.packets_per_thread, d.tuning.blocks_wanted);
  plan.blocks = l.steps.strips * l.steps.groups;
  plan.threads = static_cast<int>(ceil_divide(int64_t{l.steps.width} * samples, kWarp) * kWarp);
  l.shares_values = shared_values;
  int values = shared_values;
  if (sums) {
    const int64_t rows = l.steps.groups * l.steps.folds;
    l.prior_sums = {p.columns, l.by_columns, rows == 1 ? nullptr : scratch, p.dprior_mean, p.dprior_log_var};
    values += 2 * l.steps.width * P;
    if (rows > 1) {
      plan.scratch_bytes = rows * 2 * p.columns * int64_t(sizeof(A));
      plan_sum(&plan, scratch, 2 * p.columns, rows, p.dprior_mean, p.dprior_log_var, p.columns);
    }
  }
  plan.shared_bytes = values * static_cast<int>(sizeof(A));
  return plan;
}

template <class T>
inline Plan<BackwardLaunch> plan_backward(const BackwardParams& p, const DeviceSeed& seed, void* scratch,
                                          const Device& d) {
  return plan_gradients<T>(p, seed, 1, 0, all_aligned({p.per_dimension ? p.dkl : nullptr}), scratch, d);
}

template <class T>
inline Plan<LogRatioGradLaunch> plan_log_ratio_grad(const LogRatioGradParams& p, const DeviceSeed& seed, void* scratch,
                                                    const Device& d) {
  constexpr int64_t P = kPacketSize<T>;
  // Shares double while there are too few packets for all blocks, and every share has two samples or more.
  const int64_t packets = ceil_divide(p.rows * p.columns, P);
  int64_t shares = 1;
  while (shares < 8 && packets * shares < int64_t{d.tuning.blocks_wanted} * d.tuning.threads &&
         4 * shares <= p.num_samples) {
    shares *= 2;
  }
  const int kinds = p.prior == PriorShape::kNone ? 2 : 4;
  const int values = shares > 1 ? kinds * d.tuning.threads * static_cast<int>(P) : 0;
  return plan_gradients<T>(p, seed, static_cast<int>(shares), values, true, scratch, d);
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_PLAN_H_
