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

// Tensors of which only the first units of work are used. Rows of 1024 elements are whole vectors of every type; of
// those of 80 and 2064 some begin half a vector of AVX-512 on.
constexpr int64_t kElements = int64_t{1} << 26, kItems = 4, kUsed = 4000;
constexpr int64_t kColumns[] = {1024, 80, 2064};

struct Place {
  Place() : memory(kElements * 8 + 64) {}

  Reserved<char> memory;
};

template <class Params>
void run_first(const Kernel<Params>& kernel, const Params& params, double* scratch) {
  ASSERT_LE(kItems, kernel.work(params).items);
  kernel.run(params, scratch, 0, kItems);
  kernel.finish(params, scratch);
}

// From outputs that begin at a multiple of 64 bytes, where whole vectors can go around the caches, half a vector
// of AVX-512 on, and one element on, where they cannot.
TEST_P(Streamed, SameBitsWhereverOutputsBegin) {
  Place mean, log_var, dz, out[3][3];
  Reserved<double> sums(kElements), scratch(kElements);
  for (Place* place : {&mean, &log_var, &dz, &out[0][0], &out[2][2]}) ASSERT_TRUE(place->memory.ok());
  // Of every dtype some finite numbers: no exponent has all its bits set.
  for (int64_t i = 0; i < 2 * kUsed * 8; ++i) {
    mean.memory.data()[i] = static_cast<char>(i * 31 % 64);
    log_var.memory.data()[i] = static_cast<char>(i * 17 % 48);
    dz.memory.data()[i] = static_cast<char>(i * 7 % 61);
  }
  for (int d = 0; d < 4; ++d) {
    for (int64_t columns : kColumns) {
      CommonParams common{};
      common.dtype = kDTypes[d];
      common.rows = kElements / columns;
      common.columns = columns;
      common.seed[0] = 11;
      common.mean = mean.memory.data();
      common.log_var = log_var.memory.data();
      char* at[3][3] = {};
      for (int place = 0; place < 3; ++place) {
        const int64_t begin[] = {0, 32, kBytes[d]};
        for (int i = 0; i < 3; ++i) at[place][i] = out[place][i].memory.data() + begin[place];
        run_first(GetParam()->forward, ForwardParams{common, at[place][0], sums.data()}, scratch.data());
        run_first(GetParam()->backward,
                  BackwardParams{common, dz.memory.data(), sums.data(), at[place][1], at[place][2], nullptr, nullptr},
                  scratch.data());
      }
      for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(std::memcmp(at[0][i], at[2][i], kUsed * kBytes[d]), 0) << d << " " << columns << " " << i;
        EXPECT_EQ(std::memcmp(at[1][i], at[2][i], kUsed * kBytes[d]), 0) << d << " " << columns << " " << i;
      }
    }
  }
}

}  // namespace
}  // namespace tfvae
