"""The importance-weighted estimate of the evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tfvae._checks import as_count
from tfvae.evidence._draws import BLOCK, draw_block


class LogLikelihood(NamedTuple):
    """An estimate of ``log p(x)`` per example, each field ``[B]`` and float64.

    ``estimate`` in nats; ``standard_error`` of it in nats (delta method; infinite for a single sample);
    ``effective_sample_size`` between 1 and the number of samples: far below it, neither of the two is to be trusted.
    """

    estimate: tf.Tensor
    standard_error: tf.Tensor
    effective_sample_size: tf.Tensor


def importance_weighted(
    q: Any,
    p: Any,
    likelihood: Callable[[tf.Tensor], Any],
    x: tf.Tensor,
    *,
    num_samples: int,
    seed: Any,
    chunk_size: int = 32,
) -> LogLikelihood:
    r"""Estimate ``log p(x) = log E_q[w]`` with ``w = p(x|z) p(z) / q(z|x)`` by importance sampling.

    The estimate is ``log(1/K sum_k w_k)`` over ``K = num_samples`` draws ``z_k ~ q(z|x)``: in expectation a lower bound
    of ``log p(x)`` that never falls as ``K`` grows. The samples are drawn 64 at a time, by
    ``tfvae.ops.reparameterize_log_ratio`` where ``q`` and ``p`` are diagonal Gaussians, go through the decoder at most
    ``chunk_size * B`` rows at a time, and their weights into a running log-sum-exp in float64, so memory does not grow
    with ``K``. The noise of a sample is fixed by the seed and the sample's number, so the answer does not depend on
    ``chunk_size`` (beyond rounding).

    Args:
        q: the posterior ``q(z|x)``, batch ``[B]``.
        p: the prior ``p(z)``.
        likelihood: turns ``z`` ``[n, *event]`` into the distribution ``p(x|z)``, batch ``[n]``.
        x: data ``[B, *event]``.
        num_samples: number of importance samples ``K`` per example.
        seed: two integers, shape ``[2]``.
        chunk_size: importance samples per pass through the decoder, 64 at most.

    Returns:
        ``LogLikelihood(estimate, standard_error, effective_sample_size)``. With ``ESS = (sum w)^2 / sum w^2`` the
        standard error is ``sqrt((K / ESS - 1) / (K - 1))``, the delta method's for the log of a mean.

    Raises:
        ValueError: if ``num_samples`` or ``chunk_size`` is not a positive integer.

    Source: Burda, Grosse & Salakhutdinov, "Importance Weighted Autoencoders" (2015), equation 8.

    Example:

    >>> import tensorflow as tf, tfvae
    >>> from tfvae.distributions import DiagonalNormal, Normal, StandardNormal
    >>> q = DiagonalNormal(1)([[0.0, 0.0]])
    >>> result = tfvae.evidence.importance_weighted(
    ...     q, StandardNormal(1)(), Normal(1), tf.zeros([1, 1]), num_samples=1000, seed=[1, 2])
    >>> bool(abs(result.estimate[0] + 1.2655) < 4 * result.standard_error[0])  # log N(0; 0, 2)
    True
    """
    x, seed = tf.convert_to_tensor(x), tf.convert_to_tensor(seed)
    samples, chunk = as_count(num_samples, "num_samples"), as_count(chunk_size, "chunk_size")

    def add_block(block: tf.Tensor, *running: tf.Tensor) -> tuple[tf.Tensor, ...]:
        count = tf.minimum(samples - block * BLOCK, BLOCK)
        z, log_ratio = draw_block(q, p, block, count, seed)

        def add_chunk(start: tf.Tensor, *running: tf.Tensor) -> tuple[tf.Tensor, ...]:
            rows = slice(start, start + chunk)
            log_weights = _log_likelihood(likelihood, x, z[rows]) - tf.cast(log_ratio[rows], tf.float64)
            return (start + chunk, *_accumulate(running, log_weights))

        return (block + 1, *_loop(add_chunk, count, running))

    def add_all_blocks() -> tuple[tf.Tensor, ...]:
        nothing = tf.zeros([tf.shape(x)[0]], tf.float64)
        return _loop(add_block, -(-samples // BLOCK), (nothing - float("inf"), nothing, nothing))

    # A graph even where the caller runs eagerly: op by op, the many small draws would take most of the time.
    run = tf.function(add_all_blocks) if tf.executing_eagerly() else add_all_blocks
    return _summarise(run(), samples)


def _loop(
    body: Callable[..., tuple[tf.Tensor, ...]], end: Any, running: tuple[tf.Tensor, ...]
) -> tuple[tf.Tensor, ...]:
    """Run ``body(position, *running)``, which returns the next of both, from position 0 until it reaches ``end``."""
    shapes = (tf.TensorShape([]), *[tf.TensorShape([None])] * len(running))
    state = (tf.constant(0), *running)
    return tf.while_loop(lambda position, *_: position < end, body, state, shape_invariants=shapes)[1:]


def _log_likelihood(likelihood: Callable[[tf.Tensor], Any], x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """Return ``log p(x|z)``, ``[draws, B]`` in float64, for ``z`` of ``[draws, B, *event]``."""
    decoded = likelihood(tf.reshape(z, tf.concat([[-1], tf.shape(z)[2:]], axis=0)))
    repeats = tf.concat([tf.shape(z)[:1], tf.ones([tf.rank(x) - 1], tf.int32)], axis=0)
    log_prob = decoded.log_prob(tf.tile(tf.cast(x, decoded.dtype), repeats))
    return tf.cast(tf.reshape(log_prob, tf.shape(z)[:2]), tf.float64)


def _accumulate(running: tuple[tf.Tensor, ...], log_weights: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Add a chunk to the largest log weight, the sum of the weights and that of their squares, relative to it."""
    largest, total, squares = running
    new_largest = tf.maximum(largest, tf.reduce_max(log_weights, axis=0))
    shift = tf.where(tf.math.is_inf(new_largest), tf.zeros_like(new_largest), new_largest)
    rescale = tf.exp(largest - shift)
    weights = tf.exp(log_weights - shift)
    total = total * rescale + tf.reduce_sum(weights, axis=0)
    squares = squares * tf.square(rescale) + tf.reduce_sum(tf.square(weights), axis=0)
    return new_largest, total, squares


def _summarise(running: tuple[tf.Tensor, ...], samples: int) -> LogLikelihood:
    largest, total, squares = running
    shift = tf.where(tf.math.is_inf(largest), tf.zeros_like(largest), largest)
    estimate = shift + tf.math.log(total) - tf.math.log(tf.constant(samples, tf.float64))
    effective = tf.square(total) / squares
    if samples == 1:
        return LogLikelihood(estimate, tf.fill(tf.shape(estimate), tf.constant(float("inf"), tf.float64)), effective)
    variance = tf.maximum(samples / effective - 1.0, 0.0) / (samples - 1)
    return LogLikelihood(estimate, tf.sqrt(variance), effective)
