"""The importance-weighted estimate of log p(x), against models whose evidence is known."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import tfvae
from tests.evidence.conftest import BetaBernoulli, GammaPoisson, LinearGaussian
from tfvae import ops
from tfvae.distributions import DiagonalNormal, Normal, StandardNormal
from tfvae.distributions._tfp import tfd
from tfvae.evidence import EvidenceWarning, _draws, _job, decompose, importance_weighted


class Constant:
    """``p(x|z)`` does not depend on ``z``, and ``q = p``."""

    def __init__(self, offset=0.0, dtype=tf.float64):
        self.offset, self.dtype = offset, dtype

    def prior(self):
        return StandardNormal(2)(tf.zeros([0], self.dtype))

    def likelihood(self, z):
        return Normal(3)(tf.fill([tf.shape(z)[0], 3], tf.constant(self.offset, self.dtype)))

    def posterior(self, x):
        return DiagonalNormal(2)(tf.zeros([tf.shape(x)[0], 4], self.dtype))


def test_inside_a_graph_is_refused():
    with pytest.raises(ValueError, match=r"importance_weighted works on the values of x.*inside a tf\.function"):
        tf.function(lambda x: importance_weighted(Constant(), x, num_samples=2, seed=1))(tf.zeros([2, 3]))


def test_linear_gaussian_model_within_its_standard_error(x):
    # The oracle's log p(x) = -3.8108114012 for the first row. Three rows at 5 standard errors: false alarm about 2e-6.
    model = LinearGaussian("diagonal")
    exact = model.marginal.logpdf(x)
    assert abs(exact[0] + 3.8108114012) < 1e-9
    for proposal in ("posterior", "defensive"):
        result = importance_weighted(model, x, num_samples=4500, seed=1, proposal=proposal)
        assert np.all(np.abs(result.estimate - exact) < 5 * result.standard_error)
        assert np.all(result.standard_error.numpy() < 0.02)
        assert np.all((result.effective_sample_size.numpy() > 2000) & (result.effective_sample_size.numpy() <= 4500))
        assert np.all(result.pareto_k.numpy() < 0.7)
        assert {field.dtype for field in result} == {tf.float64}


@pytest.mark.parametrize(
    ("model", "value", "log_p"), [(GammaPoisson(), 4.0, -2.9027943), (BetaBernoulli(), 1.0, -0.9162907)]
)
def test_exact_posterior_of_other_families_gives_the_evidence_with_every_draw(model, value, log_p):
    result = importance_weighted(model, np.array([value]), num_samples=30, seed=1)
    np.testing.assert_allclose(result.estimate, [log_p], atol=1e-7)  # digits of the oracle
    np.testing.assert_allclose(result.effective_sample_size, [30.0], rtol=1e-9)
    assert np.isneginf(result.pareto_k)  # no tail at all


def test_standard_error_has_its_nominal_coverage(x):
    # 960 estimates of K = 400: the number within 1.96 standard errors is binomial, 95 % +- 0.7 %. The delta method
    # and the bias at this K take up to 0.5 %. Three standard deviations and that: chance once in 400, the seed fixed.
    model = LinearGaussian("diagonal")
    exact = model.marginal.logpdf(x[:1])
    for proposal in ("posterior", "defensive"):
        result = importance_weighted(model, np.tile(x[:1], [960, 1]), num_samples=400, seed=1, proposal=proposal)
        coverage = np.mean(np.abs(result.estimate - exact) < 1.96 * result.standard_error)
        assert abs(coverage - 0.95) < 0.026
        # Their spread has a relative error of 1/sqrt(1920) = 2.3 %.
        assert abs(np.std(result.estimate) / np.mean(result.standard_error) - 1) < 0.1


def test_bound_rises_with_the_samples_and_has_the_known_bias():
    # z ~ N(0, 1), x|z ~ N(z, 1), q = N(m, 4) around the posterior N(m, 1/2): Var(w)/p^2 = 4/sqrt(.5 7.5) - 1 = 1.0656,
    # so the bias is 1.0656/(2K) to first order, 0.0266 at K = 20, where the next order is some 10 % of it.
    model = LinearGaussian((0.0, 2.0), w=np.ones([1, 1]), variance=1.0)
    data = np.full([3200, 1], 0.7)
    exact = model.marginal.logpdf([0.7])
    means = [np.mean(importance_weighted(model, data, num_samples=k, seed=1).estimate) for k in (1, 4, 20)]
    # The means of 3200 have errors of 0.03, 0.01 and 0.004; the steps are over 0.1.
    assert means[0] < means[1] < means[2] < exact
    # Four errors and the next order.
    assert abs(exact - means[2] - 1.0656 / 40) < 4 * 0.004 + 0.003


def test_does_not_depend_on_blocks_and_chunks(x, monkeypatch):
    data = np.tile(x, [24, 1])  # two blocks of rows
    for num_samples, others in ((50, [(100, 4096)]), (150, [(4096, 128), (700, 4096)])):  # draws come 128 at a time
        whole = importance_weighted(LinearGaussian("diagonal"), data, num_samples=num_samples, seed=1)
        for decoder_rows, draws in others:
            monkeypatch.setattr(_job, "DECODER_ROWS", decoder_rows)
            monkeypatch.setattr(_draws, "PASS", draws)
            chunked = importance_weighted(LinearGaussian("diagonal"), data[:67], num_samples=num_samples, seed=1)
            for got, want in zip(chunked, whole, strict=True):
                np.testing.assert_allclose(got, want[:67], rtol=1e-9)  # float64: another order of summation
        monkeypatch.undo()


def test_is_the_log_mean_of_the_weights_of_known_draws(x):
    model, count = LinearGaussian("diagonal"), 130
    q, p = model.posterior(x), model.prior()
    words = tf.random.stateless_uniform([1, 2], [1, 0], None, None, tf.int32, alg="philox")
    draws = []
    for block in range(2):
        seed = tf.random.experimental.stateless_fold_in(words[0], block, alg="philox")
        eps = tf.random.stateless_normal([128, 64, 2], seed, dtype=tf.float64, alg="philox")[:, :3]
        draws.append(eps[: count - 128 * block])
    z = q.mean() + q.stddev() * tf.concat(draws, axis=0)
    assert len(z) == count
    weights = model.likelihood(z).log_prob(x) + p.log_prob(z) - q.log_prob(z)
    log_mean = tf.reduce_logsumexp(weights, axis=0) - np.log(count)
    result = importance_weighted(model, x, num_samples=count, seed=1)
    np.testing.assert_allclose(result.estimate, log_mean, rtol=1e-10)  # float64 rounding


def test_exact_posterior_gives_the_evidence_with_every_draw(x):
    # A full covariance: no diagonal Gaussian, so drawn by TFP. All weights are p(x), the error is that of rounding.
    model = LinearGaussian("exact")
    result = importance_weighted(model, x, num_samples=70, seed=1)
    np.testing.assert_allclose(result.estimate, model.marginal.logpdf(x), rtol=1e-12)
    np.testing.assert_allclose(result.effective_sample_size, np.full(3, 70.0), rtol=1e-12)


def test_defensive_proposal_saves_a_posterior_that_is_too_narrow(x):
    # q has a tenth of the posterior's standard deviation: log-weights without bound, and the estimate is far off.
    # Under the mixture a tenth of the draws come from the prior, and no weight exceeds 10 p(x|z).
    model = LinearGaussian((0.0, 0.05))
    exact = model.marginal.logpdf(x)
    with pytest.warns(EvidenceWarning, match=r"for 3 of 3 examples: a few of their 4000 .* proposal=\"defensive\""):
        narrow = importance_weighted(model, x, num_samples=4000, seed=1)
    assert np.all(narrow.pareto_k.numpy() > 0.7)
    assert np.all(exact - narrow.estimate > 0.3)
    safe = importance_weighted(model, x, num_samples=4000, seed=1, proposal="defensive")
    assert np.all(np.abs(safe.estimate - exact) < 5 * safe.standard_error)  # false alarm about 2e-6
    assert np.all(safe.standard_error.numpy() < 0.2)


def test_draws_by_the_fused_op_where_it_applies(monkeypatch, x):
    calls = []
    op = ops.reparameterize_log_ratio
    monkeypatch.setattr(ops, "reparameterize_log_ratio", lambda *args, **kwargs: calls.append(1) or op(*args, **kwargs))
    importance_weighted(LinearGaussian("diagonal"), x, num_samples=3, seed=1)
    assert calls


def test_estimate_is_the_log_mean_of_the_weights_each_counted_once(x):
    # Every weight is the same, so the mean is exact whatever the chunks.
    result = importance_weighted(Constant(), x, num_samples=30, seed=1)
    np.testing.assert_allclose(result.estimate, stats.norm.logpdf(x).sum(-1), rtol=1e-12)  # float64 rounding
    np.testing.assert_allclose(result.standard_error, np.zeros(3), atol=1e-7)  # square root of float64 rounding
    np.testing.assert_allclose(result.effective_sample_size, np.full(3, 30.0), rtol=1e-12)
    assert np.all(np.isneginf(result.pareto_k))


def test_few_samples_say_what_they_do_not_know(x):
    one = importance_weighted(LinearGaussian("diagonal"), x, num_samples=1, seed=1)
    assert np.all(np.isinf(one.standard_error))
    np.testing.assert_allclose(one.effective_sample_size, np.ones(3), rtol=1e-12)
    assert np.all(np.isnan(one.pareto_k))
    assert np.all(np.isnan(importance_weighted(LinearGaussian("diagonal"), x, num_samples=24, seed=1).pareto_k))
    assert np.all(np.isfinite(importance_weighted(LinearGaussian("diagonal"), x, num_samples=25, seed=1).pareto_k))


def test_huge_and_vanishing_weights_do_not_overflow(x):
    result = importance_weighted(Constant(1e4), x, num_samples=5, seed=1)
    np.testing.assert_allclose(result.estimate, stats.norm(1e4).logpdf(x).sum(-1), rtol=1e-12)
    result = importance_weighted(Constant(np.inf), x, num_samples=50, seed=1)
    assert np.all(np.isneginf(result.estimate))
    assert np.all(result.effective_sample_size == 0)
    assert np.all(np.isinf(result.standard_error))


def test_nan_comes_out_as_nan(x):
    data = x.copy()
    data[1] = np.nan
    result = importance_weighted(LinearGaussian("diagonal"), data, num_samples=50, seed=1)
    for field in result:
        np.testing.assert_array_equal(np.isnan(field), [False, True, False])


def test_weights_are_averaged_in_float64(x):
    # 2000 equal float32 weights would lose the last digits in a float32 sum; the estimate keeps log_prob's own digits.
    result = importance_weighted(Constant(dtype=tf.float32), x[1:2], num_samples=2000, seed=1)
    assert result.estimate.dtype == tf.float64
    np.testing.assert_allclose(result.estimate, [-1.5 * np.log(2 * np.pi)], rtol=2e-7)  # one float32 rounding


def test_discrete_latents_are_summed_over():
    # A mixture of N(0, 1) and N(3, 1), 30 % and 70 %: exact by hand; q = p gives two kinds of weights.
    class Mixture:
        def prior(self):
            return tfd.Categorical(probs=np.array([0.3, 0.7]))

        def likelihood(self, z):
            return tfd.Normal(tf.gather(np.array([0.0, 3.0]), z), np.float64(1.0))

        def posterior(self, x):
            return tfd.Categorical(probs=tf.tile(np.array([[0.3, 0.7]]), [tf.shape(x)[0], 1]))

    data = np.array([-1.0, 2.0])
    exact = np.log(0.3 * stats.norm.pdf(data) + 0.7 * stats.norm(3).pdf(data))
    for proposal in ("posterior", "defensive"):
        result = importance_weighted(Mixture(), data, num_samples=2000, seed=1, proposal=proposal)
        assert np.all(np.abs(result.estimate - exact) < 5 * result.standard_error)  # false alarm about 1e-6


def test_mean_over_the_data_set_has_the_error_of_independent_estimates(x):
    result = importance_weighted(LinearGaussian("diagonal"), x, num_samples=100, seed=1)
    mean = result.mean()
    assert mean["estimate"] == pytest.approx(np.mean(result.estimate))
    assert mean["standard_error"] == pytest.approx(np.sqrt(np.sum(np.square(result.standard_error))) / 3)


def test_progress_bar_reaches_its_end(x, capsys):
    importance_weighted(LinearGaussian("diagonal"), np.tile(x, [24, 1]), num_samples=5000, seed=1, verbose=1)
    assert "4/4" in capsys.readouterr().out  # two blocks of rows, two passes each
    importance_weighted(LinearGaussian("diagonal"), x, num_samples=5, seed=1)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("bad", [0, -1, 2.5, "10", True])
def test_counts_are_validated(bad, x):
    with pytest.raises(ValueError, match="num_samples must be a positive integer"):
        importance_weighted(LinearGaussian("diagonal"), x, num_samples=bad)


def test_other_mistakes_are_told(x):
    model = LinearGaussian("diagonal")
    with pytest.raises(ValueError, match='proposal must be "posterior" or "defensive", not \'prior\''):
        importance_weighted(model, x, proposal="prior")
    with pytest.raises(ValueError, match="verbose must be 0, or 1"):
        importance_weighted(model, x, verbose=2)
    with pytest.raises(ValueError, match=r"For one example take x\[None\]"):
        importance_weighted(model, 3.0)
    with pytest.raises(TypeError, match=r"DiagonalNormal has no posterior\(\)"):
        importance_weighted(DiagonalNormal(2), x)


def test_seed_none_takes_new_noise(x):
    model = LinearGaussian("diagonal")
    first, second = (importance_weighted(model, x, num_samples=3).estimate for _ in range(2))
    assert not np.array_equal(first, second)
    assert importance_weighted(model, x[:0], num_samples=3).estimate.shape == [0]
    np.testing.assert_array_equal(_job.as_seed(model, (4, 0)), _job.as_seed(model, 4))
    assert tfvae.evidence.importance_weighted is importance_weighted


def test_fractions_are_not_scored_by_a_distribution_of_integers():
    """The ELBO refuses them too; cut off by one and not by the other, they would have a gap that is none."""

    class OfIntegers(BetaBernoulli):
        def likelihood(self, z):
            return tfd.Bernoulli(probs=z)

    importance_weighted(OfIntegers(), np.array([1.0]), num_samples=5, seed=1)
    for estimate in (importance_weighted, decompose):
        with pytest.raises(tf.errors.InvalidArgumentError, match="Bernoulli of int32 would cut off"):
            estimate(OfIntegers(), np.array([0.9]), num_samples=5, seed=1)
