"""The evidence by quadrature where the prior's density has poles at the bounds of z."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import integrate, stats

import tfvae
from tfvae.evidence import decompose

tfd = tfp.distributions


@pytest.mark.parametrize(("alpha", "beta"), [(0.05, 0.2), (0.05, 1.0), (0.3, 0.5), (0.5, 0.2), (2.0, 0.5), (2.0, 1.0)])
def test_poles_of_a_beta_prior(alpha, beta):
    """For one observation p(x = 1) is the mean of the prior."""
    found = decompose(tfvae.exact.BetaBernoulli(alpha, beta), np.array([0.0, 1.0]), num_samples=20, seed=1)
    expected = np.log([beta / (alpha + beta), alpha / (alpha + beta)])
    # The rule stops where halving the points changes 1e-7, and is far nearer then.
    np.testing.assert_allclose(found.log_evidence, expected, rtol=0, atol=1e-9)
    assert (found.log_evidence_error.numpy() < 1e-7).all()


@pytest.mark.parametrize("concentration", [0.05, 0.3, 3.0])
def test_poles_of_a_gamma_prior(concentration):
    x = np.array([0.0, 1.0, 5.0])
    found = decompose(tfvae.exact.GammaPoisson(concentration, 2.0), x, num_samples=20, seed=1)
    np.testing.assert_allclose(found.log_evidence, stats.nbinom.logpmf(x, concentration, 2 / 3), rtol=0, atol=1e-9)
    assert (found.log_evidence_error.numpy() < 1e-7).all()


class Noisy:
    """``x`` is ``z`` of the prior and Gaussian noise of scale 0.3, which leaves the prior's poles in the posterior."""

    def __init__(self, prior, dtype):
        self._prior, self._dtype = tfd.Independent(prior, 1), dtype

    def prior(self):
        return self._prior

    def posterior(self, x):
        zeros = tf.zeros(tf.shape(x), self._dtype)
        return tfd.Independent(tfd.LogitNormal(zeros, tf.ones_like(zeros)), 1)

    def likelihood(self, z):
        return tfd.Independent(tfd.Normal(z, tf.constant(0.3, self._dtype)), 1)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("kind", [tfd.Beta, tfd.Kumaraswamy])
def test_poles_with_a_formula_and_without_one(kind, dtype):
    """Without one, z is rounded to 1 where there still is mass, in float32 a thousandth: the error has to tell so."""
    x = np.array([[0.0], [0.5], [1.0], [-0.2]], dtype.as_numpy_dtype)
    half = tf.constant([0.5], dtype)
    found = decompose(Noisy(kind(half, half), dtype), x, num_samples=20, seed=1)
    density = {
        tfd.Beta: lambda z: 1 / (np.pi * np.sqrt(z * (1 - z))),
        tfd.Kumaraswamy: lambda z: 1 / (4 * np.sqrt(z * (1 - np.sqrt(z)))),
    }[kind]

    def evidence(value):  # In t with z = sin(t)^2, where no density has a pole.
        def integrand(t):
            z = np.sin(t) ** 2
            return density(z) * stats.norm.pdf(value, z, 0.3) * 2 * np.sin(t) * np.cos(t)

        return integrate.quad(integrand, 0, np.pi / 2)[0]

    difference = np.abs(found.log_evidence.numpy() - np.log([evidence(value) for value in x[:, 0]]))
    # 1e-6: densities in float32; 1e-7: the integral of SciPy.
    assert (difference < found.log_evidence_error.numpy() + (1e-6 if dtype == tf.float32 else 1e-7)).all()
    assert (found.log_evidence_error.numpy() < 0.05).all()
