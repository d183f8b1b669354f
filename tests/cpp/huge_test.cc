// Tensors of more than 2^31 and 2^32 elements: their last units of work alone, in memory that is
// reserved and for the rest never touched.
#include "tests/cpp/reserved.h"
#include "tests/cpp/support.h"

namespace tfvae {
namespace {

struct Size {
  int64_t rows, columns;
};

// One row too long for 32 bits, signed and unsigned, and as many rows of a few elements.
const Size kSizes[] = {{1, (int64_t(1) << 31) + 4099}, {1, (int64_t(1) << 32) + 77}, {(int64_t(1) << 32) / 3 + 5, 3}};

template <class Params>
void run_last(const Kernel<Params>& kernel, const Params& params) {
  const Work work = kernel.work(params);
  std::vector<double> scratch((work.scratch_bytes + 7) / 8);
  kernel.run(params, scratch.data(), std::max<int64_t>(0, work.items - 2), work.items);
}

using Huge = PerInstructionSet;
TFVAE_FOR_EVERY_ISA(Huge);

TEST_P(Huge, LastUnitsOfForwardAndBackward) {
  const int64_t seed[2] = {5, 7};
  for (const Size& size : kSizes) {
    const int64_t count = size.rows * size.columns;
    // float32 throughout: mean, log_var, dz in; z, dmean, dlog_var out.
    Reserved<float> arrays[6] = {Reserved<float>(count), Reserved<float>(count), Reserved<float>(count),
                                 Reserved<float>(count), Reserved<float>(count), Reserved<float>(count)};
    Reserved<float> kl(size.rows), dkl(size.rows);
    for (auto& array : arrays) ASSERT_TRUE(array.ok());
    auto &mean = arrays[0], &log_var = arrays[1], &dz = arrays[2], &z = arrays[3], &dmean = arrays[4],
         &dlog_var = arrays[5];
    const int64_t tail = 64, begin = count - tail;
    for (int64_t i = begin; i < count; ++i) {
      mean.data()[i] = 0.5f;
      dz.data()[i] = 1.0f;
    }

    CommonParams common{};
    common.dtype = DType::kFloat32;
    common.rows = size.rows;
    common.columns = size.columns;
    common.seed[0] = seed[0];
    common.seed[1] = seed[1];
    common.mean = mean.data();
    common.log_var = log_var.data();
    run_last(GetParam()->forward, ForwardParams{common, z.data(), kl.data()});
    run_last(GetParam()->backward,
             BackwardParams{common, dz.data(), dkl.data(), dmean.data(), dlog_var.data(), nullptr, nullptr});

    const std::vector<double> eps = libm_normals(seed, tail, begin);
    for (int64_t i = 0; i < tail; ++i) {
      // The variance is 1 and dkl is 0. Normals differ from the C library's by up to 1.5e-6.
      ASSERT_NEAR(z.data()[begin + i], 0.5 + eps[i], 3e-6) << size.rows << "x" << size.columns;
      ASSERT_EQ(dmean.data()[begin + i], 1.0f);
      ASSERT_NEAR(dlog_var.data()[begin + i], 0.5 * eps[i], 3e-6);
    }
    if (size.columns == 3) {
      EXPECT_FLOAT_EQ(kl.data()[size.rows - 1], 3 * 0.125f);
    }
  }
}

TEST_P(Huge, LastUnitsOfSeveralDraws) {
  const int64_t seed[2] = {5, 7};
  const int64_t count = (int64_t(1) << 31) + 4099, samples = 2, tail = 64;
  Reserved<float> mean(count), log_var(count), z(samples * count), log_ratio(samples);
  ASSERT_TRUE(mean.ok() && log_var.ok() && z.ok() && log_ratio.ok());
  CommonParams common{};
  common.dtype = DType::kFloat32;
  common.rows = 1;
  common.columns = count;
  common.seed[0] = seed[0];
  common.seed[1] = seed[1];
  common.mean = mean.data();
  common.log_var = log_var.data();
  run_last(GetParam()->log_ratio, LogRatioParams{common, samples, z.data(), log_ratio.data()});
  for (int64_t begin : {count - tail, samples * count - tail}) {
    const std::vector<double> eps = libm_normals(seed, tail, begin);
    for (int64_t i = 0; i < tail; ++i) ASSERT_NEAR(z.data()[begin + i], eps[i], 3e-6) << begin;
  }
}

}  // namespace
}  // namespace tfvae
