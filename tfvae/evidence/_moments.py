"""Running means and covariances of what every draw gives, with importance weights among it."""

from __future__ import annotations

import numpy as np


class RunningMoments:
    """Means and covariances of ``V`` values of every draw and of a weight given by its logarithm.

    Args:
        values: number ``V`` of values.
        examples: number ``B`` of examples.
    """

    def __init__(self, values: int, examples: int) -> None:
        self._count = 0
        self._origin: np.ndarray | None = None
        self._shift = np.full(examples, -np.inf)
        self._sums = np.zeros([values + 1, examples])
        self._products = np.zeros([values + 1, values + 1, examples])

    def add(self, values: np.ndarray, log_weights: np.ndarray) -> None:
        """Take ``values`` ``[n, B, V]`` and ``log_weights`` ``[n, B]`` of further draws."""
        if self._origin is None:
            self._origin = np.where(np.isfinite(values[0]), values[0], 0.0)
        shift = np.maximum(self._shift, np.max(log_weights, axis=0))
        finite = np.where(np.isinf(shift), 0.0, shift)
        rescale = np.ones_like(self._sums)
        with np.errstate(invalid="ignore"):
            rescale[-1] = np.exp(self._shift - finite)
            weights = np.exp(log_weights - finite)
            rows = np.concatenate([values - self._origin, weights[..., np.newaxis]], axis=2)
            self._sums = self._sums * rescale + np.einsum("nbv->vb", rows)
            products = np.einsum("nbv,nbw->vwb", rows, rows)
            self._products = self._products * rescale[:, np.newaxis] * rescale[np.newaxis] + products
        self._shift, self._count = shift, self._count + len(values)

    def means(self) -> np.ndarray:
        """Return those of the values, ``[V, B]``."""
        assert self._origin is not None
        return self._sums[:-1] / self._count + self._origin.T

    def log_mean_weight(self) -> np.ndarray:
        """Return ``log(1/K sum w)``, ``[B]``."""
        with np.errstate(divide="ignore"):
            return np.where(np.isinf(self._shift), 0.0, self._shift) + np.log(self._sums[-1] / self._count)

    def covariances(self) -> np.ndarray:
        """Return those of the values and of ``w / mean(w)``, ``[V + 1, V + 1, B]``; infinite for a single draw."""
        if self._count == 1:
            return np.full_like(self._products, np.inf)
        means = self._sums / self._count
        with np.errstate(invalid="ignore"):  # Of values that are infinite there are none.
            covariances = (
                (self._products / self._count - means[:, np.newaxis] * means) * self._count / (self._count - 1)
            )
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.concatenate([np.ones_like(means[:-1]), 1.0 / means[-1:]])
            return covariances * scale[:, np.newaxis] * scale
