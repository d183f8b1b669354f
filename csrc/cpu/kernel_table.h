// What one instruction set offers, as a table of functions that knows no vector type.
#ifndef TFVAE_CPU_KERNEL_TABLE_H_
#define TFVAE_CPU_KERNEL_TABLE_H_

#include <stdint.h>

#include "csrc/core/params.h"

namespace tfvae {

struct KernelTable {
  const char* isa;
  // How many units of work, and how many of them make up one row (1: a unit holds whole rows).
  int64_t (*units)(int64_t rows, int64_t columns);
  int64_t (*units_per_row)(int64_t rows, int64_t columns);
  // partials: one float (double for kFloat64) per unit where a row has several, else unused.
  void (*forward)(const ForwardParams&, void* partials, int64_t unit_begin, int64_t unit_end);
  void (*sum_partials)(const ForwardParams&, const void* partials);
  void (*backward)(const BackwardParams&, int64_t unit_begin, int64_t unit_end);
  // For tests and benchmarks: the noise alone, and the elementary functions on float32 arrays.
  void (*normals)(DType dtype, const int64_t seed[2], int64_t begin, int64_t count, void* out);
  void (*words)(const int64_t seed[2], int64_t count, uint32_t* out);
  void (*elementary)(const char* function, int64_t count, const float* in, float* out);
};

}  // namespace tfvae

#endif  // TFVAE_CPU_KERNEL_TABLE_H_
