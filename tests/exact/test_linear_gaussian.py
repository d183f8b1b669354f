"""Probabilistic PCA and factor analysis: the oracles' numbers, other libraries, and the models as VAEs."""

import math

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn import decomposition

from tfvae.exact import FactorAnalysis, ProbabilisticPCA


@pytest.mark.parametrize(("size", "variance", "optimum"), [(2, 13.853948, -177.439971), (10, 5.824351, -159.993731)])
def test_probabilistic_pca_of_the_digits(digits, size, variance, optimum):
    model = ProbabilisticPCA.fit(digits, size)
    # The digits of the oracle.
    assert math.isclose(model.scale**2, variance, abs_tol=1e-6)
    log_evidence = model.log_evidence(digits).numpy()
    assert math.isclose(log_evidence.mean(), optimum, abs_tol=1e-6)
    # Solved in its principal axes, so the best diagonal q is exact, to the rounding of float64.
    gap = log_evidence - model.elbo(digits, model.diagonal_posterior(digits)).numpy()
    assert np.max(np.abs(gap)) < 1e-10
    # Of both signs of an axis one is chosen.
    np.testing.assert_array_equal(model.loadings.max(axis=0), np.abs(model.loadings).max(axis=0))


def test_scikit_learn_has_the_same_model_of_another_covariance(digits):
    pca = decomposition.PCA(10, svd_solver="full").fit(digits)
    loadings = pca.components_.T * np.sqrt(pca.explained_variance_ - pca.noise_variance_)
    theirs = ProbabilisticPCA(loadings, math.sqrt(pca.noise_variance_), pca.mean_)
    np.testing.assert_allclose(theirs.log_evidence(digits), pca.score_samples(digits), rtol=1e-10)  # float64
    assert math.isclose(np.mean(theirs.log_evidence(digits)), -159.993736, abs_tol=1e-6)  # the oracle's digits


def test_the_decomposition_by_hand(by_hand):
    model, x = by_hand
    np.testing.assert_allclose(model.log_evidence(x), [-3.8108114012], atol=1e-10)  # the oracle's digits, throughout
    np.testing.assert_allclose(model.encode(x), [[0.87558907, -0.55042413]], atol=1e-8)
    np.testing.assert_allclose(model.elbo(x, model.posterior(x)), [-3.8108114012], atol=1e-10)
    np.testing.assert_allclose(model.elbo(x, model.diagonal_posterior(x)), [-3.8460349235], atol=1e-10)
    precision = np.eye(2) + model.loadings.T @ model.loadings / 0.5
    gap = 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])
    assert math.isclose(gap, 0.0352235223, abs_tol=1e-10)
    np.testing.assert_allclose(np.linalg.inv(model.posterior(x).covariance()[0]), precision, rtol=1e-12)


def test_a_rotation_leaves_the_evidence_and_opens_the_gap(digits):
    model = ProbabilisticPCA.fit(digits, 2)
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    rotated = ProbabilisticPCA(model.loadings @ turn, model.scale, model.mean)
    np.testing.assert_allclose(rotated.log_evidence(digits), model.log_evidence(digits), rtol=1e-12)
    gap = rotated.log_evidence(digits) - rotated.elbo(digits, rotated.diagonal_posterior(digits))
    precision = np.eye(2) + rotated.loadings.T @ rotated.loadings / model.scale**2
    expected = 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])
    assert expected > 5e-4
    np.testing.assert_allclose(gap, expected, atol=1e-9)  # float64 rounding of numbers of size 200
    np.testing.assert_allclose(rotated.encode(digits), model.encode(digits) @ turn, atol=1e-12)


def test_marginal_and_posterior_by_scipy():
    loadings, scales, mean = np.array([[1.0], [-2.0], [0.5]]), np.array([0.5, 1.5, 0.1]), np.array([0.0, 3.0, 1.0])
    model = FactorAnalysis(loadings, scales, mean)
    x = np.array([0.3, -1.0, 0.8])

    def joint(z):
        return stats.norm.pdf(z) * np.prod(stats.norm.pdf(x, loadings[:, 0] * z + mean, scales))

    # The integrand is within 12 posterior standard deviations (0.2) of zero; quad finds 1e-10 or better.
    total = integrate.quad(joint, -5, 5, points=[-1, 0, 1, 2], epsabs=0, epsrel=1e-10)[0]
    first = integrate.quad(lambda z: z * joint(z), -5, 5, points=[-1, 0, 1, 2], epsabs=0, epsrel=1e-10)[0] / total
    np.testing.assert_allclose(model.log_evidence(x[None]), [math.log(total)], rtol=1e-8)
    np.testing.assert_allclose(model.encode(x[None]), [[first]], rtol=1e-8)
    dense = stats.multivariate_normal(mean, loadings @ loadings.T + np.diag(scales**2))
    np.testing.assert_allclose(model.log_evidence([x, -x]), dense.logpdf([x, -x]), rtol=1e-12)


