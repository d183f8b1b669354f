// AVX-512 on processors that also round to bfloat16: kernels of its own for bfloat16, and for the other types those
// that AVX-512 has anyway, compiled elsewhere.
#define TFVAE_ISA avx512_bf16
#define TFVAE_BFLOAT16_ALONE
#include "csrc/cpu/kernels.h"

namespace tfvae {

static_assert(avx512_bf16::kHardwareBFloat16, "compiled without -mavx512bf16");

extern const KernelTable k_avx512_kernels;

namespace {

template <class Own, class Params, Kernel<Params> KernelTable::* Other>
struct Either {
  static bool is_own(const Params& p) { return p.dtype == DType::kBFloat16; }

  static Work work(const Params& p) { return is_own(p) ? Own::work(p) : (k_avx512_kernels.*Other).work(p); }
  static void run(const Params& p, void* scratch, int64_t begin, int64_t end) {
    (is_own(p) ? Own::run : (k_avx512_kernels.*Other).run)(p, scratch, begin, end);
  }
  static void finish(const Params& p, const void* scratch) {
    (is_own(p) ? Own::finish : (k_avx512_kernels.*Other).finish)(p, scratch);
  }

  static constexpr Kernel<Params> kernel() { return {work, run, finish}; }
};

void normals(DType dtype, const int64_t seed[2], int64_t begin, int64_t count, void* out) {
  k_avx512_kernels.normals(dtype, seed, begin, count, out);
}
void words(const int64_t seed[2], int64_t count, uint32_t* out) { k_avx512_kernels.words(seed, count, out); }
void elementary(const char* function, int64_t count, const float* in, float* out) {
  k_avx512_kernels.elementary(function, count, in, out);
}

}  // namespace

// constexpr, so that nothing of this file runs before the dispatcher has seen the processor.
extern const KernelTable k_avx512_bf16_kernels;
constexpr KernelTable k_avx512_bf16_kernels = {
    "avx512_bf16",
    Either<avx512_bf16::Forward, ForwardParams, &KernelTable::forward>::kernel(),
    Either<avx512_bf16::Backward, BackwardParams, &KernelTable::backward>::kernel(),
    Either<avx512_bf16::LogRatio, LogRatioParams, &KernelTable::log_ratio>::kernel(),
    Either<avx512_bf16::LogRatioGrad, LogRatioGradParams, &KernelTable::log_ratio_grad>::kernel(),
    normals,
    words,
    elementary};

}  // namespace tfvae
