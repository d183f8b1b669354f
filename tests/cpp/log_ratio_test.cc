// reparameterize_log_ratio and its gradients against their formulas in double precision.
#include <cmath>

#include "tests/cpp/support.h"

namespace tfvae {
namespace {

struct LogRatioProblem {
  LogRatioProblem(int64_t rows, int64_t columns, int64_t samples)
      : rows(rows),
        columns(columns),
        samples(samples),
        mean(wave(size(), 1.0f)),
        log_var(wave(size(), 1.5f)),
        prior_mean(wave(size(), 0.5f)),
        prior_log_var(wave(size(), 1.2f)),
        dz(wave(samples * size(), 0.7f)),
        dratio(wave(samples * rows, 1.1f)),
        eps(libm_normals(seed, samples * size())) {}

  int64_t size() const { return rows * columns; }

  CommonParams common() const {
    CommonParams p = common_params(rows, columns, seed, mean, log_var);
    p.prior = PriorShape::kFull;
    p.prior_mean = prior_mean.data();
    p.prior_log_var = prior_log_var.data();
    return p;
  }

  int64_t seed[2] = {-3, 8};
  int64_t rows, columns, samples;
  std::vector<float> mean, log_var, prior_mean, prior_log_var, dz, dratio;
  std::vector<double> eps;
};

using LogRatio = PerInstructionSet;
TFVAE_FOR_EVERY_ISA(LogRatio);

TEST_P(LogRatio, ForwardMatchesDoublePrecision) {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{1, 1}, {5, 3}, {3, 17}, {2, 600}, {40, 32}}) {
    const LogRatioProblem p(rows, columns, 3);
    std::vector<float> z(3 * p.size()), ratio(3 * rows);
    run_on(GetParam()->log_ratio, LogRatioParams{p.common(), 3, z.data(), ratio.data()}, 2);
    for (int64_t k = 0; k < 3; ++k) {
      for (int64_t row = 0; row < rows; ++row) {
        double exact = 0, magnitude = 0;
        for (int64_t i = row * columns; i < (row + 1) * columns; ++i) {
          const double eps = p.eps[k * p.size() + i];
          const double zi = p.mean[i] + std::exp(p.log_var[i] / 2.0) * eps;
          ASSERT_NEAR(z[k * p.size() + i], zi, 5e-6 + 2e-7 * std::abs(zi));
          const double pull = (zi - p.prior_mean[i]) * std::exp(-p.prior_log_var[i] / 2.0);
          exact += 0.5 * (pull * pull - eps * eps + p.prior_log_var[i] - p.log_var[i]);
          magnitude += pull * pull + eps * eps + 2;
        }
        // The normals differ by up to 1.5e-6, which each term multiplies by a few.
        ASSERT_NEAR(ratio[k * rows + row], exact, 4e-6 * magnitude) << rows << "x" << columns;
      }
    }
  }
}

TEST_P(LogRatio, GradientsMatchDoublePrecision) {
  for (const bool stop : {false, true}) {
    const LogRatioProblem p(7, 37, 5);
    std::vector<float> dmean(p.size()), dlog_var(p.size()), dprior_mean(p.size()), dprior_log_var(p.size());
    run_on(GetParam()->log_ratio_grad,
           LogRatioGradParams{p.common(), 5, stop, p.dz.data(), p.dratio.data(), dmean.data(), dlog_var.data(),
                              dprior_mean.data(), dprior_log_var.data()},
           2);
    for (int64_t i = 0; i < p.size(); ++i) {
      double exact[4] = {0, 0, 0, 0};
      const double sigma = std::exp(p.log_var[i] / 2.0);
      for (int64_t k = 0; k < 5; ++k) {
        const double eps = p.eps[k * p.size() + i], dr = p.dratio[k * p.rows + i / p.columns];
        const double distance = p.mean[i] + sigma * eps - p.prior_mean[i];
        const double pull = distance * std::exp(-double(p.prior_log_var[i]));
        // Through z; log q keeps its parameters fixed or cancels its own path but for -1/2 by log_var.
        const double by_z = p.dz[k * p.size() + i] + dr * pull - (stop ? dr * eps / sigma : 0);
        exact[0] += by_z;
        exact[1] += by_z * sigma * eps / 2 - (stop ? 0 : dr / 2);
        exact[2] -= dr * pull;
        exact[3] += dr * (1 - distance * pull) / 2;
      }
      // Five samples, whose normals differ by up to 1.5e-6, times factors of up to some ten.
      ASSERT_NEAR(dmean[i], exact[0], 6e-5);
      ASSERT_NEAR(dlog_var[i], exact[1], 6e-5);
      ASSERT_NEAR(dprior_mean[i], exact[2], 6e-5);
      ASSERT_NEAR(dprior_log_var[i], exact[3], 1e-4);
    }
  }
}

}  // namespace
}  // namespace tfvae
