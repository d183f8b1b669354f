"""The thermodynamic variational bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfvae._checks import as_count
from tfvae.evidence import _draws
from tfvae.evidence._importance import log_weights_of
from tfvae.evidence._job import make_job, padded

# Parts of the draws that are left out in turn to see the spread.
_GROUPS = 20
_SMALLEST_BETA = 1e-3


class ThermodynamicBounds(NamedTuple):
    """``lower <= log p(x) <= upper`` per example, in nats; each field ``[N]`` and float64."""

    lower: tf.Tensor
    upper: tf.Tensor
    lower_standard_error: tf.Tensor
    upper_standard_error: tf.Tensor


def thermodynamic(
    model: Any,
    x: Any,
    *,
    num_samples: int = 1000,
    num_partitions: int = 10,
    seed: Any = None,
    verbose: int = 0,
) -> ThermodynamicBounds:
    r"""Bound ``log p(x)`` from both sides by sums over the path from ``q(z|x)`` to the posterior.

    With ``log w = log p(x, z) - log q(z|x)`` and ``pi_b`` proportional to ``q(z|x)^(1-b) p(x, z)^b``,

        log p(x) = integral from 0 to 1 of E_pi_b[log w] db

    whose integrand never falls. So the left Riemann sum is a lower bound (with a single partition, the ELBO) and the
    right one an upper bound (``log p(x) + KL(p(z|x) || q(z|x))``). All expectations are over the same draws of ``q``,
    with weights ``w^b`` normalised by their sum. The partitions end at 0 and at points spaced evenly on a logarithmic
    scale from 0.001 to 1.

    The bounds hold for the exact expectations. Where the effective number of samples is small, the upper one is
    estimated too low: see ``importance_weighted`` for a warning of that.

    Args:
        model: a ``tfvae.VAE``, or anything with ``posterior(x)``, ``prior()`` and ``likelihood(z)`` that return TFP
            distributions.
        x: data ``[N, *event]``, of any size.
        num_samples: number of draws per example.
        num_partitions: number of terms of the sums.
        seed: an integer or two; None takes the model's own noise, or Python's ``random`` where it has none.
        verbose: 1 for a progress bar.

    Returns:
        ``ThermodynamicBounds(lower, upper, lower_standard_error, upper_standard_error)``, the errors by the jackknife
        over 20 parts of the draws; infinite for a single draw.

    Raises:
        TypeError: if the model lacks a method.
        ValueError: for a bad argument.

    Source: Masrani, Le & Wood, "The Thermodynamic Variational Objective" (2019), equations 8 to 11.

    Example:

    >>> import keras, numpy as np, tfvae
    >>> networks = [keras.Sequential([keras.Input([n]), keras.layers.Dense(4)]) for n in (4, 2)]
    >>> normal = tfvae.distributions.Normal(4)
    >>> vae = tfvae.VAE(*networks, posterior=tfvae.distributions.DiagonalNormal(2), likelihood=normal)
    >>> bounds = tfvae.evidence.thermodynamic(vae, np.zeros([3, 4], "float32"), seed=1)
    >>> bool(np.all(bounds.lower <= bounds.upper))
    True
    """
    samples, partitions = as_count(num_samples, "num_samples"), as_count(num_partitions, "num_partitions")
    job = make_job("thermodynamic", ThermodynamicBounds._fields, model, x, seed, {}, verbose=verbose)
    log_weights, schedule = log_weights_of(model, job.x), _draws.passes(samples)
    betas = partition(partitions)

    def work(rows: np.ndarray, block_seed: tf.Tensor, advance: Callable[[], None]) -> list[np.ndarray]:
        path, whole = _Path(betas, min(_GROUPS, samples), len(rows)), padded(rows)
        for first, draws in schedule:
            path.add(log_weights(whole, tf.constant(len(rows)), block_seed, first, draws).numpy())
            advance()
        return path.bounds()

    return ThermodynamicBounds(*job.run(work, len(schedule)))


def partition(count: int) -> np.ndarray:
    """Return the ends of the partitions, ``[count + 1]``."""
    return np.concatenate([[0.0], np.logspace(np.log10(_SMALLEST_BETA), 0.0, count) if count > 1 else [1.0]])


class _Path:
    """Sums of ``w^b`` and ``w^b log w`` for every ``b``, of the draws ``i, i + G, ...`` for every group ``i``."""

    def __init__(self, betas: np.ndarray, groups: int, examples: int) -> None:
        self._betas, self._groups, self._seen = betas[:, np.newaxis], groups, 0
        self._shift = np.full(examples, -np.inf)
        self._total = np.zeros([groups, len(betas), examples])
        self._product = np.zeros([groups, len(betas), examples])

    def add(self, log_weights: np.ndarray) -> None:
        shift = np.maximum(self._shift, np.max(log_weights, axis=0))
        finite = np.where(np.isinf(shift), 0.0, shift)
        with np.errstate(invalid="ignore"):
            rescale = np.where(self._betas > 0, np.exp(self._betas * (self._shift - finite)), 1.0)
            self._total *= rescale
            self._product *= rescale
            for group in range(self._groups):
                part = log_weights[(group - self._seen) % self._groups :: self._groups]
                # One b at a time: memory is that of the draws.
                for index, beta in enumerate(self._betas[:, 0]):
                    weights = np.exp(beta * (part - finite)) if beta > 0 else np.ones_like(part)
                    self._total[group, index] += np.sum(weights, axis=0)
                    self._product[group, index] += np.sum(np.where(weights == 0, 0.0, weights * part), axis=0)
        self._shift, self._seen = shift, self._seen + len(log_weights)

    def bounds(self) -> list[np.ndarray]:
        """Return lower and upper bound and their standard errors, infinite where draws without weight make them."""
        lower, upper = bounds = self._sums(self._total.sum(axis=0), self._product.sum(axis=0))
        if self._groups == 1:
            return [lower, upper, np.full_like(lower, np.inf), np.full_like(upper, np.inf)]
        # Added up without the group: taken from the sum of all, digits would be lost where one draw outweighs the rest.
        left_out = np.array(
            [
                self._sums(*(np.delete(sums, group, axis=0).sum(axis=0) for sums in (self._total, self._product)))
                for group in range(self._groups)
            ]
        )
        with np.errstate(invalid="ignore"):
            errors = np.sqrt((self._groups - 1) * np.var(left_out, axis=0))
        unknown = [np.isnan(error) & ~np.isnan(bound) for bound, error in zip(bounds, errors, strict=True)]
        return [lower, upper, *(np.where(where, np.inf, error) for where, error in zip(unknown, errors, strict=True))]

    def _sums(self, total: np.ndarray, product: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = np.where(total == 0, -np.inf, product / total)
        widths = np.diff(self._betas, axis=0)
        return np.sum(widths * expected[:-1], axis=0), np.sum(widths * expected[1:], axis=0)
