"""The importance-weighted estimate of log p(x), against models whose evidence is known."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfvae import ops
from tfvae.distributions import DiagonalNormal, Normal, StandardNormal
from tfvae.distributions._tfp import tfd
from tfvae.evidence import importance_weighted

W = np.array([[1.0, 0.5], [0.0, 1.0], [0.3, -0.2]])
NOISE = 0.5
X = np.array([[1.0, -1.0, 0.5], [0.0, 0.0, 0.0], [-2.0, 1.0, 3.0]])
EXACT = stats.multivariate_normal(np.zeros(3), W @ W.T + NOISE * np.eye(3)).logpdf(X)
POSTERIOR_PRECISION = np.eye(2) + W.T @ W / NOISE
POSTERIOR_MEAN = X @ W @ np.linalg.inv(POSTERIOR_PRECISION) / NOISE


def likelihood(z):
    return Normal(3, scale=np.sqrt(NOISE))(tf.linalg.matmul(z, W, transpose_b=True))


def diagonal_posterior(repeats=1):
    log_var = np.broadcast_to(-np.log(np.diag(POSTERIOR_PRECISION)), POSTERIOR_MEAN.shape)
    return DiagonalNormal(2)(np.tile(np.concatenate([POSTERIOR_MEAN, log_var], axis=-1), [repeats, 1]))


def prior():
    return StandardNormal(2)(tf.zeros([0], tf.float64))


def estimate(num_samples, repeats=1, **kwargs):
    x = tf.constant(np.tile(X, [repeats, 1]))
    return importance_weighted(
        diagonal_posterior(repeats), prior(), likelihood, x, num_samples=num_samples, seed=[1, 2], **kwargs
    )


def test_linear_gaussian_model_within_its_standard_error():
    # The oracle's log p(x) = -3.8108114012 for the first row. Three rows at 5 standard errors: false alarm about 2e-6.
    assert abs(EXACT[0] + 3.8108114012) < 1e-9
    result = estimate(4000)
    assert np.all(np.abs(result.estimate - EXACT) < 5 * result.standard_error)
    assert np.all(result.standard_error.numpy() < 0.02)
    assert np.all((result.effective_sample_size.numpy() > 2000) & (result.effective_sample_size.numpy() <= 4000))


def test_standard_error_is_the_spread_of_repeated_estimates():
    # The spread of 500 estimates per row has a relative error of 1/sqrt(1000) = 3 %, so 20 % off in one of three rows
    # is chance less than once in 10^8 and still catches a factor of sqrt(2).
    runs = estimate(100, repeats=500)
    spread = np.std(np.reshape(runs.estimate, [500, 3]), axis=0)
    reported = np.mean(np.reshape(runs.standard_error, [500, 3]), axis=0)
    np.testing.assert_allclose(reported / spread, np.ones(3), atol=0.2)


def test_does_not_depend_on_the_chunk_size():
    # Draws come 64 at a time: fewer, exactly two and a third of such blocks, and chunks that do not divide them.
    for num_samples in (50, 128, 150):
        whole = estimate(num_samples, chunk_size=num_samples)
        for chunk_size in (1, 7, 63, 64, 65):
            for got, want in zip(estimate(num_samples, chunk_size=chunk_size), whole, strict=True):
                np.testing.assert_allclose(got, want, rtol=1e-10)  # float64: another order of summation


def test_is_the_log_mean_of_the_weights_of_known_draws():
    q, p, count = diagonal_posterior(), prior(), 130
    weights = []
    for block in range(3):
        seed = tf.random.experimental.stateless_fold_in([1, 2], block, alg="philox")
        eps = tf.random.stateless_normal([64, 3, 2], seed, dtype=tf.float64, alg="philox")
        for z in q.mean() + q.stddev() * eps[: count - 64 * block]:
            weights.append(likelihood(z).log_prob(X) + p.log_prob(z) - q.log_prob(z))
    assert len(weights) == count
    log_mean = tf.reduce_logsumexp(weights, axis=0) - np.log(count)
    np.testing.assert_allclose(estimate(count).estimate, log_mean, rtol=1e-10)  # float64 rounding


def test_exact_posterior_gives_the_evidence_with_every_draw():
    # A full covariance: no diagonal Gaussian, so drawn by TFP. All weights are p(x), the error is that of rounding.
    scale = np.linalg.cholesky(np.linalg.inv(POSTERIOR_PRECISION))
    q = tfd.MultivariateNormalTriL(POSTERIOR_MEAN, tf.constant(scale))
    result = importance_weighted(q, prior(), likelihood, tf.constant(X), num_samples=70, seed=[1, 2], chunk_size=9)
    np.testing.assert_allclose(result.estimate, EXACT, rtol=1e-12)
    np.testing.assert_allclose(result.effective_sample_size, np.full(3, 70.0), rtol=1e-12)


def test_draws_by_the_fused_op_where_it_applies(monkeypatch):
    calls = []
    op = ops.reparameterize_log_ratio
    monkeypatch.setattr(ops, "reparameterize_log_ratio", lambda *args, **kwargs: calls.append(1) or op(*args, **kwargs))
    estimate(3)
    assert calls


def test_estimate_is_the_log_mean_of_the_weights_each_counted_once():
    # With p(x|z) constant in z and q = p every weight is the same, so the mean is exact whatever the chunks.
    def constant(z):
        return Normal(3)(tf.zeros([tf.shape(z)[0], 3], tf.float64))

    q = DiagonalNormal(2)(np.zeros([3, 4]))
    result = importance_weighted(q, prior(), constant, tf.constant(X), num_samples=10, seed=[1, 2], chunk_size=3)
    np.testing.assert_allclose(result.estimate, stats.norm.logpdf(X).sum(-1), rtol=1e-12)  # float64 rounding
    np.testing.assert_allclose(result.standard_error, np.zeros(3), atol=1e-7)  # square root of float64 rounding
    np.testing.assert_allclose(result.effective_sample_size, np.full(3, 10.0), rtol=1e-12)


def test_single_sample_has_an_infinite_error():
    result = estimate(1)
    assert np.all(np.isinf(result.standard_error))
    np.testing.assert_allclose(result.effective_sample_size, np.ones(3), rtol=1e-12)


def test_bound_grows_with_the_number_of_samples():
    # E[1 sample] < E[5] < E[100] (Burda et al. 2015), means of 3000 estimates. The gaps, 0.03 and 0.01 nats, are more
    # than 5 standard errors wide: false alarm below 1e-6.
    means = [np.mean(estimate(samples, repeats=1000).estimate) for samples in (1, 5, 100)]
    assert means[0] < means[1] < means[2] < np.mean(EXACT) + 0.01


def test_huge_and_vanishing_weights_do_not_overflow():
    def shifted(offset):
        def make(z):
            return Normal(3)(tf.fill([tf.shape(z)[0], 3], tf.constant(offset, tf.float64)))

        return make

    q = DiagonalNormal(2)(np.zeros([3, 4]))
    result = importance_weighted(q, prior(), shifted(1e4), tf.constant(X), num_samples=5, seed=[1, 2], chunk_size=2)
    np.testing.assert_allclose(result.estimate, stats.norm(1e4).logpdf(X).sum(-1), rtol=1e-12)
    result = importance_weighted(q, prior(), shifted(np.inf), tf.constant(X), num_samples=5, seed=[1, 2], chunk_size=2)
    assert np.all(np.isneginf(result.estimate))


def test_nan_comes_out_as_nan():
    data = X.copy()
    data[1] = np.nan
    q = diagonal_posterior()
    result = importance_weighted(q, prior(), likelihood, tf.constant(data), num_samples=5, seed=[1, 2], chunk_size=2)
    np.testing.assert_array_equal(np.isnan(result.estimate), [False, True, False])


def test_weights_are_averaged_in_float64():
    # 2000 equal float32 weights would lose the last digits in a float32 sum; the estimate keeps log_prob's own digits.
    q = DiagonalNormal(1)(np.zeros([1, 2], np.float32))
    x = tf.zeros([1, 1])
    result = importance_weighted(
        q, StandardNormal(1)(), lambda z: Normal(1)(tf.zeros_like(z)), x, num_samples=2000, seed=[1, 2]
    )
    assert result.estimate.dtype == tf.float64
    np.testing.assert_allclose(result.estimate, [-0.5 * np.log(2 * np.pi)], rtol=2e-7)  # one float32 rounding


@pytest.mark.parametrize("bad", [0, -1, 2.5, "10", True])
def test_counts_are_validated(bad):
    with pytest.raises(ValueError, match="num_samples must be a positive integer"):
        estimate(bad)
    with pytest.raises(ValueError, match="chunk_size must be a positive integer"):
        estimate(2, chunk_size=bad)
