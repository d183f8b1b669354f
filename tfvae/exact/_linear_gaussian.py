"""Gaussian ``z``, of which ``x`` is a linear function with Gaussian noise: what PCA and factor analysis share."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvae.distributions import DiagonalNormal, Family
from tfvae.distributions._tfp import tfd
from tfvae.exact._checks import as_numbers, as_parameter, as_positive, in_float64
from tfvae.exact._model import ExactModel
from tfvae.models import VAE


class LinearGaussian(ExactModel):
    """``z ~ N(0, I)`` of size ``K``, ``x | z ~ N(W z + mean, diag(scales^2))`` of size ``D``.

    With ``A = I + W' diag(scales^-2) W`` the posterior is ``N(A^-1 W' diag(scales^-2) (x - mean), A^-1)``, and
    ``x ~ N(mean, W W' + diag(scales^2))``.
    """

    def __init__(self, loadings: Any, scales: Any, mean: Any = None) -> None:
        self.loadings = as_parameter(loadings, "loadings", "D", "K")
        features, self.latent_size = self.loadings.shape
        self.event_shape = (features,)
        self.scales = np.broadcast_to(as_positive(scales, "The noise scales"), [features])
        self.mean = np.zeros(features) if mean is None else as_numbers(mean, "mean")
        if self.mean.shape != (features,):
            raise ValueError(
                f"mean must have one value for each of the {features} rows of loadings, shape [{features}], not "
                f"{list(self.mean.shape)}."
            )
        weighted = self.loadings / self.scales[:, None] ** 2
        self._precision = np.eye(self.latent_size) + self.loadings.T @ weighted
        self._covariance = np.linalg.inv(self._precision)
        self._to_mean = weighted @ self._covariance

    def prior(self) -> Any:
        """Return ``N(0, I)``."""
        return tfd.MultivariateNormalDiag(np.zeros(self.latent_size), np.ones(self.latent_size))

    def likelihood(self, z: Any) -> Any:
        """Return ``N(W z + mean, diag(scales^2))``, batch ``[B]``, for ``z`` of shape ``[B, K]``."""
        return tfd.MultivariateNormalDiag(tf.linalg.matmul(in_float64(z), self.loadings.T) + self.mean, self.scales)

    def posterior(self, x: Any) -> Any:
        """Return the exact ``p(z|x)``, a Gaussian with full covariance, batch ``[B]``."""
        return tfd.MultivariateNormalTriL(self._posterior_mean(x), np.linalg.cholesky(self._covariance))

    def diagonal_posterior(self, x: Any) -> Any:
        """Return the best Gaussian of diagonal covariance for ``p(z|x)``, batch ``[B]``.

        It has the posterior's mean and the variances ``1 / A_jj``; its ELBO is short of ``log p(x)`` by
        ``1/2 (sum_j ln A_jj - ln |A|)`` for every ``x``, which is zero where ``A`` is diagonal.
        """
        return tfd.MultivariateNormalDiag(self._posterior_mean(x), np.diag(self._precision) ** -0.5)

    def marginal(self) -> Any:
        """Return ``N(mean, W W' + diag(scales^2))``, of which no matrix of size ``[D, D]`` is made."""
        return tfd.MultivariateNormalDiagPlusLowRankCovariance(self.mean, self.scales**2, self.loadings)

    def as_vae(self, seed: int | None = None) -> VAE:
        """Return the model as a ``tfvae.VAE`` of one linear layer each way, which carries the exact solution.

        The decoder gives ``p(x|z)``; the encoder gives ``diagonal_posterior(x)``, so the ELBO is ``log p(x)`` where the
        posterior's covariance is diagonal, as after ``fit``. The networks have the dtype policy in force, float32 by
        default, and can be trained further.

        Args:
            seed: where the noise starts, as for ``tfvae.VAE``.
        """
        family, kernel, bias = self._decoder()
        size = self.latent_size
        encoder_kernel = np.concatenate([self._to_mean, np.zeros_like(self._to_mean)], axis=1)
        encoder_bias = np.concatenate([-self.mean @ self._to_mean, -np.log(np.diag(self._precision))])
        return VAE(
            _linear("encoder", encoder_kernel, encoder_bias),
            _linear("decoder", kernel, bias),
            posterior=DiagonalNormal(size),
            likelihood=family,
            seed=seed,
        )

    def _posterior_mean(self, x: Any) -> tf.Tensor:
        return tf.linalg.matmul(self._data(x) - self.mean, self._to_mean)

    def _decoder(self) -> tuple[Family, np.ndarray, np.ndarray]:
        """Return the likelihood's family, and kernel and bias of the layer that gives its parameters."""
        raise NotImplementedError


def in_principal_axes(loadings: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Rotate ``z`` so that the posterior's covariance is diagonal: largest first, the largest loading positive.

    The model of ``x`` stays the same: ``W R`` has the same ``W W'``.
    """
    _, rotation = np.linalg.eigh((loadings / scales[:, None] ** 2).T @ loadings)
    rotated = loadings @ rotation[:, ::-1]
    largest = np.argmax(np.abs(rotated), axis=0)
    signs = np.sign(rotated[largest, np.arange(rotated.shape[1])])
    return rotated * np.where(signs == 0, 1.0, signs)


def _linear(name: str, kernel: np.ndarray, bias: np.ndarray) -> keras.Model:
    layer = keras.layers.Dense(len(bias), kernel_initializer="zeros")
    # Keras makes a float32 input whatever the policy.
    inputs = keras.Input([len(kernel)], dtype=layer.variable_dtype)
    network = keras.Sequential([inputs, layer], name=name)
    network.set_weights([kernel, bias])
    return network
