"""The running sums and the shape of the tail, on numbers."""

import numpy as np
import pytest
from scipy import special, stats

from tfvae.evidence._moments import RunningMoments
from tfvae.evidence._pareto import pareto_k, tail_size
from tfvae.evidence._thermodynamic import _Path, partition
from tfvae.evidence._weights import RunningWeights


def test_running_sums_are_those_of_all_weights_at_once(rng):
    log_weights = 50 * rng.normal(size=[1000, 4]) - 300
    running = RunningWeights(1000, 4)
    for part in np.split(log_weights, [1, 130, 700]):
        running.add(part)
    np.testing.assert_allclose(running.log_mean(), special.logsumexp(log_weights, axis=0) - np.log(1000), rtol=1e-12)
    shares = special.softmax(log_weights, axis=0)
    np.testing.assert_allclose(running.effective_sample_size(), 1 / np.sum(shares**2, axis=0), rtol=1e-9)
    error = np.std(shares, axis=0, ddof=1) / np.mean(shares, axis=0) / np.sqrt(1000)
    np.testing.assert_allclose(running.standard_error(), error, rtol=1e-9)
    kept = tail_size(1000) + 1
    np.testing.assert_array_equal(np.sort(running._largest, axis=0), np.sort(log_weights, axis=0)[-kept:])


@pytest.mark.parametrize(("draws", "size"), [(10, 2), (25, 5), (100, 20), (1000, 94), (100_000, 948)])
def test_tail_is_a_fifth_or_three_roots(draws, size):
    assert tail_size(draws) == size


@pytest.mark.parametrize("k", [-0.3, 0.2, 0.7, 1.2])
def test_shape_of_a_pareto_tail_is_found(k):
    # Excesses of a generalised Pareto distribution, shape k. With 2000 of them the estimate has a standard deviation of
    # (1 + k)/sqrt(2000), at most 0.05, and the prior of 10 observations at 0.5 pulls by at most 0.005: four of those.
    excess = stats.genpareto(k).rvs([2000, 3], random_state=1)
    log_weights = np.log1p(np.concatenate([np.zeros([1, 3]), excess])) + np.array([0.0, -700.0, 400.0])
    np.testing.assert_allclose(pareto_k(log_weights), np.full(3, k), atol=4 * (1 + k) / np.sqrt(2000) + 0.005)


def test_of_few_weights_the_shape_is_drawn_towards_one_half():
    # Ten observations of 0.5 beside 20 of the tail: 10 of 30 parts of 0.5, and 20 of an estimate near -0.3. Of 400 the
    # mean has a standard error of 0.01; that of so small a tail is off by less than 0.15. Without the prior: -0.3.
    excess = stats.genpareto(-0.3).rvs([20, 400], random_state=2)
    k = pareto_k(np.log(np.concatenate([np.full([1, 400], 1e-3), 1e-3 + excess])))
    assert abs(np.mean(k) - (20 * -0.3 + 10 * 0.5) / 30) < 0.1 + 0.03


def test_shape_of_few_equal_or_missing_weights():
    assert np.isnan(pareto_k(np.arange(5.0)[:, np.newaxis]))
    assert np.isfinite(pareto_k(np.arange(6.0)[:, np.newaxis]))
    columns = np.stack([np.zeros(20), np.full(20, -np.inf), np.arange(20.0) * np.nan, 400.0 * np.arange(20)], axis=1)
    equal, none, missing, one = pareto_k(columns)
    assert equal == none == -np.inf
    assert np.isnan(missing)
    assert one == np.inf  # all but one vanish beside it: the heaviest of tails


@pytest.mark.parametrize("spread", [30, 100, 300, 1000, 3000])
def test_weights_of_any_spread_have_a_heavy_tail(rng, spread):
    log_weights = spread * rng.normal(size=[95, 100])
    with np.errstate(all="raise", under="ignore"):
        assert np.all(pareto_k(log_weights) > 0.7)


