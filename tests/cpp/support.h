// What the C++ tests share: every usable instruction set as a parameter, and the noise from the scalar core.
#ifndef TFVAE_TESTS_CPP_SUPPORT_H_
#define TFVAE_TESTS_CPP_SUPPORT_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "csrc/core/box_muller.h"
#include "csrc/core/philox.h"
#include "csrc/cpu/dispatch.h"
#include "csrc/cpu/run.h"

namespace tfvae {

class PerInstructionSet : public ::testing::TestWithParam<const KernelTable*> {};

inline std::string isa_name(const ::testing::TestParamInfo<const KernelTable*>& info) { return info.param->isa; }

// usable_kernels(), and the code of 64-byte vectors emulated, which real processors run as AVX-512.
std::vector<const KernelTable*> tested_kernels();

#define TFVAE_FOR_EVERY_ISA(suite) INSTANTIATE_TEST_SUITE_P(Isa, suite, ::testing::ValuesIn(tested_kernels()), isa_name)

// The stream's words as the paper defines them, one at a time, from those of `group` on.
inline std::vector<uint32_t> scalar_words(const int64_t seed[2], int64_t count, uint64_t group = 0) {
  const auto stream = scalar::stream_of_seed(seed[0], seed[1]);
  std::vector<uint32_t> words;
  for (; static_cast<int64_t>(words.size()) < count; ++group) {
    const auto w = scalar::philox<uint64_t>(group, stream);
    for (uint64_t word : {w.w0, w.w1, w.w2, w.w3}) words.push_back(static_cast<uint32_t>(word));
  }
  words.resize(count);
  return words;
}

// Box-Muller by the C library in double precision, on those words: the normals of the elements from `begin` on.
inline std::vector<double> libm_normals(const int64_t seed[2], int64_t count, int64_t begin = 0) {
  const int64_t lead = begin % 4;
  const auto words = scalar_words(seed, (lead + count + 3) / 4 * 4, begin / 4);
  std::vector<double> normals;
  for (size_t i = 0; i < words.size(); i += 2) {
    const double u = std::max((words[i] & 0x7fffff) / 8388608.0, double(1e-7f));
    const double angle = 2 * M_PI * ((words[i + 1] & 0x7fffff) / 8388608.0);
    normals.push_back(std::sqrt(-2 * std::log(u)) * std::sin(angle));
    normals.push_back(std::sqrt(-2 * std::log(u)) * std::cos(angle));
  }
  normals.erase(normals.begin(), normals.begin() + lead);
  normals.resize(count);
  return normals;
}

// Parameters in float32, without a prior.
inline CommonParams common_params(int64_t rows, int64_t columns, const int64_t seed[2], const std::vector<float>& mean,
                                  const std::vector<float>& log_var) {
  CommonParams p{};
  p.dtype = DType::kFloat32;
  p.rows = rows;
  p.columns = columns;
  p.seed[0] = seed[0];
  p.seed[1] = seed[1];
  p.mean = mean.data();
  p.log_var = log_var.data();
  return p;
}

// Evenly on `threads` threads, as a pool would.
ParallelFor on_threads(int threads);

// With scratch of its own, in which whatever is read unwritten is NaN.
template <class Params>
void run_on(const Kernel<Params>& kernel, const Params& params, int threads) {
  std::vector<double> scratch((kernel.work(params).scratch_bytes + 7) / 8, NAN);
  run_kernel(kernel, params, scratch.data(), on_threads(threads));
}

// Different numbers between -scale and scale.
inline std::vector<float> wave(int64_t count, float scale) {
  std::vector<float> values(count);
  for (int64_t i = 0; i < count; ++i) values[i] = scale * std::sin(0.9f * static_cast<float>(i) + scale);
  return values;
}

}  // namespace tfvae

#endif  // TFVAE_TESTS_CPP_SUPPORT_H_
