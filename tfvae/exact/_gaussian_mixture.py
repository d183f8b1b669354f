"""A mixture of Gaussians: a discrete latent variable."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.distributions._tfp import tfd
from tfvae.exact._checks import as_parameter, as_positive
from tfvae.exact._model import ExactModel


class GaussianMixture(ExactModel):
    r"""A mixture of Gaussians: ``z ~ Categorical(probs)``, ``x | z ~ N(means[z], diag(scales[z]^2))``.

    ``p(z|x)`` is the categorical distribution of the responsibilities, ``p(z) p(x|z) / p(x)``, and
    ``p(x) = sum_z p(z) p(x|z)``. ``z`` is an integer, so a ``tfvae.VAE`` has no such encoder.

    Args:
        probs: ``p(z)`` of the ``C`` components, ``[C]``, positive, of sum 1.
        means: ``[C, D]``.
        scales: standard deviations, positive, ``[C, D]`` or what broadcasts to it, such as one number.

    Raises:
        ValueError: for another shape, values that are not finite, or not positive, or ``probs`` of another sum.

    Source: Bishop, "Pattern Recognition and Machine Learning" (2006), section 9.2.

    Example:

    >>> import tfvae
    >>> model = tfvae.exact.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 1.0)
    >>> model.posterior([[0.0]]).probs_parameter().numpy().tolist()
    [[0.5, 0.5]]
    >>> print(f"{model.log_evidence([[0.0]])[0]:.4f}")
    -1.4189
    """

    def __init__(self, probs: Any, means: Any, scales: Any) -> None:
        self.probs = as_parameter(as_positive(probs, "probs"), "probs", "C")
        if abs(self.probs.sum() - 1.0) > 1e-6:
            raise ValueError(f"probs must sum to 1, not {self.probs.sum():.6g}. Divide them by their sum.")
        self.probs = self.probs / self.probs.sum()
        self.means = as_parameter(means, "means", "C", "D")
        if len(self.means) != len(self.probs):
            raise ValueError(
                f"means must have a row for each of the {len(self.probs)} components of probs, not {len(self.means)}."
            )
        scales = as_positive(scales, "scales")
        try:
            self.scales = np.broadcast_to(scales, self.means.shape)
        except ValueError:
            raise ValueError(
                f"scales must have the shape of means, {list(self.means.shape)}, or broadcast to it, not "
                f"{list(scales.shape)}."
            ) from None
        self.event_shape = (self.means.shape[1],)

    def prior(self) -> Any:
        """Return ``Categorical(probs)``."""
        return tfd.Categorical(probs=tf.constant(self.probs))

    def likelihood(self, z: Any) -> Any:
        """Return ``N(means[z], diag(scales[z]^2))``, batch ``[B]``, for integers ``z`` of shape ``[B]``."""
        return tfd.MultivariateNormalDiag(tf.gather(self.means, z), tf.gather(self.scales, z))

    def posterior(self, x: Any) -> Any:
        """Return ``p(z|x)``, batch ``[B]``; its ``probs_parameter()`` are the responsibilities, ``[B, C]``."""
        of_each = self._components().log_prob(self._data(x)[:, None])
        return tfd.Categorical(logits=tf.nn.log_softmax(of_each + np.log(self.probs)))

    def marginal(self) -> Any:
        """Return ``p(x) = sum_z p(z) p(x|z)``."""
        return tfd.MixtureSameFamily(self.prior(), self._components())

    def encode(self, x: Any) -> tf.Tensor:
        """Return the responsibilities, ``[B, C]``: the posterior mean of the one-hot coding of ``z``."""
        return self.posterior(x).probs_parameter()

    def reconstruct(self, x: Any) -> tf.Tensor:
        """Return the components' means, weighted by the responsibilities, ``[B, D]``."""
        return tf.linalg.matmul(self.encode(x), self.means)

    def _components(self) -> Any:
        return tfd.MultivariateNormalDiag(self.means, self.scales)
