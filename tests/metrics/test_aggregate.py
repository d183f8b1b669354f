"""The aggregate posterior: hand-worked cases, quadrature, brute force, and the identity."""

import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from tfvae import metrics
from tfvae.metrics import _aggregate

PARTS = ("mutual_information", "total_correlation", "dimension_wise_kl")
LN2 = math.log(2.0)
# Corners of a square and two of them, so far apart that their Gaussians of variance 1 do not meet.
SQUARE = np.array([[20.0, 20.0], [20.0, -20.0], [-20.0, 20.0], [-20.0, -20.0]])
DIAGONAL = SQUARE[[0, 3]]


def of(mean, log_var=None, **how):
    log_var = np.zeros_like(mean) if log_var is None else log_var
    return metrics.aggregate_posterior(mean, log_var, **{"num_samples": 4, "seed": [1, 2], **how})


@pytest.mark.parametrize(
    ("mean", "information", "correlation"),
    [
        (SQUARE, 2 * LN2, 0.0),
        (DIAGONAL, LN2, LN2),
        (SQUARE[[0, 1]], LN2, 0.0),
        (np.ones([7, 3]), 0.0, 0.0),
        (np.ones([1, 2]), 0.0, 0.0),
    ],
    ids=["square", "diagonal", "side", "identical", "one example"],
)
def test_by_hand(mean, information, correlation):
    result = of(mean)
    # Every draw gives the same: float64 rounding, and exp(-800) where corners meet.
    np.testing.assert_allclose(result.mutual_information, information, atol=1e-12)
    np.testing.assert_allclose(result.total_correlation, correlation, atol=1e-12)
    assert result.mutual_information_error < 1e-12
    assert result.ceiling == math.log(len(mean))
    assert result.at_ceiling == math.isclose(information, math.log(len(mean)))


def test_the_prior_itself_costs_nothing():
    assert of(np.zeros([5, 2]))[:4] == (0.0, 0.0, 0.0, 0.0)
    np.testing.assert_allclose(of(np.zeros([3, 1]), np.full([3, 1], 1.0), num_samples=1)[1:3], 0.0, atol=1e-15)


def test_one_dimension_by_quadrature():
    mean, log_var = np.array([-1.0, 0.5, 0.8, 2.0]), np.array([-1.0, -0.5, -3.0, 0.2])
    scale = np.exp(0.5 * log_var)

    def q(z):
        return np.mean(stats.norm.pdf(z, mean, scale))

    entropy = -integrate.quad(lambda z: special.xlogy(q(z), q(z)), -12, 12, limit=200)[0]
    cross = -integrate.quad(lambda z: q(z) * stats.norm.logpdf(z), -12, 12, limit=200)[0]
    information = entropy - np.mean(0.5 * (math.log(2 * math.pi * math.e) + log_var))
    assert 0.2 < information < 0.8 * math.log(4)  # a case between the extremes
    result = of(mean[:, None], log_var[:, None], num_samples=2000)
    # 5 standard errors (of 0.02 at most): false alarm below 10^-6 each, and the seed fixed.
    assert result.mutual_information_error < 0.02 > result.dimension_wise_kl_error
    assert abs(result.mutual_information - information) < 5 * result.mutual_information_error
    assert abs(result.dimension_wise_kl - (cross - entropy)) < 5 * result.dimension_wise_kl_error
    np.testing.assert_allclose(result.total_correlation, 0.0, atol=1e-12)
    assert not result.at_ceiling


@pytest.fixture(scope="module")
def correlated():
    """Posteriors along a line, of several widths."""
    rng = np.random.default_rng(3)
    line = rng.normal(size=[12, 1])
    return np.concatenate([line, line, -line], axis=1) + 0.2 * rng.normal(size=[12, 3]), rng.normal(-2, 0.5, [12, 3])


