// The elementary functions on a sweep, in units in the last place of the exact value: the bounds of
// tests/ops/test_elementary.py, whose denser sweeps need Python, for the instruction sets of other processors too.
#include <cmath>

#include "tests/cpp/support.h"

namespace tfvae {
namespace {

constexpr int64_t kCount = 20000;

using Elementary = PerInstructionSet;
TFVAE_FOR_EVERY_ISA(Elementary);

double ulps(float got, double exact) {
  int exponent;
  std::frexp(std::max(std::abs(exact), 0x1p-126), &exponent);
  return std::abs(got - exact) * std::ldexp(1.0, 24 - exponent);
}

// kCount floats from `low` on, spread over their bit patterns up to `high`.
std::vector<float> sweep(float low, float high, float sign = 1) {
  const auto bits = [](float x) { return static_cast<int64_t>(scalar::bit_cast<uint32_t>(x)); };
  std::vector<float> x(kCount);
  for (int64_t i = 0; i < kCount; ++i) {
    const int64_t between = bits(low) + (bits(high) - bits(low)) * i / (kCount - 1);
    x[i] = sign * scalar::bit_cast<float>(static_cast<uint32_t>(between));
  }
  return x;
}

template <class Exact>
double worst(const KernelTable* kernels, const char* function, const std::vector<float>& x, Exact exact) {
  std::vector<float> got(x.size());
  kernels->elementary(function, static_cast<int64_t>(x.size()), x.data(), got.data());
  double most = 0;
  for (size_t i = 0; i < x.size(); ++i) most = std::max(most, ulps(got[i], exact(static_cast<double>(x[i]))));
  return most;
}

double excess(double x) {
  if (std::abs(x) >= 0.5) return std::expm1(x) - x;
  double sum = 0, term = x * x / 2;
  for (int k = 3; k < 20; ++k, term *= x / (k - 1)) sum += term;
  return sum;
}

TEST_P(Elementary, ExponentialAndItsNeighbours) {
  for (float sign : {1.0f, -1.0f}) {
    EXPECT_LE(worst(GetParam(), "e", sweep(1e-30f, 88.72f, sign), [](double x) { return std::exp(x); }), 1.5);
    EXPECT_LE(worst(GetParam(), "m", sweep(1e-30f, 88.72f, sign), [](double x) { return std::expm1(x); }), 2.5);
    EXPECT_LE(worst(GetParam(), "x", sweep(1e-18f, 88.72f, sign), excess), 9.0);
    EXPECT_LE(worst(GetParam(), "x", sweep(1e-18f, 1.3f, sign), excess), 3.4);
  }
  EXPECT_LE(worst(GetParam(), "e", sweep(87.3f, 104.0f, -1), [](double x) { return std::exp(x); }), 0.85);
}

TEST_P(Elementary, Logarithm) {
  EXPECT_LE(worst(GetParam(), "l", sweep(1e-7f, 1.0f), [](double x) { return std::log(x); }), 1.0);
  EXPECT_LE(worst(GetParam(), "l", sweep(0x1p-126f, 1.0f), [](double x) { return std::log(x); }), 1.0);
}

TEST_P(Elementary, SineAndCosineOfATurn) {
  std::vector<float> turns(kCount);
  for (int64_t i = 0; i < kCount; ++i) turns[i] = static_cast<float>((i << 23) / kCount);
  // By the angle from the nearest quarter turn, because 2 pi itself is not exact enough near a zero.
  const auto by_quarters = [](double turn, int further) {
    const auto n = static_cast<int64_t>(turn);
    const int64_t quarter = (n + (1 << 20)) >> 21;
    const double angle = static_cast<double>(n - (quarter << 21)) * (2 * M_PI / (1 << 23));
    const double value[4] = {std::sin(angle), std::cos(angle), -std::sin(angle), -std::cos(angle)};
    return value[(quarter + further) & 3];
  };
  EXPECT_LE(worst(GetParam(), "s", turns, [&](double n) { return by_quarters(n, 0); }), 2.1);
  EXPECT_LE(worst(GetParam(), "c", turns, [&](double n) { return by_quarters(n, 1); }), 2.1);
}

}  // namespace
}  // namespace tfvae
