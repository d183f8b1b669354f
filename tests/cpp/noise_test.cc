#include "tests/cpp/support.h"

namespace tfvae {
namespace {

struct KnownAnswer {
  uint32_t counter[4], key[2], words[4];
};

// The known answers of Random123 (Salmon et al. 2011), file kat_vectors, philox4x32 with 10 rounds.
const KnownAnswer kKnownAnswers[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

TEST(Philox, KnownAnswers) {
  for (const KnownAnswer& known : kKnownAnswers) {
    const uint32_t* c = known.counter;
    const auto w = scalar::philox_rounds<uint64_t>({c[0], c[1], c[2], c[3]}, known.key[0], known.key[1]);
    EXPECT_EQ(static_cast<uint32_t>(w.w0), known.words[0]);
    EXPECT_EQ(static_cast<uint32_t>(w.w1), known.words[1]);
    EXPECT_EQ(static_cast<uint32_t>(w.w2), known.words[2]);
    EXPECT_EQ(static_cast<uint32_t>(w.w3), known.words[3]);
  }
}

using Noise = PerInstructionSet;
TFVAE_FOR_EVERY_ISA(Noise);

TEST_P(Noise, VectorWordsEqualScalarWords) {
  for (int64_t count : {1, 3, 4, 5, 63, 64, 65, 1000}) {
    const int64_t seed[2] = {count, -7};
    std::vector<uint32_t> words(count);
    GetParam()->words(seed, count, words.data());
    EXPECT_EQ(words, scalar_words(seed, count));
  }
}

TEST_P(Noise, NormalsMatchTheCLibrary) {
  const int64_t seed[2] = {11, 12};
  const int64_t count = 20001;
  std::vector<float> normals(count);
  GetParam()->normals(DType::kFloat32, seed, 0, count, normals.data());
  const auto expected = libm_normals(seed, count);
  // A few roundings of values up to 5.7, whose spacing is 4.8e-7.
  for (int64_t i = 0; i < count; ++i) ASSERT_NEAR(normals[i], expected[i], 1.5e-6) << i;
}

TEST_P(Noise, AnyStartGivesTheSameElements) {
  const int64_t seed[2] = {1, 2};
  for (DType dtype : {DType::kFloat32, DType::kFloat64}) {
    const size_t size = dtype == DType::kFloat64 ? 8 : 4;
    std::vector<char> whole(5000 * size), part(5000 * size);
    GetParam()->normals(dtype, seed, 0, 5000, whole.data());
    for (int64_t begin : {1, 2, 3, 4, 7, 2047, 2049}) {
      const int64_t count = 5000 - begin;
      GetParam()->normals(dtype, seed, begin, count, part.data());
      EXPECT_TRUE(std::equal(part.begin(), part.begin() + count * size, whole.begin() + begin * size)) << begin;
    }
  }
}

}  // namespace
}  // namespace tfvae
