"""The shape of the tail of importance weights."""

from __future__ import annotations

import numpy as np

# Fewer of the largest weights say nothing about the tail.
SMALLEST_TAIL = 5
# Weights this close, in nats, are equal up to the rounding of float32 log-densities.
_EQUAL = 1e-5
# Of the largest weight. Reciprocals of numbers near the smallest ones of float64 would overflow.
_NOTHING = 1e-290


def tail_size(draws: int) -> int:
    """Return how many of the largest of so many weights make up the tail: ``min(K / 5, 3 sqrt(K))``."""
    return int(min(draws / 5, 3 * np.sqrt(draws)))


def pareto_k(largest: np.ndarray) -> np.ndarray:
    """Return the shape ``k`` of a generalised Pareto distribution fitted to the largest weights of every example.

    Args:
        largest: log-weights ``[M + 1, B]``, the smallest of each column being the threshold that the others exceed.

    Returns:
        ``k`` ``[B]``: NaN where ``M`` is below 5 or a log-weight is NaN or ``inf``, ``-inf`` where all are equal, and
        ``inf`` where fewer than 5 are more than nothing beside the largest.

    Source: Zhang & Stephens, "A New and Efficient Estimation Method for the Generalized Pareto Distribution" (2009);
    the prior of ten observations at 0.5 is that of Vehtari et al., "Pareto Smoothed Importance Sampling" (2024).
    """
    tail, examples = len(largest) - 1, largest.shape[1]
    if tail < SMALLEST_TAIL:
        return np.full(examples, np.nan)
    # Columns by themselves, so that an example's k does not depend on the others it is computed with.
    return np.array([_of_one(np.sort(column)) for column in largest.T])


def _of_one(sorted_log_weights: np.ndarray) -> float:
    if np.isnan(sorted_log_weights).any() or sorted_log_weights[-1] == np.inf:
        return float("nan")
    threshold, top = sorted_log_weights[0], sorted_log_weights[-1]
    if top == -np.inf or top - threshold < _EQUAL:
        return float("-inf")
    excess = np.exp(sorted_log_weights[1:] - top) - np.exp(threshold - top)
    excess = excess[excess > _NOTHING]
    if len(excess) < SMALLEST_TAIL:
        return float("inf")
    return _zhang_stephens(excess)


def _zhang_stephens(excess: np.ndarray) -> float:
    """Return ``k`` of sorted positive ``excess``, averaged over the profile likelihood of ``theta``, then shrunk."""
    count = len(excess)
    candidates = 30 + int(np.sqrt(count))
    quartile = excess[int(count / 4 + 0.5) - 1]
    theta = 1 / excess[-1] + (1 - np.sqrt(candidates / (np.arange(1, candidates + 1) - 0.5))) / (3 * quartile)
    shape = np.mean(np.log1p(-theta[:, np.newaxis] * excess), axis=1)
    profile = count * (np.log(-theta / shape) - shape - 1)
    weights = np.exp(profile - np.max(profile))
    mean_theta = np.sum(theta * weights) / np.sum(weights)
    k = np.mean(np.log1p(-mean_theta * excess))
    return float((k * count + 0.5 * 10) / (count + 10))
