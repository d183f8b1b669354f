"""Factor analysis."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tfvae._checks import as_count
from tfvae.distributions import Family, Normal
from tfvae.exact._checks import as_parameter, as_positive, as_training_data
from tfvae.exact._linear_gaussian import LinearGaussian, in_principal_axes

# Of a feature's variance: the least that is left to its noise. Without it a feature that the factors explain wholly
# (a Heywood case) has a density without bound.
_LEAST_NOISE = 1e-6
# Of a constant feature's size: what its mean may differ from it by, and so its standard deviation from 0.
_ROUNDING = 1e-12


class FactorAnalysis(LinearGaussian):
    r"""Factor analysis: ``z ~ N(0, I)``, ``x | z ~ N(W z + mean, diag(scales^2))``, a noise of its own per feature.

    With ``A = I + W' diag(scales^-2) W``: ``p(z|x) = N(A^-1 W' diag(scales^-2) (x - mean), A^-1)`` and
    ``x ~ N(mean, W W' + diag(scales^2))``. ``fit`` chooses the rotation of ``W`` for which ``A`` is diagonal.

    Args:
        loadings: ``W``, ``[D, K]``.
        scales: standard deviations of the noise, ``[D]``, positive.
        mean: mean of ``x``, ``[D]``; zero if None.

    Raises:
        ValueError: for another shape, values that are not finite, or ``scales`` that are not positive.

    Source: Rubin & Thayer, "EM Algorithms for ML Factor Analysis" (1982).

    Example:

    >>> import tfvae
    >>> model = tfvae.exact.FactorAnalysis([[1.0], [2.0]], [1.0, 0.5], [0.0, 0.0])
    >>> model.marginal().covariance().numpy().tolist()
    [[2.0, 2.0], [2.0, 4.25]]
    """

    def __init__(self, loadings: Any, scales: Any, mean: Any = None) -> None:
        scales = as_parameter(as_positive(scales, "scales"), "scales", "D")
        features = len(as_parameter(loadings, "loadings", "D", "K"))
        if scales.shape != (features,):
            raise ValueError(
                f"scales must have one value for each of the {features} rows of loadings, shape [{features}], not "
                f"{list(scales.shape)}."
            )
        super().__init__(loadings, scales, mean)

    @classmethod
    def fit(cls, x: Any, latent_size: int, *, max_iterations: int = 1000, tolerance: float = 1e-8) -> FactorAnalysis:
        r"""Return a model that makes ``x`` most likely, by expectation maximisation from the principal axes.

        With the covariance ``S`` (divided by ``N``) and ``M = A^-1 W' diag(scales^-2)``, a step sets
        ``W = S M' (A^-1 + M S M')^-1`` and ``scales^2 = diag(S - W M S)``; the likelihood never falls. At least a
        millionth of a feature's variance is left to its noise.

        Args:
            x: data ``[N, D]``, at least two examples, no feature of which is constant.
            latent_size: number of factors ``K``, below ``D``.
            max_iterations: steps after which to stop.
            tolerance: stop when a step raises the mean ``log p(x)`` by less, in nats.

        Raises:
            ValueError: for other shapes or sizes, a constant feature, or a bad argument.

        Warns:
            UserWarning: if it stopped before ``tolerance`` was reached.

        Source: Rubin & Thayer (1982); Ghahramani & Hinton, "The EM Algorithm for Mixtures of Factor Analyzers" (1996),
        equations 5 and 6.

        Example:

        >>> import tfvae
        >>> truth = tfvae.exact.FactorAnalysis([[1.0], [2.0], [1.0]], [1.0, 0.5, 0.3])
        >>> fitted = tfvae.exact.FactorAnalysis.fit(truth.sample(20_000, seed=1), latent_size=1)
        >>> fitted.scales.round(1).tolist()
        [1.0, 0.5, 0.3]
        """
        rows, size = as_training_data(x, latent_size)
        least_gain = float(as_parameter(tolerance, "tolerance"))
        mean, spread = rows.mean(axis=0), rows.std(axis=0)
        constant = spread <= _ROUNDING * np.abs(rows).max(axis=0)
        if constant.any():
            raise ValueError(
                f"Feature {int(np.argmax(constant))} of x is constant, so its noise would be zero and the likelihood "
                f"without bound ({int(constant.sum())} such features in all). Leave constant features out."
            )
        standard = (rows - mean) / spread
        loadings, variances = _expectation_maximisation(
            standard.T @ standard / len(rows), size, as_count(max_iterations, "max_iterations"), least_gain
        )
        scales = np.sqrt(variances) * spread
        return cls(in_principal_axes(loadings * spread[:, None], scales), scales, mean)

    def _decoder(self) -> tuple[Family, np.ndarray, np.ndarray]:
        kernel = np.concatenate([self.loadings.T, np.zeros_like(self.loadings.T)], axis=1)
        bias = np.concatenate([self.mean, 2.0 * np.log(self.scales)])
        return Normal(len(self.mean), scale="learned"), kernel, bias


def _expectation_maximisation(
    correlation: np.ndarray, size: int, max_iterations: int, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return loadings ``[D, K]`` and noise variances ``[D]`` for features of variance 1."""
    values, vectors = np.linalg.eigh(correlation)
    left_over = values[:-size].mean()
    loadings = vectors[:, -size:] * np.sqrt(np.maximum(values[-size:] - left_over, 0.0))
    variances = np.maximum(1.0 - np.sum(loadings**2, axis=1), _LEAST_NOISE)
    before = -np.inf
    for iteration in range(max_iterations + 1):
        weighted = loadings / variances[:, None]
        precision = np.eye(size) + loadings.T @ weighted
        covariance = np.linalg.inv(precision)
        projected = correlation @ weighted @ covariance  # S M'
        log_likelihood = -0.5 * (
            np.sum(np.log(2.0 * np.pi * variances))
            + np.linalg.slogdet(precision)[1]
            + np.sum(1.0 / variances)
            - np.sum(weighted * projected)
        )
        gain, before = log_likelihood - before, log_likelihood
        if gain < tolerance:
            return loadings, variances
        if iteration == max_iterations:
            break
        second_moment = covariance + covariance @ weighted.T @ projected
        loadings = projected @ np.linalg.inv(second_moment)
        variances = np.maximum(1.0 - np.sum(loadings * projected, axis=1), _LEAST_NOISE)
    warnings.warn(
        f"Factor analysis stopped after {max_iterations} iterations; the last raised log p(x) by {gain:.2g} nats, over "
        f"the tolerance of {tolerance:g}. Raise max_iterations, or the tolerance.",
        stacklevel=3,
    )
    return loadings, variances
