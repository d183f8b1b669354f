"""``log p(x)`` of a model of one or two latent dimensions, by summing over a grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.evidence._graphs import of_model, traced
from tfvae.evidence._job import decoder_rows, seeds_of
from tfvae.evidence._joint import Joint

# Points per dimension, by the number of dimensions: to look for the mass, to close in on it, and to sum at first.
_LOOK = {1: 1025, 2: 65}
_CLOSE_IN = {1: 129, 2: 33}
_SUM = {1: 257, 2: 65}
_MOST = {1: 16385, 2: 513}
# What is this many nats below the highest density does not count.
_NEGLIGIBLE = 35.0
# In nats; float32 densities of some hundred nats have no more digits.
_CLOSE_ENOUGH = {tf.float64: 1e-7, tf.float32: 1e-4}
_PRIOR_DRAWS = 4096


class Quadrature:
    """The trapezoidal rule over the box in which ``p(x, z)`` is not negligible, found for every example by itself.

    The box is looked for on a grid over the prior's range and on one around a guess, then closed in on. The number of
    points is doubled until halving it changes nothing; for a smooth density that decays on all sides the rule converges
    faster than any power of the spacing. (Trefethen & Weideman, "The Exponentially Convergent Trapezoidal Rule", 2014.)

    Args:
        joint: the model, of one or two latent dimensions.
        x_spec: dtype and shape ``[None, *event]`` of the data.
    """

    def __init__(self, joint: Joint, x_spec: tf.TensorSpec) -> None:
        self._joint, self._size = joint, joint.size
        self._rows = decoder_rows(x_spec)
        signature = [x_spec, tf.TensorSpec([None, None, joint.size], tf.float64)]
        key = ("quadrature", x_spec.dtype, tuple(x_spec.shape[1:]))
        self._traced = of_model(joint.model, key, lambda model: traced(_log_joint(joint.of(model)), signature))

    def log_evidence(self, x: tf.Tensor, guess: Any, seed: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return ``log p(x)`` and an estimate of its error, ``[B]``.

        Args:
            x: data ``[B, *event]``.
            guess: a TFP distribution of batch ``[B]`` near the posterior.
            seed: for draws of prior and guess, which tell where to look.
        """
        low, high = self._box(x, guess, seed)
        value, error = np.zeros(len(low)), np.zeros(len(low))
        open_, count = np.arange(len(low)), _SUM[self._size]
        while len(open_) and count <= _MOST[self._size]:
            axes = _axes(low[open_], high[open_], count)
            log_joint = self._on_grid(tf.gather(x, open_), axes)
            seen = _seen(log_joint)
            value[open_] = _log_sum(seen, axes, 1)
            with np.errstate(invalid="ignore"):
                change = np.abs(value[open_] - _log_sum(seen, axes, 2))
            error[open_] = np.maximum(change, _unseen(log_joint, axes, value[open_]))
            open_, count = open_[error[open_] > _CLOSE_ENOUGH[self._joint.dtype]], 2 * count - 1
        return value, error

    def _box(self, x: tf.Tensor, guess: Any, seed: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
        examples = len(x)
        seeds = seeds_of(seed, 2)
        prior = self._joint.draw_prior([_PRIOR_DRAWS, 1], seeds[0]).numpy().reshape([_PRIOR_DRAWS, 1, self._size])
        near = guess.sample(_PRIOR_DRAWS, seed=seeds[1])
        near = self._joint.bijector.inverse(near).numpy().reshape([_PRIOR_DRAWS, -1, self._size])[:, :examples]
        mass = _Mass(examples, self._size)
        for draws in (prior, near):
            low, high = (np.broadcast_to(end, [examples, self._size]) for end in _range(draws))
            axes = _axes(low, high, _LOOK[self._size])
            mass.see(_seen(self._on_grid(x, axes)), axes)
        for _ in range(30):
            low, high = mass.box()
            axes = _axes(low, high, _CLOSE_IN[self._size])
            mass.forget_box()
            mass.see(_seen(self._on_grid(x, axes)), axes)
            new_low, new_high = mass.box()
            if np.all(np.abs(new_low - low) + np.abs(new_high - high) < 0.1 * (high - low)):
                break
        return new_low, new_high

    def _on_grid(self, x: tf.Tensor, axes: np.ndarray) -> np.ndarray:
        """Return ``log p(x, u)`` on the grid of the ``axes`` ``[B, size, n]``, as ``[B, n]`` or ``[B, n, n]``."""
        examples, size, count = axes.shape
        chunk, parts = max(1, self._rows // max(1, examples)), []
        for first in range(0, count**size, chunk):
            index = np.arange(first, min(first + chunk, count**size))
            places = np.stack(np.unravel_index(index, [count] * size), axis=0)
            points = np.stack([axes[:, dimension, places[dimension]] for dimension in range(size)], axis=-1)
            parts.append(self._traced(x, tf.constant(points)).numpy())
        return np.concatenate(parts, axis=1).reshape([examples] + [count] * size)


def _log_joint(joint: Joint) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return ``log p(x, u)`` as a function of ``x`` and points ``[B, n, size]``."""

    def log_joint(x: tf.Tensor, points: tf.Tensor) -> tf.Tensor:
        shape = tf.concat([tf.shape(points)[:2], tf.constant(joint.event_shape, tf.int32)], axis=0)
        u = tf.cast(tf.reshape(points, shape), joint.dtype)
        u = tf.ensure_shape(u, [None, None, *joint.event_shape])
        return tf.cast(joint.log_likelihood(x, u), tf.float64) + tf.cast(joint.log_prior(u), tf.float64)

    return log_joint


class _Mass:
    """Where the density was seen to be high."""

    def __init__(self, examples: int, size: int) -> None:
        self._highest = np.full(examples, -np.inf)
        self._best = np.zeros([examples, size])
        self._low = np.full([examples, size], np.inf)
        self._high = np.full([examples, size], -np.inf)

    def see(self, log_joint: np.ndarray, axes: np.ndarray) -> None:
        """Take the values on a grid; the box is widened where the density is high at the grid's own end."""
        examples, size, count = axes.shape
        flat = log_joint.reshape([examples, -1])
        top, where = np.max(flat, axis=1), np.argmax(flat, axis=1)
        better = top > self._highest
        places = np.stack(np.unravel_index(where, [count] * size), axis=1)
        best = np.take_along_axis(axes, places[:, :, np.newaxis], axis=2)[:, :, 0]
        self._best = np.where(better[:, np.newaxis], best, self._best)
        self._highest = np.maximum(self._highest, top)
        counts = np.isfinite(log_joint) & (log_joint > np.reshape(self._highest - _NEGLIGIBLE, [-1] + [1] * size))
        for dimension in range(size):
            others = tuple(axis for axis in range(1, size + 1) if axis != dimension + 1)
            on_axis = np.any(counts, axis=others)
            self._widen(dimension, on_axis, axes[:, dimension])

    def _widen(self, dimension: int, on_axis: np.ndarray, axis: np.ndarray) -> None:
        cell, width = axis[:, 1] - axis[:, 0], axis[:, -1] - axis[:, 0]
        seen = np.any(on_axis, axis=1)
        first, last = np.argmax(on_axis, axis=1), on_axis.shape[1] - 1 - np.argmax(on_axis[:, ::-1], axis=1)
        rows = np.arange(len(axis))
        low = axis[rows, first] - np.where(first == 0, 0.5 * width, cell)
        high = axis[rows, last] + np.where(last == on_axis.shape[1] - 1, 0.5 * width, cell)
        best = self._best[:, dimension]
        low, high = np.where(seen, low, best - cell), np.where(seen, high, best + cell)
        self._low[:, dimension] = np.minimum(self._low[:, dimension], np.minimum(low, best - cell))
        self._high[:, dimension] = np.maximum(self._high[:, dimension], np.maximum(high, best + cell))

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Return its ends, ``[B, size]``."""
        return self._low, self._high

    def forget_box(self) -> None:
        """Keep the highest density alone, before a look at the box itself."""
        self._low, self._high = np.full_like(self._low, np.inf), np.full_like(self._high, -np.inf)


def _axes(low: np.ndarray, high: np.ndarray, count: int) -> np.ndarray:
    """Return ``count`` points from ``low`` to ``high``, ``[B, size, count]``."""
    return low[..., np.newaxis] + (high - low)[..., np.newaxis] * np.linspace(0.0, 1.0, count)


def _range(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where ``u`` of the draws ``[n, B, size]`` lies, and half as much on both sides; but for infinite ones."""
    finite = np.isfinite(draws)
    low = np.min(np.where(finite, draws, np.inf), axis=0)
    high = np.max(np.where(finite, draws, -np.inf), axis=0)
    low, high = np.where(finite.any(axis=0), low, -1.0), np.where(finite.any(axis=0), high, 1.0)
    width = np.maximum(high - low, 1e-9)
    return low - 0.5 * width, high + 0.5 * width


def _lost(log_joint: np.ndarray) -> np.ndarray:
    return np.isnan(log_joint) | (log_joint == np.inf)


def _seen(log_joint: np.ndarray) -> np.ndarray:
    """Return the densities, 0 where there is none: ``z`` was rounded to a bound, and is at a pole of its density.

    Where there is none at all, as of data with NaN, they are kept as they are.
    """
    lost = _lost(log_joint)
    some = ~lost.all(axis=tuple(range(1, lost.ndim)), keepdims=True)
    return np.where(lost & some, -np.inf, log_joint)


def _unseen(log_joint: np.ndarray, axes: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return the part of the evidence that may lie where no density was seen: the one next to it, all over the box."""
    size = axes.shape[1]
    lost = _lost(log_joint)
    beside = np.zeros_like(lost)
    for axis in range(1, size + 1):
        ahead, behind = [slice(None)] * (size + 1), [slice(None)] * (size + 1)
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        beside[tuple(ahead)] |= lost[tuple(behind)]
        beside[tuple(behind)] |= lost[tuple(ahead)]
    edge = np.max(np.where(beside & ~lost, log_joint, -np.inf).reshape([len(log_joint), -1]), axis=1)
    volume = np.prod(axes[:, :, -1] - axes[:, :, 0], axis=1)
    with np.errstate(invalid="ignore"):
        part = np.exp(np.minimum(edge + np.log(volume) - value, 0.0))
    return np.where(lost.any(axis=tuple(range(1, size + 1))), np.nan_to_num(part, nan=np.inf), 0.0)


def _log_sum(log_joint: np.ndarray, axes: np.ndarray, stride: int) -> np.ndarray:
    """Return the log of the trapezoidal rule on every ``stride``-th point of each axis."""
    size = axes.shape[1]
    values = log_joint[(slice(None),) + (slice(None, None, stride),) * size].reshape([len(log_joint), -1])
    cell = np.prod((axes[:, :, 1] - axes[:, :, 0]) * stride, axis=1)
    top = np.max(values, axis=1)
    finite = np.where(np.isinf(top), 0.0, top)
    with np.errstate(divide="ignore"):
        return finite + np.log(np.sum(np.exp(values - finite[:, np.newaxis]), axis=1)) + np.log(cell)