def test_brute_force_in_three_dimensions(correlated):
    mean, log_var = correlated
    scale = np.exp(0.5 * log_var)
    rng = np.random.default_rng(4)
    terms = []
    for n in range(len(mean)):
        z = rng.normal(mean[n], scale[n], [4000, 3])
        each = stats.norm.logpdf(z[:, None], mean, scale)
        joint = np.log(np.mean(np.exp(each.sum(axis=2)), axis=1))
        product = np.log(np.mean(np.exp(each), axis=1)).sum(axis=1)
        own, prior = each[:, n].sum(axis=1), stats.norm.logpdf(z).sum(axis=1)
        terms.append([own - joint, joint - product, product - prior])
    expected = np.mean(terms, axis=(0, 2))
    error = np.std(terms, axis=(0, 2)) / math.sqrt(12 * 4000)
    result = of(mean, log_var, num_samples=400)
    assert result.total_correlation > 0.5
    for name, value, spread in zip(PARTS, expected, error, strict=True):
        # 5 standard errors of the difference of two independent estimates: false alarm below 10^-6 each.
        both = math.hypot(spread, getattr(result, f"{name}_error"))
        assert both < 0.03
        assert abs(getattr(result, name) - value) < 5 * both


def test_the_identity_holds_in_the_estimates(correlated):
    result = of(*correlated, num_samples=200)
    assert result.rate == sum(getattr(result, name) for name in PARTS)
    kl = metrics.kl_per_dimension(*correlated).sum()
    # Against the KL in closed form: 5 standard errors.
    assert abs(result.rate - kl) < 5 * result.rate_error
    assert result.rate_error < 0.05 * kl


def test_no_draw_of_the_information_is_above_the_ceiling(correlated):
    mean, log_var = correlated
    result = of(mean * 5, log_var - 4, num_samples=3)
    assert result.ceiling - 1e-9 < result.mutual_information <= result.ceiling + 1e-12
    assert result.at_ceiling


def test_blocks_change_nothing(correlated, monkeypatch):
    whole = of(*correlated)
    # One row and component at a time; two components; five, and two in the last block; five rows.
    for held in (1, 7, 3 * 5, 3 * 12 * 5):
        monkeypatch.setattr(_aggregate, "_HELD", held)
        np.testing.assert_allclose(of(*correlated), whole, rtol=1e-12)  # another order of the sums


def test_standard_errors_are_those_of_repeated_runs(correlated):
    runs = [of(*correlated, num_samples=3, seed=[i, 0]) for i in range(100)]
    for name in PARTS:
        spread = np.std([getattr(run, name) for run in runs], ddof=1)
        told = np.sqrt(np.mean([getattr(run, f"{name}_error") ** 2 for run in runs]))
        # A standard deviation of 100 runs has a relative error of 7 %; 4.5 of those are chance once in 10^5.
        assert abs(spread / told - 1.0) < 0.32
    assert of(*correlated, num_samples=1).rate_error == math.inf


def test_far_codes_do_not_overflow():
    result = of(np.array([[-1e4], [1e4]]), np.array([[-50.0], [3.0]]))
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result.mutual_information, LN2, rtol=1e-12)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"mean must have shape \[N, D\]"):
        of(np.zeros([3]))
    with pytest.raises(ValueError, match=r"log_var must have the shape of mean, \[2, 1\], not \[2, 2\]"):
        of(np.zeros([2, 1]), np.zeros([2, 2]))
    with pytest.raises(ValueError, match="log_var must be finite, and 1 of "):
        of(np.zeros([2, 1]), np.array([[0.0], [np.inf]]))
    with pytest.raises(ValueError, match=r"mean must have shape \[N, D\], both at least 1, not \[2, 0\]"):
        of(np.zeros([2, 0]), np.zeros([2, 0]))
    with pytest.raises(ValueError, match="num_samples must be a positive integer"):
        of(np.zeros([2, 1]), num_samples=0)
    with pytest.raises(ValueError, match=r"seed must have shape \[2\]"):
        of(np.zeros([2, 1]), seed=[1])
