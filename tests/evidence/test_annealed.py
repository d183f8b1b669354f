"""Annealed importance sampling and bidirectional Monte Carlo, against known evidence."""

import numpy as np
import pytest

from tests.evidence.conftest import LinearGaussian, LogGamma
from tfvae import exact
from tfvae.distributions._tfp import tfd
from tfvae.evidence import _annealed, _annealing, annealed_importance_sampling, bidirectional_monte_carlo
from tfvae.evidence._annealing import Schedule, StepSizes


class MixturePrior:
    """z ~ (N(-2, 1) + N(2, 1)) / 2 and x ~ N(z, 1), so p(x) = (N(x; -2, 2) + N(x; 2, 2)) / 2, variances last."""

    def posterior(self, x):
        return tfd.MultivariateNormalDiag(x / 2, np.ones([1]))  # No part of what is tested.

    def prior(self):
        components = tfd.MultivariateNormalDiag(np.array([[-2.0], [2.0]]), np.ones([2, 1]))
        return tfd.MixtureSameFamily(tfd.Categorical(probs=np.full(2, 0.5)), components)

    def likelihood(self, z):
        return tfd.MultivariateNormalDiag(z, np.ones([1]))


class MixtureOfEachDimension(MixturePrior):
    """The same prior, as a mixture for every dimension."""

    def prior(self):
        components = tfd.Normal(np.array([[-2.0, 2.0]]), np.ones([1, 2]))
        mixture = tfd.MixtureSameFamily(tfd.Categorical(probs=np.full([1, 2], 0.5)), components)
        return tfd.Independent(mixture, 1)


@pytest.mark.parametrize(
    ("model", "value", "log_p"),
    [
        (exact.GammaPoisson(3.0, 2.0), 4.0, -2.9027943),  # the oracle's digits, here and next
        (exact.BetaBernoulli(2.0, 3.0), 1.0, -0.9162907),
        (MixturePrior(), [0.0], -2.2655121),  # -1 - log(4 pi) / 2
        (MixtureOfEachDimension(), [0.0], -2.2655121),
        (LogGamma(), 0.0, -8.3348716),  # TFP's own test of its annealing; lgamma(5) - 5 log 10
    ],
)
def test_known_evidence_on_bounded_and_unbounded_latents(model, value, log_p):
    # 32 times 32 chains, the weights of all in one mean. 5 standard errors, of Student's t with 31 degrees of freedom:
    # false alarm 2e-5 each. They are small enough to see a Jacobian left out (0.1 and more).
    result = annealed_importance_sampling(model, np.stack([value] * 32), num_steps=20, num_chains=32, seed=1)
    weights = np.exp(result.estimate)
    error = np.std(weights, ddof=1) / np.sqrt(32) / np.mean(weights)
    assert abs(np.log(np.mean(weights)) - log_p) < 5 * error
    assert error < 0.03
    assert np.all((result.acceptance_rate.numpy() > 0.5) & (result.acceptance_rate.numpy() < 1.0))


@pytest.fixture(scope="module")
def repeated():
    """160 runs of the hand-worked example."""
    data = np.tile([[1.0, -1.0, 0.5]], [160, 1])
    return annealed_importance_sampling(LinearGaussian(), data, num_steps=12, num_chains=32, seed=1)


def test_linear_gaussian_model_with_calibrated_errors(repeated):
    # -3.8108114012 of the oracle. The share of 160 within 1.96 has a standard deviation of 1.7 %; the delta method from
    # 32 chains takes a few per cent. Three standard deviations and that: chance once in 10^3, the seed fixed.
    off = repeated.estimate.numpy() + 3.8108114012
    coverage = np.mean(np.abs(off) < 1.96 * repeated.standard_error)
    assert 0.86 < coverage < 1
    # The spread of 160 has a relative error of 5.6 %.
    assert abs(np.std(off) / np.mean(repeated.standard_error) - 1) < 0.25
    assert abs(np.mean(off)) < 5 * np.std(off) / np.sqrt(160) + np.var(off) / 2  # the second is the known bias


def test_an_example_s_chains_are_its_place_s_alone(repeated):
    first = annealed_importance_sampling(
        LinearGaussian(), np.array([[1.0, -1.0, 0.5]] * 2), num_steps=12, num_chains=32, seed=1
    )
    for got, want in zip(first, repeated, strict=True):
        np.testing.assert_allclose(got, want[:2], rtol=1e-8)  # float64 along 12 transitions


