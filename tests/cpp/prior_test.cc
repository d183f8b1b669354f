// Learned priors, of the shape of mean and shared by all rows, against the formulas in double precision.
#include <cmath>

#include "tests/cpp/support.h"

namespace tfvae {
namespace {

struct Case {
  PriorShape prior;
  int64_t rows, columns;
};

// Rows shorter and longer than a unit of work, and more blocks of rows than there are groups of them.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (PriorShape prior : {PriorShape::kFull, PriorShape::kShared}) {
    for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{0, 5},
                                        {5, 0},
                                        {1, 1},
                                        {3000, 1},
                                        {7, 3},
                                        {70, 37},
                                        {1100, 64},
                                        {40, 2049},
                                        {9, 4500},
                                        {2, 70000}}) {
      all.push_back({prior, rows, columns});
    }
  }
  return all;
}

struct Problem {
  Problem(const Case& c, int64_t samples)
      : shape(c),
        samples(samples),
        mean(wave(size(), 1.0f)),
        log_var(wave(size(), 1.5f)),
        prior_mean(wave(prior_size(), 0.5f)),
        prior_log_var(wave(prior_size(), 1.2f)),
        dz(wave(samples * size(), 0.7f)),
        dsum(wave(samples * c.rows, 1.1f)),
        eps(libm_normals(seed, samples * size())) {}

  int64_t size() const { return shape.rows * shape.columns; }
  int64_t prior_size() const { return shape.prior == PriorShape::kFull ? size() : shape.columns; }
  int64_t prior_at(int64_t i) const { return shape.prior == PriorShape::kFull ? i : i % shape.columns; }

  CommonParams common() const {
    CommonParams p = common_params(shape.rows, shape.columns, seed, mean, log_var);
    p.prior = shape.prior;
    p.prior_mean = prior_mean.data();
    p.prior_log_var = prior_log_var.data();
    return p;
  }

  Case shape;
  int64_t samples;
  int64_t seed[2] = {4, -9};
  std::vector<float> mean, log_var, prior_mean, prior_log_var, dz, dsum;
  std::vector<double> eps;
};

// Results in float32, with a value beside their ends that is not theirs.
struct Gradients {
  explicit Gradients(const Problem& p)
      : mean(p.size() + 1, 7),
        log_var(p.size() + 1, 7),
        prior_mean(p.prior_size() + 1, 7),
        prior_log_var(p.prior_size() + 1, 7) {}
  bool operator==(const Gradients& other) const {
    return mean == other.mean && log_var == other.log_var && prior_mean == other.prior_mean &&
           prior_log_var == other.prior_log_var;
  }

  std::vector<float> mean, log_var, prior_mean, prior_log_var;
};

Gradients backward(const KernelTable& kernels, const Problem& p, int threads) {
  Gradients g(p);
  run_on(kernels.backward,
         BackwardParams{p.common(), p.dz.data(), p.dsum.data(), g.mean.data(), g.log_var.data(), g.prior_mean.data(),
                        g.prior_log_var.data()},
         threads);
  return g;
}

Gradients log_ratio_grad(const KernelTable& kernels, const Problem& p, int threads) {
  Gradients g(p);
  run_on(kernels.log_ratio_grad,
         LogRatioGradParams{p.common(), p.samples, false, p.dz.data(), p.dsum.data(), g.mean.data(), g.log_var.data(),
                            g.prior_mean.data(), g.prior_log_var.data()},
         threads);
  return g;
}

// In double precision; scale: what was added up to the prior's gradients, without signs.
struct Exact {
  std::vector<double> mean, log_var, prior_mean, prior_log_var, scale;

  explicit Exact(const Problem& p)
      : mean(p.size()),
        log_var(p.size()),
        prior_mean(p.prior_size()),
        prior_log_var(p.prior_size()),
        scale(p.prior_size()) {}

  void add_to_prior(int64_t at, double by_mean, double by_log_var) {
    prior_mean[at] += by_mean;
    prior_log_var[at] += by_log_var;
    scale[at] += std::abs(by_mean) + std::abs(by_log_var);
  }
};

void expect_near(const Gradients& g, const Exact& exact, double tolerance, double of_sum, const Case& c) {
  const auto show = [&](size_t i) {
    return std::to_string(c.rows) + "x" + std::to_string(c.columns) + ", " + std::to_string(i);
  };
  for (size_t i = 0; i < exact.mean.size(); ++i) {
    ASSERT_NEAR(g.mean[i], exact.mean[i], tolerance) << show(i);
    ASSERT_NEAR(g.log_var[i], exact.log_var[i], tolerance) << show(i);
  }
  for (size_t i = 0; i < exact.scale.size(); ++i) {
    ASSERT_NEAR(g.prior_mean[i], exact.prior_mean[i], 1e-6 + of_sum * exact.scale[i]) << show(i);
    ASSERT_NEAR(g.prior_log_var[i], exact.prior_log_var[i], 1e-6 + of_sum * exact.scale[i]) << show(i);
  }
  for (const auto* values : {&g.mean, &g.log_var, &g.prior_mean, &g.prior_log_var}) ASSERT_EQ(values->back(), 7.0f);
}

