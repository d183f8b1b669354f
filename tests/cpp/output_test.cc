// Results that are too large for the caches go around them (csrc/cpu/output.h), and are the same bits.
#include <cstring>

#include "tests/cpp/reserved.h"
#include "tests/cpp/support.h"

namespace tfvae {
namespace {

using Streamed = PerInstructionSet;
TFVAE_FOR_EVERY_ISA(Streamed);

constexpr DType kDTypes[] = {DType::kFloat16, DType::kBFloat16, DType::kFloat32, DType::kFloat64};
constexpr int64_t kBytes[] = {2, 2, 4, 8};

// A tensor of which only the first units of work are used, twice: at a multiple of 64 bytes, where whole vectors can
// go around the caches, and a few elements further on, where they cannot.
constexpr int64_t kRows = 1 << 16, kColumns = 1024, kUsedRows = 4;

struct Place {
  Place() : memory(kRows * kColumns * 8 + 64) {}
  char* at(bool aligned, int64_t bytes) { return memory.data() + (aligned ? 0 : bytes); }

  Reserved<char> memory;
};

template <class Params>
void run_first(const Kernel<Params>& kernel, const Params& params) {
  const int64_t items = kUsedRows * kColumns / 2048;
  ASSERT_LE(items, kernel.work(params).items);
  kernel.run(params, nullptr, 0, items);
  kernel.finish(params, nullptr);
}

TEST_P(Streamed, SameBits) {
  Place mean, log_var, dz, out[2][3];
  Reserved<double> sums(kRows);
  for (Place* place : {&mean, &log_var, &dz, &out[0][0], &out[1][2]}) ASSERT_TRUE(place->memory.ok());
  // Of every dtype some finite numbers: no exponent has all its bits set.
  for (int64_t i = 0; i < kUsedRows * kColumns * 8; ++i) {
    mean.memory.data()[i] = static_cast<char>(i * 31 % 64);
    log_var.memory.data()[i] = static_cast<char>(i * 17 % 48);
    dz.memory.data()[i] = static_cast<char>(i * 7 % 61);
  }
  for (int d = 0; d < 4; ++d) {
    CommonParams common{};
    common.dtype = kDTypes[d];
    common.rows = kRows;
    common.columns = kColumns;
    common.seed[0] = 11;
    common.mean = mean.memory.data();
    common.log_var = log_var.memory.data();
    const int64_t bytes = kUsedRows * kColumns * kBytes[d];
    for (bool aligned : {true, false}) {
      char* at[3] = {};
      for (int i = 0; i < 3; ++i) at[i] = out[aligned][i].at(aligned, kBytes[d]);
      run_first(GetParam()->forward, ForwardParams{common, at[0], sums.data()});
      run_first(GetParam()->backward,
                BackwardParams{common, dz.memory.data(), sums.data(), at[1], at[2], nullptr, nullptr});
    }
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(std::memcmp(out[1][i].at(true, 0), out[0][i].at(false, kBytes[d]), bytes), 0) << d << " " << i;
    }
  }
}

}  // namespace
}  // namespace tfvae