@pytest.fixture(scope="module")
def factors():
    """Draws of a model of two factors, and the model fitted to them."""
    rng = np.random.default_rng(0)
    truth = FactorAnalysis(rng.normal(size=[8, 2]), rng.uniform(0.5, 2.0, 8), rng.normal(size=8))
    x = truth.sample(400, seed=1).numpy()
    return x, FactorAnalysis.fit(x, 2, max_iterations=5000, tolerance=1e-9)


def test_factor_analysis_is_as_likely_as_scikit_learn_s(factors):
    x, model = factors
    theirs = decomposition.FactorAnalysis(2, tol=1e-5, max_iter=5000, svd_method="lapack").fit(x)
    # Both stop by a tolerance of their own, scikit-learn's of the sum over examples; 1e-5 is what may be left to gain.
    assert math.isclose(np.mean(model.log_evidence(x)), theirs.score(x), abs_tol=1e-5)
    # The least noise is where the optimum is flattest.
    np.testing.assert_allclose(model.scales**2, theirs.noise_variance_, rtol=0.05)
    # Fitted in the axes where the posterior is diagonal.
    np.testing.assert_allclose(model.elbo(x, model.diagonal_posterior(x)), model.log_evidence(x), atol=1e-10)


def test_factor_analysis_does_not_depend_on_the_units(factors):
    x, model = factors
    units = np.array([1, 10, 1, 1, 1e4, 1, 1e-3, 1])
    other = FactorAnalysis.fit(x * units + 5, 2, max_iterations=5000, tolerance=1e-9)
    # EM is done in units of each feature's standard deviation; rounding grows over its steps.
    np.testing.assert_allclose(other.scales / units, model.scales, rtol=1e-6)
    np.testing.assert_allclose(
        other.log_evidence(x * units + 5) + np.log(units).sum(), model.log_evidence(x), atol=1e-6
    )


def test_expectation_maximisation_never_falls(factors):
    x, best = factors
    # It starts from the principal axes of the features in units of their standard deviations.
    axes = ProbabilisticPCA.fit((x - x.mean(axis=0)) / x.std(axis=0), 2).loadings
    noise = np.sqrt(1 - np.sum(axes**2, axis=1))
    start = FactorAnalysis(axes * x.std(axis=0)[:, None], noise * x.std(axis=0), x.mean(axis=0))
    values = [np.mean(start.log_evidence(x))]
    for iterations in (1, 2, 3, 10, 30):
        with pytest.warns(UserWarning, match=f"stopped after {iterations} iterations; the last raised") as told:
            fitted = FactorAnalysis.fit(x, 2, max_iterations=iterations, tolerance=0.0)
        values.append(np.mean(fitted.log_evidence(x)))
        if iterations <= 3:
            assert f"raised log p(x) by {values[-1] - values[-2]:.2g} nats" in str(told[0].message)
    assert np.all(np.diff(values) > 0)
    assert values[-1] <= np.mean(best.log_evidence(x))


@pytest.mark.usefixtures("float64_networks")
@pytest.mark.parametrize("kind", [ProbabilisticPCA, FactorAnalysis])
def test_the_fitted_model_as_a_vae_has_no_gap(factors, kind):
    x, _ = factors
    model = kind.fit(x, 2)
    vae, x = model.as_vae(seed=1), x[:20]
    # log p(x, z) - log q(z|x) = log p(x) for every z, so two draws suffice; rounding of float64 besides.
    result = vae.log_likelihood(x, num_samples=2, seed=1)
    np.testing.assert_allclose(result.estimate, model.log_evidence(x), atol=1e-9)
    assert np.max(result.standard_error) < 1e-6
    np.testing.assert_allclose(vae.encode(x), model.encode(x), atol=1e-10)


@pytest.mark.usefixtures("float64_networks")
def test_a_rotated_model_as_a_vae_has_the_best_diagonal_q(by_hand):
    model, x = by_hand
    vae = model.as_vae()
    best, got = model.diagonal_posterior(x), vae.posterior(x)
    np.testing.assert_allclose(got.mean(), best.mean(), rtol=1e-12)
    np.testing.assert_allclose(got.stddev(), best.stddev(), rtol=1e-12)
    np.testing.assert_allclose(model.elbo(x, got), [-3.8460349235], atol=1e-10)
    z = np.array([[0.5, -2.0]])
    np.testing.assert_allclose(vae.likelihood(z).log_prob(x), model.likelihood(z).log_prob(x), rtol=1e-12)


