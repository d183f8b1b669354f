#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/cpp/support.h"

namespace tfvae {
namespace {

struct Case {
  int64_t rows, columns;
};

const Case kCases[] = {{0, 5},   {5, 0},    {1, 1},    {7, 1},    {3, 2},    {5, 3},    {4, 10},   {9, 17},
                       {2, 256}, {3, 1000}, {1, 2047}, {1, 2048}, {2, 2049}, {1, 9000}, {1024, 3}, {2049, 1}};

struct Problem {
  explicit Problem(const Case& size)
      : rows(size.rows),
        columns(size.columns),
        mean(wave(rows * columns, 1.5f)),
        log_var(wave(rows * columns, 2.5f)),
        dz(wave(rows * columns, 0.5f)),
        dkl(wave(rows, 1.0f)),
        eps(libm_normals(seed, rows * columns)) {}

  ForwardParams forward(float* z, float* kl) const { return {common(), z, kl}; }
  BackwardParams backward(float* dmean, float* dlog_var) const {
    return {common(), dz.data(), dkl.data(), dmean, dlog_var, nullptr, nullptr};
  }
  CommonParams common() const { return common_params(rows, columns, seed, mean, log_var); }

  int64_t seed[2] = {5, -6};
  int64_t rows, columns;
  std::vector<float> mean, log_var, dz, dkl;
  std::vector<double> eps;
};

struct Result {
  std::vector<float> first, second;
  bool operator==(const Result& other) const { return first == other.first && second == other.second; }
};

Result run_forward_of(const KernelTable& kernels, const Problem& p, int threads) {
  Result r{std::vector<float>(p.rows * p.columns), std::vector<float>(p.rows, -1)};
  run_on(kernels.forward, p.forward(r.first.data(), r.second.data()), threads);
  return r;
}

Result run_backward_of(const KernelTable& kernels, const Problem& p, int threads) {
  Result r{std::vector<float>(p.rows * p.columns), std::vector<float>(p.rows * p.columns)};
  run_on(kernels.backward, p.backward(r.first.data(), r.second.data()), threads);
  return r;
}

using Kernels = PerInstructionSet;
TFVAE_FOR_EVERY_ISA(Kernels);

TEST_P(Kernels, ForwardMatchesDoublePrecision) {
  for (const Case& size : kCases) {
    const Problem p(size);
    const Result r = run_forward_of(*GetParam(), p, 2);
    for (int64_t row = 0; row < p.rows; ++row) {
      double kl = 0;
      for (int64_t i = row * p.columns; i < (row + 1) * p.columns; ++i) {
        const double m = p.mean[i], l = p.log_var[i];
        const double z = m + std::exp(l / 2) * p.eps[i];
        // The noise differs by up to 1.5e-6 and is multiplied by at most exp(1.25).
        ASSERT_NEAR(r.first[i], z, 6e-6 + 2e-7 * std::abs(z));
        kl += 0.5 * (m * m + std::expm1(l) - l);
      }
      // Partial sums of up to a few dozen terms per lane, each rounded to 6e-8.
      ASSERT_NEAR(r.second[row], kl, 2e-6 * (kl + 1)) << p.rows << "x" << p.columns;
    }
  }
}

TEST_P(Kernels, BackwardMatchesDoublePrecision) {
  for (const Case& size : kCases) {
    const Problem p(size);
    const Result r = run_backward_of(*GetParam(), p, 2);
    for (int64_t i = 0; i < p.rows * p.columns; ++i) {
      const double m = p.mean[i], l = p.log_var[i], dkl = p.dkl[i / p.columns];
      ASSERT_NEAR(r.first[i], p.dz[i] + dkl * m, 1e-6);
      const double dlog_var = 0.5 * (p.dz[i] * std::exp(l / 2) * p.eps[i] + dkl * std::expm1(l));
      ASSERT_NEAR(r.second[i], dlog_var, 4e-6 + 5e-7 * std::abs(dlog_var));
    }
  }
}

TEST_P(Kernels, SameBitsForAnyNumberOfThreads) {
  for (const Case& size : {Case{3, 9000}, Case{1000, 17}}) {
    const Problem p(size);
    const Result forward = run_forward_of(*GetParam(), p, 1), backward = run_backward_of(*GetParam(), p, 1);
    for (int threads : {2, 3, 8}) {
      EXPECT_TRUE(run_forward_of(*GetParam(), p, threads) == forward) << threads;
      EXPECT_TRUE(run_backward_of(*GetParam(), p, threads) == backward) << threads;
    }
  }
}

TEST_P(Kernels, ExtremesFollowIeee) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  Problem p({8, 1});
  p.mean.assign(8, 0.0f);
  p.log_var = {88.0f, 89.0f, 200.0f, -200.0f, inf, -inf, nan, 0.0f};
  const Result r = run_forward_of(*GetParam(), p, 1);
  EXPECT_NEAR(r.second[0] / (0.5 * std::expm1(88.0)), 1, 1e-6);
  EXPECT_EQ(r.second[1], inf);
  EXPECT_EQ(r.second[2], inf);
  EXPECT_FLOAT_EQ(r.second[3], 99.5f);
  EXPECT_TRUE(std::isnan(r.second[4]));  // inf - inf
  EXPECT_EQ(r.second[5], inf);
  EXPECT_TRUE(std::isnan(r.second[6]) && std::isnan(r.first[6]));
  EXPECT_EQ(r.second[7], 0.0f);
  EXPECT_EQ(r.first[5], 0.0f);
}

#if defined(__x86_64__)
TEST_P(Kernels, DenormalsSurviveOnAThreadThatFlushesThemAndItGoesOnSo) {
  // sigma = exp(-100) is 26.5 times the smallest denormal.
  Problem p({64, 100});
  p.mean.assign(6400, 0.0f);
  p.log_var.assign(6400, -200.0f);
  std::vector<float> z(6400), kl(64);
  const unsigned flushing = _mm_getcsr() | 0x8040, before = _mm_getcsr();
  const auto here = [](int64_t count, int64_t, const std::function<void(int64_t, int64_t)>& body) { body(0, count); };
  _mm_setcsr(flushing);
  run_kernel(GetParam()->forward, p.forward(z.data(), kl.data()), nullptr, here);
  const unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  EXPECT_EQ(after & 0x8040, flushing & 0x8040);
  for (int64_t i = 0; i < 6400; ++i) ASSERT_NEAR(z[i] * 0x1p149, 27 * p.eps[i], 0.51);
}
#endif

TEST_P(Kernels, NoNanOfAnyPatternComesOutAsANumber) {
  // 32-bit patterns of the gradient of the KL, whose lower halves rounding to bfloat16 could carry over; the second is
  // what x86 gives for the logarithm of -1 in some libraries.
  const uint32_t patterns[] = {0x7fffffff, 0xffffffff, 0x7fc00000, 0xffc00001, 0x7f800001, 0xff808000};
  for (DType dtype : {DType::kFloat16, DType::kBFloat16}) {
    for (bool per_dimension : {false, true}) {
      for (int64_t columns : {1, 3, 16, 64, 77}) {
        const int64_t rows = 6, count = rows * columns;
        const uint16_t one = dtype == DType::kFloat16 ? 0x3c00 : 0x3f80;
        std::vector<uint16_t> ones(count, one), dmean(count, one), dlog_var(count, one);
        std::vector<float> dkl(per_dimension ? count : rows);
        for (size_t i = 0; i < dkl.size(); ++i) memcpy(&dkl[i], &patterns[i * 6 / dkl.size()], 4);
        BackwardParams params{};
        params.dtype = dtype;
        params.rows = rows;
        params.columns = columns;
        params.per_dimension = per_dimension;
        params.mean = params.log_var = params.dz = ones.data();
        params.dkl = dkl.data();
        params.dmean = dmean.data();
        params.dlog_var = dlog_var.data();
        run_on(GetParam()->backward, params, 1);
        const uint16_t infinity = dtype == DType::kFloat16 ? 0x7c00 : 0x7f80;
        for (int64_t i = 0; i < count; ++i) {
          ASSERT_GT(dmean[i] & 0x7fff, infinity) << std::hex << patterns[i / columns] << " of " << std::dec << columns;
          ASSERT_GT(dlog_var[i] & 0x7fff, infinity) << std::hex << patterns[i / columns];
        }
      }
    }
  }
}

TEST_P(Kernels, HalfPrecisionPatternsSurviveTheRoundTrip) {
  // With log_var = -inf, sigma is 0 and z is mean: widened and narrowed again, by the one op two vectors at a time and
  // by the other one. Neighbours differ in kind: normal numbers, denormal ones and NaN share vectors.
  for (DType dtype : {DType::kFloat16, DType::kBFloat16}) {
    const int64_t count = 65536;
    std::vector<uint16_t> mean(count), log_var(count, dtype == DType::kFloat16 ? 0xfc00 : 0xff80);
    std::vector<uint16_t> z(count), drawn(count);
    std::vector<float> kl(count);
    for (int64_t i = 0; i < count; ++i) mean[i] = static_cast<uint16_t>(i * 257);
    CommonParams common{};
    common.dtype = dtype;
    common.rows = count;
    common.columns = 1;
    common.mean = mean.data();
    common.log_var = log_var.data();
    run_on(GetParam()->forward, ForwardParams{common, z.data(), kl.data()}, 1);
    run_on(GetParam()->log_ratio, LogRatioParams{common, 1, drawn.data(), kl.data()}, 1);
    const uint16_t infinity = dtype == DType::kFloat16 ? 0x7c00 : 0x7f80;
    for (int64_t i = 0; i < count; ++i) {
      const bool is_nan = (mean[i] & 0x7fff) > infinity;
      for (uint16_t got : {z[i], drawn[i]}) {
        if (is_nan) {
          ASSERT_GT(got & 0x7fff, infinity) << i;
        } else {
          ASSERT_EQ(got & 0x7fff, mean[i] & 0x7fff) << i;  // -0 + 0 is +0.
        }
      }
    }
  }
}

// z of `forward` in half precision against float32 on the same values, bit for bit. That some of them are ties in
// bfloat16 is counted.
void expect_rounding_to_nearest_even(const Kernel<ForwardParams>& forward, DType dtype) {
  constexpr int64_t kCount = int64_t{1} << 20;
  const bool half = dtype == DType::kFloat16;
  const auto narrow = [&](float x) {
    return static_cast<uint16_t>(half ? scalar::narrow_half<float, int32_t>(x)
                                      : scalar::narrow_bfloat16<float, int32_t>(x));
  };
  const auto widen = [&](int32_t bits) {
    return half ? scalar::widen_half<float>(bits) : scalar::widen_bfloat16<float>(bits);
  };
  std::vector<uint16_t> mean(kCount), log_var(kCount), z(kCount);
  std::vector<float> wide_mean(kCount), wide_log_var(kCount), wide_z(kCount), kl(kCount);
  for (int64_t i = 0; i < kCount; ++i) {
    mean[i] = narrow(3 * std::sin(0.7f * static_cast<float>(i)));
    log_var[i] = narrow(4 * std::sin(1.3f * static_cast<float>(i)) - 9);
    wide_mean[i] = widen(mean[i]);
    wide_log_var[i] = widen(log_var[i]);
  }
  ForwardParams params{};
  params.rows = kCount / 128;
  params.columns = 128;
  params.kl = kl.data();
  params.dtype = dtype;
  params.mean = mean.data();
  params.log_var = log_var.data();
  params.z = z.data();
  run_on(forward, params, 1);
  params.dtype = DType::kFloat32;
  params.mean = wide_mean.data();
  params.log_var = wide_log_var.data();
  params.z = wide_z.data();
  run_on(forward, params, 1);
  int ties = 0;
  for (int64_t i = 0; i < kCount; ++i) {
    uint32_t pattern;
    std::memcpy(&pattern, &wide_z[i], sizeof(pattern));
    ties += !half && (pattern & 0xffff) == 0x8000;
    ASSERT_EQ(z[i], narrow(wide_z[i])) << i << ": " << wide_z[i];
  }
  EXPECT_EQ(ties > 0, !half);
}

TEST_P(Kernels, Float16RoundsToNearestAndTiesToEven) {
  expect_rounding_to_nearest_even(GetParam()->forward, DType::kFloat16);
}

TEST_P(Kernels, BrainFloat16RoundsToNearestAndTiesToEven) {
  expect_rounding_to_nearest_even(GetParam()->forward, DType::kBFloat16);
}

}  // namespace
}  // namespace tfvae