def test_more_chains_than_go_together_are_all_counted(x, capsys, monkeypatch):
    model, groups, add = LinearGaussian(), [], _annealed.RunningWeights.add
    monkeypatch.setattr(_annealed.RunningWeights, "add", lambda self, group: groups.append(group) or add(self, group))
    result = annealed_importance_sampling(model, x, num_steps=5, num_chains=70, seed=1, verbose=1)
    assert "21/21" in capsys.readouterr().out  # 6 temperatures before, then 3 groups of 5 steps
    assert len(np.unique(np.concatenate(groups))) == 70 * 3  # no chain is the same as one of another group
    assert np.all((result.effective_sample_size.numpy() > 10) & (result.effective_sample_size.numpy() <= 70))
    assert np.all(np.abs(result.estimate - model.marginal.logpdf(x)) < 5 * result.standard_error)  # 2e-6
    one = annealed_importance_sampling(model, x, num_steps=1, num_chains=1, seed=1, schedule="geometric")
    assert np.all(np.isinf(one.standard_error))
    assert np.all(np.isnan(one.acceptance_rate))


def test_all_proposals_are_accepted_by_steps_that_are_kept_very_small(x, monkeypatch):
    monkeypatch.setattr(_annealing, "_LARGEST_STEP", 1e-6)
    # The energy is kept to within 1e-9, which is the chance of a refusal.
    result = annealed_importance_sampling(LinearGaussian(), x, num_steps=5, num_chains=8, seed=1)
    np.testing.assert_array_equal(result.acceptance_rate, np.ones(3))


def test_schedules():
    for name in ("geometric", "sigmoidal"):
        betas = Schedule(name, 10).betas
        assert len(betas) == 11
        assert (betas[0], betas[-1]) == (0.0, 1.0)
        assert np.all(np.diff(betas) > 0)
        np.testing.assert_allclose(betas, 1 - betas[::-1], atol=1e-12)
    np.testing.assert_allclose(Schedule("geometric", 10).betas, np.linspace(0, 1, 11))
    # By hand: (s(-2) - s(-4)) / (s(4) - s(-4)) at a quarter.
    assert Schedule("sigmoidal", 4).betas[1] == pytest.approx((0.119202922 - 0.017986210) / 0.964027580)


def test_bidirectional_monte_carlo_brackets_probabilistic_pca():
    # 64 examples: means over them of lower and upper bound less the exact value. Their errors are below 0.06; the
    # width at 6 steps is over twice that at 30.
    model = LinearGaussian(w=np.random.default_rng(0).normal(size=[10, 3]), variance=0.5)
    widths = []
    for steps in (6, 30):
        bracket = bidirectional_monte_carlo(model, num_examples=64, num_steps=steps, num_chains=8, seed=1)
        exact = model.marginal.logpdf(bracket.x)
        below, above = np.mean(exact - bracket.lower), np.mean(bracket.upper - exact)
        assert bracket.x.shape == [64, 10]
        assert below > -0.12  # two of its errors: the bounds hold in expectation
        assert above > -0.12
        assert np.all(bracket.lower_standard_error > 0)
        widths.append(below + above)
    assert widths[0] > 2 * widths[1] > 0


def test_mistakes_are_told(x):
    with pytest.raises(ValueError, match='schedule must be "sigmoidal" or "geometric", not \'linear\''):
        annealed_importance_sampling(LinearGaussian(), x, schedule="linear")
    with pytest.raises(ValueError, match="num_steps must be a positive integer"):
        annealed_importance_sampling(LinearGaussian(), x, num_steps=0)
    with pytest.raises(ValueError, match="num_chains must be a positive integer"):
        bidirectional_monte_carlo(LinearGaussian(), num_chains=0)

    class Discrete(LinearGaussian):
        def prior(self):
            return tfd.Categorical(probs=[0.5, 0.5])

    with pytest.raises(ValueError, match=r"needs a prior over continuous z .* not Categorical of dtype .*int32"):
        annealed_importance_sampling(Discrete(), x)


def test_step_sizes_grow_by_equal_factors_between_the_temperatures_they_were_found_at():
    found = np.array([[1, 3], [4, 3], [16, 48]], np.float32)[:, None, None]  # [3, 1 example, 1, 2 dimensions]
    steps = StepSizes(np.log(found), [0, 2, 10])
    got = np.array([steps.at(t)[0, 0] for t in (0, 1, 2, 4, 6, 10)])
    expected = [[1, 3], [2, 3], [4, 3], [4 * 2**0.5, 6], [8, 12], [16, 48]]
    np.testing.assert_allclose(got, expected, rtol=1e-6)  # a few roundings of float32 logarithms
