"""The decomposition of log p(x) and the thermodynamic bounds, against closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tests.evidence.conftest import BetaBernoulli, GammaPoisson, LinearGaussian
from tfvae.distributions import DiagonalNormal, Normal
from tfvae.distributions._tfp import tfd, tfp
from tfvae.evidence import Decomposition, EvidenceWarning, _free_posterior, decompose, thermodynamic
from tfvae.evidence._job import padded
from tfvae.evidence._joint import Joint
from tfvae.evidence._quadrature import Quadrature

BEST_GAP = 0.0352235223  # of the hand-worked model, 1/2 [sum ln A_jj - ln|A|]


def test_exact_posterior_has_no_gap(x):
    # Every draw gives log p(x), so all of it is exact to rounding; -3.8108114012 is the oracle's. Two dimensions.
    model = LinearGaussian("exact")
    parts = decompose(model, x, num_samples=200, seed=1)
    np.testing.assert_allclose(parts.log_evidence, model.marginal.logpdf(x), rtol=1e-10)
    assert parts.log_evidence.numpy()[0] == pytest.approx(-3.8108114012, abs=1e-9)
    for name in ("gap", "amortisation_gap", "approximation_gap"):
        np.testing.assert_allclose(getattr(parts, name), np.zeros(3), atol=1e-6)
        assert np.all(getattr(parts, f"{name}_error") < 1e-6)


def test_quadrature_on_bounded_latents_of_one_dimension(monkeypatch):
    monkeypatch.setattr(_free_posterior, "STEPS", 5)  # q is the posterior already
    parts = decompose(GammaPoisson(), np.array([4.0]), num_samples=1, seed=1)
    np.testing.assert_allclose(parts.log_evidence, [-2.9027943], atol=1e-7)  # digits of the oracle
    assert parts.log_evidence_error.numpy()[0] < 1e-7
    assert np.isinf(parts.gap_error)  # a single draw
    model, x = BetaBernoulli(), tf.constant([1.0, 0.0], tf.float64)
    quadrature = Quadrature(Joint(model, "this test"), tf.TensorSpec([None], tf.float64))
    log_p, error = quadrature.log_evidence(x, model.posterior(x), tf.constant([1, 2]))
    np.testing.assert_allclose(log_p, [-0.9162907, np.log(0.6)], atol=1e-7)  # the oracle, and its complement
    assert np.all(error < 1e-7)


@pytest.fixture(scope="module")
def shifted(x):
    """A diagonal q off the best one in mean and width, and its decomposition."""
    model = LinearGaussian((np.array([0.5, -0.3]), np.array([0.5, 0.9])))
    rows = np.concatenate([x, np.full([1, 3], np.nan)])
    return model, decompose(model, rows, num_samples=4000, seed=1)


def test_gap_of_a_diagonal_posterior_and_both_its_parts_in_closed_form(x, shifted):
    # Five standard errors of each, and they are small: false alarm below 1e-5.
    model, parts = shifted
    assert all(np.isnan(field[3]) for field in parts)  # NaN in, NaN out, and nothing of it in the other rows
    parts = Decomposition(*(field[:3] for field in parts))
    gap = model.kl(x, x @ model.to_mean + model.q[0], np.tile(model.q[1], [3, 1]))
    for name, exact in (("gap", gap), ("amortisation_gap", gap - BEST_GAP), ("approximation_gap", BEST_GAP)):
        error = getattr(parts, f"{name}_error")
        assert np.all(np.abs(getattr(parts, name) - exact) < 5 * error)
        assert np.all(error < 0.03)
    np.testing.assert_allclose(parts.log_evidence, model.marginal.logpdf(x), rtol=1e-9)
    np.testing.assert_allclose(parts.elbo + parts.gap, parts.log_evidence, rtol=1e-12)
    np.testing.assert_allclose(parts.amortisation_gap + parts.approximation_gap, parts.gap, rtol=1e-12, atol=1e-12)


def test_optimiser_finds_the_best_diagonal_posterior(x, shifted):
    model, free = shifted[0], _free_posterior.FreePosterior(shifted[0])
    found = tf.function(free.best, autograph=False)(padded(x), tf.constant(3), tf.constant([1, 2]))
    q = free.start(padded(x))[1](found)
    kl = model.kl(x, q.mean().numpy()[:3], q.stddev().numpy()[:3])
    # Nothing is below the best one. Its mirrored draws leave noise in the correlation alone: within 1e-3 nats.
    assert np.all(kl > BEST_GAP - 1e-9)
    np.testing.assert_allclose(kl, np.full(3, BEST_GAP), atol=1e-3)


def test_draws_for_the_optimiser_have_the_moments_of_q():
    params = np.array([[0.3, -1.0, 0.5, -2.0], [4.0, 0.0, -1.0, 1.0]])
    p = LinearGaussian().prior()
    z, kl = _free_posterior._draw(lambda free: DiagonalNormal(2)(free[0]), [tf.constant(params)], p, [1, 2], 6)
    mean, log_var = params[:, :2], params[:, 2:]
    assert z.shape == [6, 2, 2]
    np.testing.assert_allclose(np.mean(z, axis=0), mean, atol=1e-12)  # float64, here and next
    np.testing.assert_allclose(np.var(z, axis=0), np.exp(log_var), rtol=1e-12)
    np.testing.assert_allclose(kl, 0.5 * np.sum(mean**2 + np.exp(log_var) - log_var - 1, axis=1), rtol=1e-12)


def test_importance_weights_where_there_are_too_many_dimensions():
    # Four dimensions, correlated posterior; the encoder's q is too narrow and off. 64 examples: the errors of the
    # estimates are calibrated if the share within 1.96 of them is 0.95 within 0.027 (one standard deviation) times 3.
    w = np.random.default_rng(0).normal(size=[6, 4])
    model = LinearGaussian((0.2, np.full(4, 0.3)), w=w, variance=2.0)
    data = model.marginal.rvs(64, random_state=1)
    with pytest.warns(EvidenceWarning, match=r"for \d of 64 examples: a few of their 1600 importance weights"):
        parts = decompose(model, data, num_samples=800, seed=1)
    exact, best = (
        model.marginal.logpdf(data),
        model.kl(data, data @ model.to_mean, np.diag(model.precision)[None] ** -0.5),
    )
    gap = model.kl(data, data @ model.to_mean + 0.2, np.full([64, 4], 0.3))
    for name, truth in (
        ("log_evidence", exact),
        ("elbo", exact - gap),
        ("gap", gap),
        ("amortisation_gap", gap - best),
        ("approximation_gap", best),
    ):
        values, errors = getattr(parts, name).numpy(), getattr(parts, f"{name}_error").numpy()
        assert np.mean(np.abs(values - truth) < 1.96 * errors) > 0.86
        assert np.median(errors) < 0.06
        mean = parts.mean()
        assert mean[name] == pytest.approx(np.mean(values))
        assert mean[f"{name}_error"] == pytest.approx(np.sqrt(np.sum(errors**2)) / 64)
        assert abs(mean[name] - np.mean(truth)) < 5 * mean[f"{name}_error"]  # false alarm about 3e-6


def test_vae_with_several_modes_by_quadrature(tmp_path):
    # z of one dimension, x = |z| and noise: the posterior has two modes, and q sits on one. Summed by hand on a grid.
    inputs = keras.Input([1])
    decoder = keras.Model(
        inputs,
        keras.layers.Dense(1, use_bias=False)(keras.layers.ReLU()(keras.layers.Dense(2, use_bias=False)(inputs))),
    )
    decoder.set_weights([np.array([[1.0, -1.0]]), np.ones([2, 1])])
    encoder = keras.Sequential([keras.Input([1]), keras.layers.Dense(2)])
    encoder.set_weights([np.array([[1.0, 0.0]]), np.array([0.0, -4.0])])
    vae = tfvae.VAE(encoder, decoder, posterior=DiagonalNormal(1), likelihood=Normal(1, scale=0.05), seed=3)
    data = np.array([[1.0], [0.0], [2.5]], np.float32)
    path = tmp_path / "parts.npz"
    parts = decompose(vae, data, num_samples=100, save_to=path)
    z = np.linspace(-8, 8, 400_001)
    density = np.exp(-0.5 * ((data - np.abs(z)) / 0.05) ** 2 - 0.5 * z**2) / (2 * np.pi * 0.05)
    # float32 densities; the kink at 0 makes the grid's error, which is what it states for the second.
    np.testing.assert_allclose(parts.log_evidence, np.log(np.trapezoid(density, z, axis=1)), atol=1e-4)
    assert np.all(parts.approximation_gap.numpy()[[0, 2]] > 0.6)  # ln 2 = 0.69 for the mode that is missing
    assert int(vae.noise.state.numpy()[1]) == 1  # seed=None takes the model's own
    # The file goes on from is told by the seed it has and by the weights, of which the noise state is none.
    again = decompose(vae, data, num_samples=100, save_to=path)
    assert all(np.array_equal(first, second) for first, second in zip(parts, again, strict=True))
    vae.encoder.layers[0].bias.assign_add([1e-6, 0.0])
    with pytest.raises(ValueError, match="another request: its model"):
        decompose(vae, data, num_samples=100, save_to=path)


def test_discrete_latents_are_refused(x):
    class Discrete(LinearGaussian):
        def prior(self):
            return tfd.Categorical(probs=[0.5, 0.5])

    with pytest.raises(ValueError, match="decompose needs a prior over continuous z"):
        decompose(Discrete(), x)


def test_thermodynamic_bounds_are_between_the_elbo_and_the_other_bound(x):
    # One partition: the ELBO, log p - KL(q || post), and log p + KL(post || q), both in closed form. More: closer.
    model = LinearGaussian("diagonal")
    exact, data = model.marginal.logpdf(x), np.repeat(x, 40, axis=0)
    covariance = np.linalg.inv(model.precision)
    reverse = 0.5 * (np.log(1 / np.diag(model.precision)).sum() - np.linalg.slogdet(covariance)[1])
    reverse += 0.5 * (np.sum(np.diag(covariance) * np.diag(model.precision)) - 2)
    widths = []
    for partitions in (1, 2, 20):
        bounds = thermodynamic(model, data, num_samples=600, num_partitions=partitions, seed=1)
        off = [np.reshape(bound, [3, 40]) - exact[:, np.newaxis] for bound in (bounds.lower, bounds.upper)]
        if partitions == 1:
            truth = (-BEST_GAP, reverse)
            for values, expected, error in zip(off, truth, bounds[2:], strict=True):
                # 120 estimates, five errors of their mean: false alarm below 1e-6. Reweighting has a bias of 1/600.
                assert abs(np.mean(values) - expected) < 5 * np.mean(error) / np.sqrt(120) + 0.003
                # The spread of 120 has a relative error of 6.5 %, a jackknife error over 20 parts of 16 %.
                assert abs(np.std(values) / np.mean(error) - 1) < 0.3
        assert np.mean(off[0]) < 0 < np.mean(off[1]) + 0.002
        widths.append(np.mean(off[1] - off[0]))
    assert widths[0] > widths[1] > widths[2] > 0
    one = thermodynamic(model, x, num_samples=1, seed=1)
    np.testing.assert_array_equal(one.lower, one.upper)
    assert np.all(np.isinf(one.lower_standard_error))


def test_an_encoder_s_q_that_no_step_makes_better_is_kept(x, monkeypatch):
    """With steps that are far too long; what is lost may count as approximation gap, never as its opposite."""
    monkeypatch.setattr(_free_posterior, "_LEARNING_RATE", 30.0)
    parts = decompose(LinearGaussian("diagonal"), x, num_samples=200, seed=1)
    # To the rounding of float64 sums.
    np.testing.assert_allclose(parts.amortisation_gap, np.zeros(3), atol=1e-12)
    np.testing.assert_allclose(parts.approximation_gap, parts.gap, atol=1e-12)


@pytest.mark.parametrize("draws", [2, 3, 29])
def test_errors_of_few_draws_are_not_regressed_away(draws):
    # The errors of 200 like examples, whose means have a spread; of 2 draws an error has a relative one of 0.75, so
    # that the root of their mean square is within 0.2 of the spread: five standard errors.
    model = LinearGaussian((np.array([0.5, -0.3]), np.array([0.5, 0.9])))
    parts = decompose(model, np.tile([[1.0, -1.0, 0.5]], [200, 1]), num_samples=draws, seed=1)
    assert np.sqrt(np.mean(np.square(parts.elbo_error))) > 0.75 * np.std(parts.elbo)


def of_no_tensors(x):
    return tfd.Independent(tfd.TransformedDistribution(tfd.Normal(x, tf.ones_like(x)), tfp.bijectors.Shift(x[0, 0])), 1)


@pytest.mark.parametrize(
    ("posterior", "why"),
    [
        (of_no_tensors, "its parameter distribution is no tensor but Normal"),
        (lambda x: tfd.Sample(tfd.Normal(x[:, 0], np.float64(1)), [2]), "parameter distribution is no tensor"),
        (
            lambda x: tfd.MultivariateNormalLinearOperator(x, tf.linalg.LinearOperatorDiag(tf.ones_like(x))),
            "its parameter scale is no tensor but LinearOperatorDiag",
        ),
        (
            lambda x: tfd.Independent(tfd.TruncatedNormal(x, np.float64(1), np.float64(-9), np.float64(9)), 1),
            "TFP does not say what values its parameter (low|high) may take",
        ),
    ],
)
def test_posteriors_that_could_not_be_optimised_in_whole_are_refused(x, posterior, why):
    """What is not freed would be taken for a fault of the family."""

    class Other(LinearGaussian):
        def posterior(self, x):
            return posterior(tf.cast(x, tf.float64)[:, :2])

    with pytest.raises(ValueError, match=why):
        decompose(Other(), x, num_samples=10)


def test_draws_that_cannot_be_of_the_prior_leave_the_error_of_quadrature():
    class Uniform(BetaBernoulli):
        def prior(self):
            return tfd.Uniform(np.float64(0), np.float64(1))

        def posterior(self, x):
            return tfd.Normal(tf.zeros_like(x) + 0.5, np.float64(2))

    parts = decompose(Uniform(), np.array([1.0]), num_samples=50, seed=1)
    np.testing.assert_allclose(parts.log_evidence, [np.log(0.5)], atol=1e-7)
    assert parts.log_evidence_error.numpy()[0] < 1e-7


class Interval:
    """``x`` is ``z`` and uniform noise, so that draws of ``q`` may be impossible for ``x``."""

    def prior(self):
        return tfd.MultivariateNormalDiag(np.zeros(1), np.ones(1))

    def posterior(self, x):
        return tfd.MultivariateNormalDiag(0.3 + 0 * x, tf.ones_like(x))

    def likelihood(self, z):
        return tfd.Independent(tfd.Uniform(z - 0.5, z + 0.5), 1)


@pytest.mark.parametrize("seed", range(3))
def test_draws_that_are_impossible_for_x_leave_no_elbo(seed):
    # Each of the 50 draws is one with chance 0.63.
    parts = decompose(Interval(), np.zeros([1, 1]), num_samples=50, seed=seed)
    fields = [parts.elbo, parts.elbo_error, parts.gap, parts.gap_error]
    np.testing.assert_array_equal(np.squeeze(fields), [-np.inf, np.inf, np.inf, np.inf])
