// Rounding to bfloat16 as processors with AVX512_BF16 do it, emulated lane by lane.
#define TFVAE_ISA emulated_bfloat16
#define TFVAE_EMULATED_VECTOR_BYTES 64
#define TFVAE_EMULATED_BFLOAT16
#include <gtest/gtest.h>

#include <vector>

#include "csrc/cpu/pack.h"

namespace tfvae {
namespace emulated_bfloat16 {
namespace {

// Every upper half of a pattern, neighbours of different kind, with one lower half.
std::vector<float> floats(uint16_t lower) {
  std::vector<float> values(65536);
  for (uint32_t i = 0; i < values.size(); ++i) values[i] = bit_cast<float>((i * 257 % 65536) << 16 | lower);
  return values;
}

bool is_rounding_of(uint16_t rounded, float value) {
  if (value != value) return (rounded & 0x7fff) > 0x7f80;
  const uint32_t pattern = bit_cast<uint32_t>(value), lower = pattern & 0xffff, upper = pattern >> 16;
  const bool up = lower > 0x8000 || (lower == 0x8000 && upper % 2 == 1);
  return rounded == upper + up;
}

TEST(EmulatedBFloat16, DenormalNumbersAreNotLost) {
  constexpr int kPair = 2 * kLanes<VectorF32>;
  for (uint16_t lower : {0x0000, 0x0001, 0x7fff, 0x8000, 0x8001, 0xffff}) {
    const std::vector<float> values = floats(lower);
    std::vector<BFloat16> one_by_one(values.size()), in_pairs(values.size());
    for (size_t i = 0; i < values.size(); i += kPair) {
      const Pack<VectorF32, 2> pair = load<Pack<VectorF32, 2>>(&values[i]);
      store(&in_pairs[i], pair);
      store(&one_by_one[i], pair.part[0]);
      store(&one_by_one[i + kPair / 2], pair.part[1]);
    }
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_TRUE(is_rounding_of(one_by_one[i].bits, values[i])) << values[i] << " became " << one_by_one[i].bits;
      ASSERT_TRUE(is_rounding_of(in_pairs[i].bits, values[i])) << values[i] << " became " << in_pairs[i].bits;
    }
  }
}

}  // namespace
}  // namespace emulated_bfloat16
}  // namespace tfvae
