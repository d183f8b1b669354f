// What one instruction set offers, as a table of functions that knows no vector type.
#ifndef TFVAE_CPU_KERNEL_TABLE_H_
#define TFVAE_CPU_KERNEL_TABLE_H_

#include <stdint.h>

#include "csrc/core/params.h"

namespace tfvae {

// How a call is cut: `items` pieces of work, in any order and on any thread, that share `scratch_bytes` of memory.
struct Work {
  int64_t items;
  int64_t scratch_bytes;
  int64_t cycles_per_item;  // Roughly, for deciding whether threads pay.
};

template <class Params>
struct Kernel {
  Work (*work)(const Params&);
  void (*run)(const Params&, void* scratch, int64_t item_begin, int64_t item_end);
  void (*finish)(const Params&, const void* scratch);  // Once, after all items.
};

struct KernelTable {
  const char* isa;
  Kernel<ForwardParams> forward;
  Kernel<BackwardParams> backward;
  Kernel<LogRatioParams> log_ratio;
  Kernel<LogRatioGradParams> log_ratio_grad;
  // For tests and benchmarks: the noise alone, and the elementary functions on float32 arrays.
  void (*normals)(DType dtype, const int64_t seed[2], int64_t begin, int64_t count, void* out);
  void (*words)(const int64_t seed[2], int64_t count, uint32_t* out);
  void (*elementary)(const char* function, int64_t count, const float* in, float* out);
};

}  // namespace tfvae

#endif  // TFVAE_CPU_KERNEL_TABLE_H_
