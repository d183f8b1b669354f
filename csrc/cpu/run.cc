#include "csrc/cpu/run.h"

#include <cstring>

namespace tfvae {
namespace {

constexpr int64_t kNanosecondsPerUnit = 3000;

int64_t size_of_arithmetic(DType dtype) { return dtype == DType::kFloat64 ? 8 : 4; }

}  // namespace

int64_t forward_scratch_bytes(const KernelTable& kernels, const ForwardParams& params) {
  if (params.per_dimension || kernels.units_per_row(params.rows, params.columns) == 1) return 0;
  return kernels.units(params.rows, params.columns) * size_of_arithmetic(params.dtype);
}

void run_forward(const KernelTable& kernels, const ForwardParams& params, void* scratch, const ParallelFor& parallel) {
  if (params.columns == 0) {
    if (!params.per_dimension) std::memset(params.kl, 0, params.rows * size_of_arithmetic(params.dtype));
    return;
  }
  const int64_t units = kernels.units(params.rows, params.columns);
  if (units == 0) return;
  parallel(units, kNanosecondsPerUnit,
           [&](int64_t begin, int64_t end) { kernels.forward(params, scratch, begin, end); });
  if (forward_scratch_bytes(kernels, params) > 0) kernels.sum_partials(params, scratch);
}

void run_backward(const KernelTable& kernels, const BackwardParams& params, const ParallelFor& parallel) {
  const int64_t units = kernels.units(params.rows, params.columns);
  if (units == 0) return;
  parallel(units, kNanosecondsPerUnit, [&](int64_t begin, int64_t end) { kernels.backward(params, begin, end); });
}

}  // namespace tfvae
