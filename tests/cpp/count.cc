// Runs one pass of one instruction set a number of times on a fixed problem and does nothing else, so that a tool which
// counts instructions can tell those of the pass from those of the program: count twice, with other numbers of runs, or
// from one of the signals that stand between the runs to the next.
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cstdio>
#include <vector>

#include "csrc/cpu/dispatch.h"
#include "csrc/cpu/run.h"

namespace tfvae {
namespace {

constexpr int64_t kRows = 8, kColumns = 256, kSamples = 4;

struct Problem {
  // 64 bits of the numbers 0.25 of a type.
  struct Filling {
    const char* name;
    DType dtype;
    uint64_t quarters;
  };

  Problem(const char* dtype_name, const char* pass_name) : pass(pass_name) {
    const Filling fillings[] = {{"float64", DType::kFloat64, 0x3fd0000000000000},
                                {"bfloat16", DType::kBFloat16, 0x3e803e803e803e80},
                                {"float16", DType::kFloat16, 0x3400340034003400},
                                {"float32", DType::kFloat32, 0x3e8000003e800000}};
    for (const Filling& filling : fillings) {
      if (strcmp(dtype_name, filling.name) != 0) continue;
      common.dtype = filling.dtype;
      arrays.assign(7, std::vector<uint64_t>(kSamples * kRows * kColumns, filling.quarters));
    }
    common.rows = kRows;
    common.columns = kColumns;
    common.seed[0] = 2013;
    if (arrays.empty()) return;
    common.mean = arrays[0].data();
    common.log_var = arrays[1].data();
  }

  // Whether there is such a pass, of such a type.
  bool run(const KernelTable& kernels) {
    if (arrays.empty()) return false;
    uint64_t *a = arrays[2].data(), *b = arrays[3].data(), *c = arrays[4].data(), *d = arrays[5].data();
    if (strcmp(pass, "forward") == 0) return run_pass(kernels.forward, ForwardParams{common, a, b});
    if (strcmp(pass, "backward") == 0) {
      return run_pass(kernels.backward, BackwardParams{common, a, b, c, d, nullptr, nullptr});
    }
    if (strcmp(pass, "log_ratio") == 0) return run_pass(kernels.log_ratio, LogRatioParams{common, kSamples, a, b});
    if (strcmp(pass, "log_ratio_grad") == 0) {
      return run_pass(kernels.log_ratio_grad,
                      LogRatioGradParams{common, kSamples, false, a, b, c, d, nullptr, nullptr});
    }
    return false;
  }

  template <class Params>
  bool run_pass(const Kernel<Params>& kernel, const Params& params) {
    scratch.resize((kernel.work(params).scratch_bytes + 7) / 8);
    run_kernel(kernel, params, scratch.data(),
               [](int64_t count, int64_t, const std::function<void(int64_t, int64_t)>& body) { body(0, count); });
    return true;
  }

  const char* pass;
  std::vector<std::vector<uint64_t>> arrays;
  std::vector<double> scratch;
  CommonParams common{};
};

}  // namespace
}  // namespace tfvae

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: %s ISA forward|backward|log_ratio|log_ratio_grad DTYPE RUNS\n", argv[0]);
    return 2;
  }
  for (const tfvae::KernelTable* kernels : tfvae::usable_kernels()) {
    if (strcmp(kernels->isa, argv[1]) != 0) continue;
    tfvae::Problem problem(argv[3], argv[2]);
    for (int i = 0; i < atoi(argv[4]); ++i) {
      raise(SIGURG);
      if (!problem.run(*kernels)) return 2;
    }
    raise(SIGURG);
    const bool draws = strncmp(argv[2], "log_ratio", 9) == 0;
    std::printf("%lld\n", static_cast<long long>((draws ? tfvae::kSamples : 1) * tfvae::kRows * tfvae::kColumns));
    return 0;
  }
  std::fprintf(stderr, "%s: no instruction set %s here\n", argv[0], argv[1]);
  return 3;
}
