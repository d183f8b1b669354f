"""Gamma-Poisson and Beta-Bernoulli against the oracles and SciPy."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from tfvae.exact import BetaBernoulli, GammaPoisson


def test_oracles():
    np.testing.assert_allclose(GammaPoisson(3.0, 2.0).log_evidence([4]), [-2.9027943], atol=1e-7)  # their digits
    np.testing.assert_allclose(BetaBernoulli(2.0, 3.0).log_evidence([1]), [-0.9162907], atol=1e-7)


def test_gamma_poisson_by_quadrature_and_scipy():
    model, x = GammaPoisson(3.0, 2.0), 4

    def joint(z):
        return stats.gamma.pdf(z, 3.0, scale=1 / 2.0) * stats.poisson.pmf(x, z)

    total = integrate.quad(joint, 0, 30)[0]
    mean = integrate.quad(lambda z: z * joint(z), 0, 30)[0] / total
    # quad's own tolerance is 1.5e-8.
    np.testing.assert_allclose(model.log_evidence([x]), [math.log(total)], atol=1e-7)
    np.testing.assert_allclose(model.encode([x]), [mean], atol=1e-7)
    counts = np.arange(200)
    theirs = stats.nbinom.logpmf(counts, 3.0, 2.0 / 3.0)
    # SciPy's log pmf is exact to 1e-12 of terms of up to 1000.
    np.testing.assert_allclose(model.log_evidence(counts), theirs, rtol=1e-10)


def test_vectors_are_independent_elements():
    model = GammaPoisson([3.0, 0.5], [2.0, 1.0])
    parts = [GammaPoisson(3.0, 2.0), GammaPoisson(0.5, 1.0)]
    x = np.array([[4.0, 1.0], [0.0, 2.0]])
    expected = sum(part.log_evidence(column).numpy() for part, column in zip(parts, x.T, strict=True))
    np.testing.assert_allclose(model.log_evidence(x), expected, rtol=1e-14)
    assert model.posterior(x).event_shape == [2]


def test_beta_bernoulli_by_quadrature():
    model = BetaBernoulli(2.0, 3.0)
    for x in (0, 1):
        total = integrate.quad(lambda z, x=x: stats.beta.pdf(z, 2.0, 3.0) * stats.bernoulli.pmf(x, z), 0, 1)[0]
        np.testing.assert_allclose(model.log_evidence([x]), [math.log(total)], atol=1e-7)  # quad's tolerance: 1.5e-8
    np.testing.assert_allclose(np.exp(model.log_evidence([0, 1])).sum(), 1.0, rtol=1e-14)


@pytest.mark.parametrize("kind", [GammaPoisson, BetaBernoulli])
def test_bad_parameters_are_refused_req_35(kind):
    for bad in (0.0, -1.0, math.inf, math.nan, "a"):
        with pytest.raises(ValueError, match=r"must be (positive|finite|numbers)"):
            kind(2.0, bad)
    with pytest.raises(ValueError, match=r"numbers or of one shape \[D\], not .* \[2\] and .* \[3\]"):
        kind(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match=r"numbers or of one shape \[D\]"):
        kind(np.ones([2, 2]), 1.0)


def test_values_outside_the_support_are_refused():
    with pytest.raises(
        ValueError, match=r"integers of at least 0; 1 of 2 values are not, the first being -1.0 at index"
    ):
        GammaPoisson(3.0, 2.0).log_evidence([1, -1])
    with pytest.raises(ValueError, match=r"integers of at least 0; 1 of 2 values are not, the first being 0.5"):
        GammaPoisson(3.0, 2.0).posterior([1, 0.5])
    with pytest.raises(ValueError, match=r"integers of at least 0; 1 of 2 values are not, the first being inf"):
        GammaPoisson(3.0, 2.0).log_evidence([1, math.inf])
    with pytest.raises(ValueError, match=r"0 or 1; 1 of 2 values are not, the first being 0.5 at index \[1\]"):
        BetaBernoulli(3.0, 2.0).posterior([1, 0.5])
