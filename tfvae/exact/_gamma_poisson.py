"""Counts with an unknown rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfvae.distributions._tfp import tfd
from tfvae.exact._checks import as_matching_positive, in_float64
from tfvae.exact._model import ExactModel


class GammaPoisson(ExactModel):
    r"""Counts with an unknown rate: ``z ~ Gamma(concentration, rate)``, ``x | z ~ Poisson(z)``.

    ``p(z|x) = Gamma(concentration + x, rate + 1)``, and ``x`` is negative binomial:
    ``p(x) = G(concentration + x) / (G(concentration) x!) (rate / (rate + 1))^concentration (1 / (rate + 1))^x``.
    Parameters of shape ``[D]`` make vectors of ``D`` independent counts, each with a rate of its own.

    Args:
        concentration: shape of the Gamma distribution, a positive number or ``[D]``.
        rate: its inverse scale, a positive number or ``[D]``.

    Raises:
        ValueError: for values that are not positive, or shapes that differ.

    Source: Gelman et al., "Bayesian Data Analysis" (2013), section 2.6.

    Example:

    >>> import tfvae
    >>> model = tfvae.exact.GammaPoisson(3.0, 2.0)
    >>> print(f"{model.log_evidence([4.0])[0]:.4f}, posterior mean {model.encode([4.0])[0]:.4f}")
    -2.9028, posterior mean 2.3333
    """

    support = "integers of at least 0"

    def __init__(self, concentration: Any, rate: Any) -> None:
        self.concentration, self.rate = as_matching_positive(concentration=concentration, rate=rate)
        self.event_shape = self.rate.shape

    def prior(self) -> Any:
        """Return ``Gamma(concentration, rate)``."""
        return self._of_event(tfd.Gamma(self.concentration, self.rate))

    def likelihood(self, z: Any) -> Any:
        """Return ``Poisson(z)``, batch ``[B]``, for ``z`` of shape ``[B, *event_shape]``."""
        return self._of_event(tfd.Poisson(in_float64(z)))

    def posterior(self, x: Any) -> Any:
        """Return ``Gamma(concentration + x, rate + 1)``, batch ``[B]``."""
        return self._of_event(tfd.Gamma(self.concentration + self._data(x), self.rate + 1.0))

    def marginal(self) -> Any:
        """Return the negative binomial distribution of ``x``."""
        return self._of_event(tfd.NegativeBinomial(self.concentration, probs=1.0 / (1.0 + self.rate)))

    def is_supported(self, x: np.ndarray) -> np.ndarray:
        """Tell where ``x`` is an integer of at least 0."""
        return np.isfinite(x) & (x >= 0) & (x == np.floor(x))
