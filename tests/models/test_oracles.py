"""Models whose evidence is known: the numbers of the oracles, through the whole VAE."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from sklearn.datasets import load_digits

import tfvae
from tfvae.distributions import DiagonalNormal, Family, Normal
from tfvae.distributions._tfp import tfd
from tfvae.layers import AppendLogVar

# The decomposition worked by hand: W = [[1, .5], [0, 1], [.3, -.2]], noise variance .5, zero mean, x = (1, -1, .5).
W = np.array([[1.0, 0.5], [0.0, 1.0], [0.3, -0.2]])
VARIANCE = 0.5
X = np.array([[1.0, -1.0, 0.5]])
LOG_P = -3.8108114012
BEST_DIAGONAL = -3.8460349235
PRECISION = np.eye(2) + W.T @ W / VARIANCE
POSTERIOR_MAP = W @ np.linalg.inv(PRECISION) / VARIANCE  # x @ this = posterior mean


@keras.saving.register_keras_serializable(package="tests")
class ExactPosterior(Family):
    """The full-covariance Gaussian with the exact posterior's covariance; the parameters are its mean."""

    def make(self, *parameters):
        scale = np.linalg.cholesky(np.linalg.inv(PRECISION))
        return tfd.MultivariateNormalTriL(parameters[0], tf.constant(scale, parameters[0].dtype))


def dense(inputs, kernel, bias):
    network = keras.Sequential([keras.Input([inputs]), keras.layers.Dense(len(bias))])
    network.set_weights([kernel, bias])
    return network


@pytest.fixture(scope="module")
def models():
    keras.config.set_dtype_policy("float64")
    try:
        likelihood = Normal(3, scale=np.sqrt(VARIANCE))
        decoder = dense(2, W.T, np.zeros(3))
        exact = tfvae.VAE(
            dense(3, POSTERIOR_MAP, np.zeros(2)), decoder, posterior=ExactPosterior(2), likelihood=likelihood, seed=1
        )
        encoder = dense(
            3,
            np.concatenate([POSTERIOR_MAP, np.zeros([3, 2])], axis=1),
            np.concatenate([np.zeros(2), -np.log(np.diag(PRECISION))]),
        )
        diagonal = tfvae.VAE(encoder, decoder, posterior=DiagonalNormal(2), likelihood=likelihood, seed=1)
    finally:
        keras.config.set_dtype_policy("float32")
    return {"exact": exact, "diagonal": diagonal}


def test_posterior_mean_by_hand(models):
    for vae in models.values():
        np.testing.assert_allclose(vae.encode(X), [[0.87558907, -0.55042413]], atol=1e-8)  # digits of the oracle


@pytest.mark.parametrize(("kind", "bound"), [("exact", LOG_P), ("diagonal", BEST_DIAGONAL)])
def test_mean_elbo_by_hand(models, kind, bound):
    # 100000 draws; at 5 standard errors (about 0.003 each way) the false-alarm rate is below 10^-6, and the seed fixed.
    # The gap between the two bounds, 0.0352, is ten times as wide.
    elbo = models[kind].elbo(np.tile(X, [100_000, 1]), seed=3).numpy()
    error = elbo.std() / np.sqrt(len(elbo))
    assert error < 0.004
    assert abs(elbo.mean() - bound) < 5 * error


def test_at_the_exact_posterior_every_sample_gives_log_p(models):
    # log p(x, z) - log q(z|x) = log p(x) for every z, so two samples suffice; float64 leaves the oracle's ten digits.
    result = models["exact"].log_likelihood(X, num_samples=2, seed=1)
    np.testing.assert_allclose(result.estimate, [LOG_P], atol=1e-9)
    assert result.standard_error.numpy()[0] < 1e-6


def test_importance_weighted_estimate_of_the_diagonal_model(models):
    # 5 standard errors: false alarm below 10^-6.
    result = models["diagonal"].log_likelihood(X, num_samples=20_000, seed=1)
    error = result.standard_error.numpy()[0]
    assert error < 0.004
    assert abs(result.estimate.numpy()[0] - LOG_P) < 5 * error


PPCA_OPTIMUM, PPCA_VARIANCE = -177.439971, 13.853948  # digits, K = 2 (Tipping & Bishop 1999)


def linear_vae(data):
    """Return a linear VAE with one learned noise level, started at the data's mean and variance."""
    keras.utils.set_random_seed(0)
    mean = data.mean(0)
    encoder = keras.Sequential([keras.Input([64]), keras.layers.Rescaling(1 / 16, -mean / 16), keras.layers.Dense(4)])
    decoder = keras.Sequential(
        [
            keras.Input([2]),
            keras.layers.Dense(64, bias_initializer=keras.initializers.Constant(mean)),
            AppendLogVar(initial=np.log(data.var())),
        ]
    )
    return tfvae.VAE(encoder, decoder, posterior=DiagonalNormal(2), likelihood=Normal(64, scale="learned"), seed=0)


def test_linear_vae_reaches_the_probabilistic_pca_optimum():
    data = load_digits().data.astype("float32")
    vae = linear_vae(data)
    vae.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.05, 600)))
    batches = tf.data.Dataset.from_tensor_slices(data).shuffle(1797, seed=0).repeat(150).batch(450, drop_remainder=True)
    vae.fit(batches, shuffle=False, verbose=0)
    kernel, mean = vae.decoder.layers[0].get_weights()
    variance = np.exp(vae.decoder.layers[1].log_var.numpy().astype(float))
    covariance = kernel.T.astype(float) @ kernel.astype(float) + variance * np.eye(64)
    learned = stats.multivariate_normal(mean.astype(float), covariance).logpdf(data).mean()
    # Nothing can be above the optimum (1e-3 for the float32 covariance); Adam with a decayed rate ends 0.001 below it.
    assert PPCA_OPTIMUM - 0.02 < learned < PPCA_OPTIMUM + 1e-3
    np.testing.assert_allclose(variance, PPCA_VARIANCE, rtol=0.01)
    # At the optimum the diagonal posterior is exact, so the ELBO is log p(x) up to the noise of one sample per row:
    # standard deviation about 1 over 1797 rows, 0.024; 6 of those are chance once in 10^9.
    assert abs(vae.evaluate(data, batch_size=1797, verbose=0, return_dict=True)["elbo"] - PPCA_OPTIMUM) < 0.15


def test_at_the_closed_form_of_probabilistic_pca_the_evidence_is_exact():
    data = load_digits().data
    values, vectors = np.linalg.eigh(np.cov(data.T, bias=True))
    variance = values[:-2].mean()
    kernel = vectors[:, -2:] * np.sqrt(values[-2:] - variance)
    posterior_variance = variance / (np.sum(kernel**2, axis=0) + variance)  # the columns are orthogonal
    vae = linear_vae(data.astype("float32"))
    vae.decoder.set_weights([kernel.T, data.mean(0), np.log(variance)])
    to_mean = 16 * kernel / variance * posterior_variance
    vae.encoder.set_weights(
        [
            np.concatenate([to_mean, np.zeros_like(to_mean)], axis=1),
            np.concatenate([np.zeros(2), np.log(posterior_variance)]),
        ]
    )
    result = vae.log_likelihood(data.astype("float32"), num_samples=2, seed=1)
    np.testing.assert_allclose(np.mean(result.estimate), PPCA_OPTIMUM, atol=1e-4)  # float32 log-densities of size 200
    assert np.max(result.standard_error) < 1e-2