def test_moments_are_those_of_all_draws_at_once(rng):
    values, log_weights = rng.normal(size=[500, 2, 3]) - 1000, 3 * rng.normal(size=[500, 2]) - 700
    moments = RunningMoments(3, 2)
    for some in (slice(0, 1), slice(1, 200), slice(200, 500)):
        moments.add(values[some], log_weights[some])
    np.testing.assert_allclose(moments.means(), values.mean(0).T, rtol=1e-13)
    np.testing.assert_allclose(moments.log_mean_weight(), special.logsumexp(log_weights, axis=0) - np.log(500))
    for example in range(2):
        weights = np.exp(log_weights[:, example] + 700)
        rows = np.column_stack([values[:, example], weights / weights.mean()])
        # Products of deviations from the first draw, in float64.
        np.testing.assert_allclose(moments.covariances()[:, :, example], np.cov(rows.T), rtol=1e-9, atol=1e-11)


def test_means_of_draws_of_which_one_is_infinite(rng):
    values = rng.normal(size=[5, 1, 1])
    for infinite in (0, 3):
        moments = RunningMoments(1, 1)
        moments.add(np.where(np.arange(5)[:, np.newaxis, np.newaxis] == infinite, -np.inf, values), np.zeros([5, 1]))
        assert moments.means() == -np.inf


def test_partitions_are_spaced_on_a_logarithmic_scale():
    np.testing.assert_allclose(partition(4), [0.0, 0.001, 0.01, 0.1, 1.0])
    np.testing.assert_array_equal(partition(1), [0.0, 1.0])


def riemann_sums(log_weights, betas):
    """Return the left and the right one of the means of ``log w`` by weights ``w^b``, which may not be 0."""
    means = [np.sum(special.softmax(b * log_weights, axis=0) * log_weights, axis=0) for b in betas]
    return np.array([np.diff(betas) @ means[:-1], np.diff(betas) @ means[1:]])


@pytest.mark.parametrize("spread", [5, 100])
@pytest.mark.parametrize("cuts", [[], [1, 14, 60]], ids=["whole", "parts"])
def test_bounds_and_jackknife_errors_are_those_of_all_draws_at_once(rng, cuts, spread):
    log_weights, betas = spread * rng.normal(size=[97, 3]) - 300, partition(4)
    path = _Path(betas, 20, 3)
    for part in np.split(log_weights, cuts):
        path.add(part)
    left_out = [riemann_sums(np.delete(log_weights, np.s_[group::20], axis=0), betas) for group in range(20)]
    errors = np.sqrt(19 / 20 * np.sum((left_out - np.mean(left_out, axis=0)) ** 2, axis=0))
    # Sums in another order, and errors of differences: float64.
    np.testing.assert_allclose(path.bounds(), [*riemann_sums(log_weights, betas), *errors], rtol=1e-9)


def test_draws_without_weight_leave_no_lower_bound(rng):
    log_weights, betas = rng.normal(size=[60, 4]), partition(4)
    log_weights[5:25, 0] = log_weights[:, 1] = -np.inf  # Every group keeps some weight, in the first column.
    log_weights[np.arange(60) % 20 != 3, 2] = -np.inf
    log_weights[7, 3] = np.nan
    path = _Path(betas, 20, 4)
    for part in np.split(log_weights, [9, 30]):
        path.add(part)
    lower, upper, lower_error, upper_error = path.bounds()
    np.testing.assert_array_equal(lower, [-np.inf, -np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(lower_error, [np.inf, np.inf, np.inf, np.nan])
    kept = np.flatnonzero(np.isfinite(log_weights[:, 0]))
    rest = log_weights[kept, :1]
    left_out = [riemann_sums(rest[kept % 20 != group], betas)[1, 0] for group in range(20)]
    # Sums in another order, and an error of differences: float64.
    in_one_group = riemann_sums(log_weights[3::20, 2:3], betas)[1, 0]
    np.testing.assert_allclose(upper, [riemann_sums(rest, betas)[1, 0], -np.inf, in_one_group, np.nan], rtol=1e-12)
    np.testing.assert_allclose(upper_error, [np.sqrt(19 * np.var(left_out)), np.inf, np.inf, np.nan], rtol=1e-9)
