"""A coin of unknown bias."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.distributions._tfp import tfd
from tfvae.exact._checks import as_matching_positive, in_float64
from tfvae.exact._model import ExactModel


class BetaBernoulli(ExactModel):
    r"""A coin of unknown bias: ``z ~ Beta(alpha, beta)``, ``x | z ~ Bernoulli(z)``.

    ``p(z|x) = Beta(alpha + x, beta + 1 - x)`` and ``p(x = 1) = alpha / (alpha + beta)``. Parameters of shape ``[D]``
    make vectors of ``D`` independent flips, each of a coin of its own.

    Args:
        alpha: first parameter of the Beta distribution, a positive number or ``[D]``.
        beta: its second parameter, a positive number or ``[D]``.

    Raises:
        ValueError: for values that are not positive, or shapes that differ.

    Source: Gelman et al., "Bayesian Data Analysis" (2013), section 2.4.

    Example:

    >>> import tfvae
    >>> model = tfvae.exact.BetaBernoulli(2.0, 3.0)
    >>> print(f"{model.log_evidence([1.0])[0]:.4f}, posterior mean {model.encode([1.0])[0]:.4f}")
    -0.9163, posterior mean 0.5000
    """

    support = "0 or 1"

    def __init__(self, alpha: Any, beta: Any) -> None:
        self.alpha, self.beta = as_matching_positive(alpha=alpha, beta=beta)
        self.event_shape = self.alpha.shape

    def prior(self) -> Any:
        """Return ``Beta(alpha, beta)``."""
        return self._of_event(tfd.Beta(self.alpha, self.beta))

    def likelihood(self, z: Any) -> Any:
        """Return ``Bernoulli(z)``, batch ``[B]``, for ``z`` of shape ``[B, *event_shape]``."""
        return self._flips(in_float64(z))

    def posterior(self, x: Any) -> Any:
        """Return ``Beta(alpha + x, beta + 1 - x)``, batch ``[B]``."""
        x = self._data(x)
        return self._of_event(tfd.Beta(self.alpha + x, self.beta + 1.0 - x))

    def marginal(self) -> Any:
        """Return ``Bernoulli(alpha / (alpha + beta))``."""
        return self._flips(tf.constant(self.alpha / (self.alpha + self.beta), tf.float64))

    def is_supported(self, x: np.ndarray) -> np.ndarray:
        """Tell where ``x`` is 0 or 1."""
        return (x == 0) | (x == 1)

    def _flips(self, probs: Any) -> Any:
        return self._of_event(tfd.Bernoulli(probs=probs, dtype=tf.float64))
