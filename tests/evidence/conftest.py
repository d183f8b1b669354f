"""Models whose evidence is known, as the estimators take them: three methods that return TFP distributions."""

import types

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfvae.distributions import DiagonalNormal, Normal, StandardNormal
from tfvae.distributions._tfp import tfd

# The decomposition worked by hand: W = [[1, .5], [0, 1], [.3, -.2]], noise variance .5, zero mean, x = (1, -1, .5).
W = np.array([[1.0, 0.5], [0.0, 1.0], [0.3, -0.2]])
VARIANCE = 0.5


class LinearGaussian:
    """``z ~ N(0, I)``, ``x | z ~ N(W z, variance I)``.

    ``q`` is ``"exact"``, the best ``"diagonal"`` one, or that far off the posterior mean with that standard deviation.
    """

    def __init__(self, q="exact", w=W, variance=VARIANCE):
        self.q, self.w, self.variance = q, w, variance
        self.precision = np.eye(w.shape[1]) + w.T @ w / variance
        self.to_mean = w @ np.linalg.inv(self.precision) / variance
        self.marginal = stats.multivariate_normal(np.zeros(len(w)), w @ w.T + variance * np.eye(len(w)))

    def prior(self):
        return StandardNormal(self.w.shape[1])(tf.zeros([0], tf.float64))

    def likelihood(self, z):
        return Normal(len(self.w), scale=np.sqrt(self.variance))(tf.linalg.matmul(z, self.w, transpose_b=True))

    def posterior(self, x):
        mean = tf.linalg.matmul(tf.cast(x, tf.float64), self.to_mean)
        if self.q == "exact":
            return tfd.MultivariateNormalTriL(mean, np.linalg.cholesky(np.linalg.inv(self.precision)))
        log_var = -np.log(np.diag(self.precision))
        if self.q != "diagonal":
            mean, log_var = mean + self.q[0], 2 * np.log(self.q[1])
        return DiagonalNormal(self.w.shape[1])(tf.concat([mean, tf.zeros_like(mean) + log_var], axis=-1))

    def kl(self, x, mean, std):
        """``KL(q || p(z|x))`` of diagonal Gaussians, in closed form."""
        off = mean - x @ self.to_mean
        quadratic = np.einsum("ni,ij,nj->n", off, self.precision, off)
        log_det = -np.linalg.slogdet(self.precision)[1] - 2 * np.log(std).sum(-1)
        return 0.5 * (std**2 @ np.diag(self.precision) + quadratic - mean.shape[1] + log_det)


class GammaPoisson:
    """``z ~ Gamma(3, rate 2)``, ``x | z ~ Poisson(z)``."""

    def prior(self):
        return tfd.Gamma(np.float64(3.0), np.float64(2.0))

    def likelihood(self, z):
        return tfd.Poisson(z)

    def posterior(self, x):
        return tfd.Gamma(3.0 + tf.cast(x, tf.float64), np.float64(3.0))


class BetaBernoulli:
    """``z ~ Beta(2, 3)``, ``x | z ~ Bernoulli(z)``."""

    def prior(self):
        return tfd.Beta(np.float64(2.0), np.float64(3.0))

    def likelihood(self, z):
        return tfd.Bernoulli(probs=z, dtype=tf.float64)

    def posterior(self, x):
        return tfd.Beta(2.0 + tf.cast(x, tf.float64), 4.0 - tf.cast(x, tf.float64))


class LogGamma:
    """A prior ``N(0, 1)`` and what makes ``exp(5 z - 10 exp(z))`` of it: a log-Gamma density, not normalised."""

    def prior(self):
        return tfd.Normal(np.float64(0.0), np.float64(1.0))

    def likelihood(self, z):
        def log_prob(x):
            return 5.0 * z - 10.0 * tf.exp(z) - self.prior().log_prob(z) + 0.0 * x

        return types.SimpleNamespace(log_prob=log_prob, dtype=tf.float64)

    def posterior(self, x):
        return tfd.Normal(x, np.float64(1.0))


@pytest.fixture(scope="session")
def x():
    """The three examples of the hand-worked model; the first is the oracle's."""
    return np.array([[1.0, -1.0, 0.5], [0.0, 0.0, 0.0], [-2.0, 1.0, 3.0]])