def test_the_model_as_a_vae_is_of_float32_by_default_and_can_be_trained(by_hand):
    model, _ = by_hand
    vae = model.as_vae(seed=0)
    vae.compile("sgd")
    x = model.sample(4, seed=1)
    assert vae.posterior(np.float32(x)).dtype == "float32"
    assert math.isfinite(vae.evaluate(np.float32(x), verbose=0, return_dict=True)["elbo"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], 1.0), r"loadings must have shape \[D, K\], not \[2\]"),
        ((np.zeros([0, 2]), 1.0), r"loadings must have shape \[D, K\], not \[0, 2\]"),
        ((np.ones([2, 1]), -1.0), r"scale must be positive, not -1\.0"),
        ((np.ones([2, 1]), [1.0, 1.0]), r"scale must have shape \[\], not \[2\]"),
        ((np.ones([2, 1]), math.nan), r"scale must be finite; 1 of 1 values are not"),
        ((np.ones([2, 1]), "a"), "scale must be numbers, not 'a'"),
        ((np.ones([2, 1]), 1.0, [1.0]), r"mean must have one value for each of the 2 rows of loadings.*not \[1\]"),
    ],
)
def test_bad_parameters_are_refused_req_35(arguments, message):
    with pytest.raises(ValueError, match=message):
        ProbabilisticPCA(*arguments)


def test_bad_noise_of_factor_analysis_is_refused_req_35():
    with pytest.raises(ValueError, match=r"scales must have one value for each of the 3 rows.*\[3\], not \[2\]"):
        FactorAnalysis(np.ones([3, 1]), [1.0, 1.0])
    with pytest.raises(ValueError, match=r"scales must be positive, not 0\.0"):
        FactorAnalysis(np.ones([2, 1]), [1.0, 0.0])


@pytest.mark.parametrize("kind", [ProbabilisticPCA, FactorAnalysis])
def test_data_that_determine_no_model_are_refused(kind):
    x = np.random.default_rng(0).normal(size=[5, 3])
    for size in (3, 0, 1.5):
        with pytest.raises(
            ValueError, match=r"latent_size must be (smaller than the number of features, 3|a positive)"
        ):
            kind.fit(x, size)
    with pytest.raises(ValueError, match="at least two examples"):
        kind.fit(x[:1], 1)
    with pytest.raises(ValueError, match=r"x must have shape \[N, D\], not \[5\]"):
        kind.fit(x[:, 0], 1)
    with pytest.raises(ValueError, match="without bound"):
        kind.fit(np.repeat(x[:1], 5, axis=0), 1)


def test_data_of_fewer_dimensions_leave_no_noise():
    x = np.random.default_rng(0).normal(size=[20, 2]) @ np.ones([2, 4])
    with pytest.raises(ValueError, match="no variance beyond 1 dimensions"):
        ProbabilisticPCA.fit(x, 1)
    with pytest.raises(ValueError, match=r"Feature 1 of x is constant.*1 such features"):
        FactorAnalysis.fit(x * [1, 0, 1, 1], 1)
    x[:, 2] = 0.1  # Of which the mean is no number of float64, so that no deviation from it is 0.
    with pytest.raises(ValueError, match=r"Feature 2 of x is constant.*1 such features"):
        FactorAnalysis.fit(x, 1)


def test_a_millionth_of_the_variance_is_left_to_the_noise_of_factor_analysis():
    """Two factors explain every feature wholly, so that without it the likelihood has no bound."""
    x = np.random.default_rng(0).normal(size=[30, 2]) @ np.array([[1.0, 2.0, -1.0], [0.5, -1.0, 3.0]])
    model = FactorAnalysis.fit(x, 2)
    # The rounding of float64: the square of a root.
    np.testing.assert_allclose(model.scales**2, 1e-6 * x.var(axis=0), rtol=1e-12)


@pytest.mark.parametrize("tolerance", [math.nan, math.inf, "a", [1e-8], None])
def test_a_tolerance_that_is_no_finite_number_is_refused(tolerance):
    x = np.random.default_rng(0).normal(size=[5, 3])
    with pytest.raises(ValueError, match=r"tolerance must (be finite|be numbers|have shape \[\], not \[1\])"):
        FactorAnalysis.fit(x, 1, tolerance=tolerance)
