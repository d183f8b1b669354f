"""Running sums of importance weights, in float64 and log-space."""

from __future__ import annotations

import numpy as np

from tfvae.evidence._pareto import SMALLEST_TAIL, pareto_k, tail_size


class RunningWeights:
    """What an estimate of ``log(1/K sum w)`` needs of ``K`` weights that come a few at a time.

    Args:
        draws: number ``K`` of weights that will come.
        examples: number of examples ``B``.
    """

    def __init__(self, draws: int, examples: int) -> None:
        self._draws = draws
        self._shift = np.full(examples, -np.inf)
        self._total = np.zeros(examples)
        self._squares = np.zeros(examples)
        self._kept = tail_size(draws) + 1
        self._largest = np.full([0, examples], -np.inf)

    def add(self, log_weights: np.ndarray) -> None:
        """Take ``[n, B]`` further log-weights."""
        shift = np.maximum(self._shift, np.max(log_weights, axis=0))
        finite = np.where(np.isinf(shift), 0.0, shift)
        with np.errstate(over="ignore", invalid="ignore"):
            weights = np.exp(log_weights - finite)
            rescale = np.exp(self._shift - finite)
        self._total = self._total * rescale + np.sum(weights, axis=0)
        self._squares = self._squares * rescale**2 + np.sum(np.square(weights), axis=0)
        self._shift = shift
        if self._kept > SMALLEST_TAIL:
            largest = np.concatenate([self._largest, log_weights])
            if len(largest) > self._kept:
                largest = np.partition(largest, len(largest) - self._kept, axis=0)[-self._kept :]
            self._largest = largest

    def log_mean(self) -> np.ndarray:
        """Return ``log(1/K sum w)``."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(np.isinf(self._shift), 0.0, self._shift) + np.log(self._total) - np.log(self._draws)

    def effective_sample_size(self) -> np.ndarray:
        """Return ``(sum w)^2 / sum w^2``; 0 where no draw had any weight."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self._total == 0, 0.0, np.square(self._total) / self._squares)

    def standard_error(self) -> np.ndarray:
        """Return the delta method's standard error of ``log_mean``; infinite where nothing is known of the spread."""
        if self._draws == 1:
            return np.full_like(self._total, np.inf)
        with np.errstate(divide="ignore"):
            variance = (self._draws / self.effective_sample_size() - 1.0) / (self._draws - 1)
        return np.sqrt(np.maximum(variance, 0.0))

    def pareto_k(self) -> np.ndarray:
        """Return the shape of the tail of the weights; NaN for fewer than 25 of them."""
        return pareto_k(self._largest)