using LearnedPrior = PerInstructionSet;
TFVAE_FOR_EVERY_ISA(LearnedPrior);

TEST_P(LearnedPrior, ForwardMatchesDoublePrecision) {
  for (const Case& c : cases()) {
    const Problem p(c, 1);
    std::vector<float> z(p.size() + 1, 7), kl(c.rows + 1, 7);
    run_on(GetParam()->forward, ForwardParams{p.common(), z.data(), kl.data()}, 2);
    for (int64_t row = 0; row < c.rows; ++row) {
      double exact = 0;
      for (int64_t i = row * c.columns; i < (row + 1) * c.columns; ++i) {
        const double m = p.mean[i], l = p.log_var[i], at = p.prior_at(i);
        ASSERT_NEAR(z[i], m + std::exp(l / 2) * p.eps[i], 6e-6);
        const double distance = m - p.prior_mean[at], ratio = l - p.prior_log_var[at];
        exact += 0.5 * (distance * distance * std::exp(-double(p.prior_log_var[at])) + std::expm1(ratio) - ratio);
      }
      // Partial sums of terms of up to 10, each rounded to 6e-8.
      ASSERT_NEAR(kl[row], exact, 2e-6 * (exact + 1)) << c.rows << "x" << c.columns;
    }
    ASSERT_EQ(z.back(), 7.0f);
    ASSERT_EQ(kl.back(), 7.0f);
  }
}

TEST_P(LearnedPrior, BackwardMatchesDoublePrecision) {
  for (const Case& c : cases()) {
    const Problem p(c, 1);
    Exact exact(p);
    for (int64_t i = 0; i < p.size(); ++i) {
      const int64_t at = p.prior_at(i);
      const double m = p.mean[i], l = p.log_var[i], dkl = p.dsum[i / c.columns];
      const double distance = m - p.prior_mean[at], pull = distance * std::exp(-double(p.prior_log_var[at]));
      const double excess = std::expm1(l - p.prior_log_var[at]);
      exact.mean[i] = p.dz[i] + dkl * pull;
      exact.log_var[i] = 0.5 * (p.dz[i] * std::exp(l / 2) * p.eps[i] + dkl * excess);
      exact.add_to_prior(at, -dkl * pull, -0.5 * dkl * (excess + distance * pull));
    }
    // Normals differ by up to 1.5e-6; values of up to 20 are rounded to 6e-8 of them. Columns are added up in float32
    // within a unit, of up to 2048 rows, and in double precision beyond it.
    expect_near(backward(*GetParam(), p, 2), exact, 5e-6, 3e-6, c);
  }
}

TEST_P(LearnedPrior, LogRatioGradientsMatchDoublePrecision) {
  for (const Case& c : cases()) {
    const Problem p(c, 2);
    Exact exact(p);
    for (int64_t k = 0; k < p.samples; ++k) {
      for (int64_t i = 0; i < p.size(); ++i) {
        const int64_t at = p.prior_at(i);
        const double sigma = std::exp(p.log_var[i] / 2.0), eps = p.eps[k * p.size() + i];
        const double dr = p.dsum[k * c.rows + i / c.columns];
        const double distance = p.mean[i] + sigma * eps - p.prior_mean[at];
        const double pull = distance * std::exp(-double(p.prior_log_var[at]));
        const double by_z = p.dz[k * p.size() + i] + dr * pull;
        exact.mean[i] += by_z;
        exact.log_var[i] += by_z * sigma * eps / 2 - dr / 2;
        exact.add_to_prior(at, -dr * pull, dr * (1 - distance * pull) / 2);
      }
    }
    // Two samples, whose normals differ by up to 1.5e-6, times factors of up to some twenty.
    expect_near(log_ratio_grad(*GetParam(), p, 2), exact, 1e-4, 1e-5, c);
  }
}

TEST_P(LearnedPrior, GradientsHaveTheSameBitsForAnyNumberOfThreads) {
  for (const Case& c : cases()) {
    if (c.prior != PriorShape::kShared) continue;
    const Problem p(c, 2);
    const Gradients first = backward(*GetParam(), p, 1), second = log_ratio_grad(*GetParam(), p, 1);
    for (int threads : {2, 3}) {
      EXPECT_TRUE(backward(*GetParam(), p, threads) == first) << c.rows << "x" << c.columns;
      EXPECT_TRUE(log_ratio_grad(*GetParam(), p, threads) == second) << c.rows << "x" << c.columns;
    }
  }
}

TEST_P(LearnedPrior, ScratchOfASharedPriorIsSmall) {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{1, 1}, {1 << 20, 64}, {4096, 32768}, {64, 1 << 30}}) {
    CommonParams common{};
    common.dtype = DType::kFloat32;
    common.rows = rows;
    common.columns = columns;
    common.prior = PriorShape::kShared;
    EXPECT_LE(GetParam()->backward.work({common, {}, {}, {}, {}, {}, {}}).scratch_bytes, 1 << 20);
    EXPECT_LE(GetParam()->log_ratio_grad.work({common, 8, {}, {}, {}, {}, {}, {}, {}}).scratch_bytes, 1 << 20);
  }
}

}  // namespace
}  // namespace tfvae
