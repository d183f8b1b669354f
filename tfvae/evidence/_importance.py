"""The importance-weighted estimate of the evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tfvae._checks import as_count
from tfvae.distributions import sample_and_kl


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
    of ``log p(x)`` that never falls as ``K`` grows. The samples go through the decoder ``chunk_size * B`` rows at a
    time and their weights into a running log-sum-exp in float64, so memory does not grow with ``K``. Every sample has
    a seed of its own, so the answer does not depend on ``chunk_size`` (beyond rounding).

    Args:
        q: the posterior ``q(z|x)``, batch ``[B]``.
        p: the prior ``p(z)``.
        likelihood: turns ``z`` ``[n, *event]`` into the distribution ``p(x|z)``, batch ``[n]``.
        x: data ``[B, *event]``.
        num_samples: number of importance samples ``K`` per example.
        seed: two integers, shape ``[2]``.
        chunk_size: importance samples per pass through the decoder.

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

    def add_chunk(start: tf.Tensor, *running: tf.Tensor) -> tuple[tf.Tensor, ...]:
        indices = tf.range(start, tf.minimum(start + chunk, samples))
        log_weights = _log_weights(q, p, likelihood, x, indices, seed)
        return (start + chunk, *_accumulate(running, log_weights))

    def add_all_chunks() -> tuple[tf.Tensor, ...]:
        nothing = tf.zeros([tf.shape(x)[0]], tf.float64)
        state = (tf.constant(0, tf.int64), nothing - float("inf"), nothing, nothing)
        shapes = (tf.TensorShape([]), *[tf.TensorShape([None])] * 3)
        return tf.while_loop(lambda start, *_: start < samples, add_chunk, state, shape_invariants=shapes)[1:]

    # A graph even where the caller runs eagerly: op by op, the many small draws would take most of the time.
    run = tf.function(add_all_chunks) if tf.executing_eagerly() else add_all_chunks
    return _summarise(run(), samples)


def _log_weights(
    q: Any, p: Any, likelihood: Callable[[tf.Tensor], Any], x: tf.Tensor, indices: tf.Tensor, seed: Any
) -> tf.Tensor:
    """Return ``log p(x|z) + log p(z) - log q(z|x)``, ``[samples of the chunk, B]`` in float64."""

    def draw(index: tf.Tensor) -> tf.Tensor:
        sample_seed = tf.random.experimental.stateless_fold_in(seed, index, alg="philox")
        return sample_and_kl(q, p, seed=sample_seed).z

    z = tf.map_fn(draw, indices, fn_output_signature=q.dtype)
    z = tf.ensure_shape(z, tf.TensorShape([None]).concatenate(q.batch_shape).concatenate(q.event_shape))
    decoded = likelihood(tf.reshape(z, tf.concat([[-1], tf.shape(z)[2:]], axis=0)))
    repeats = tf.concat([[tf.shape(indices)[0]], tf.ones([tf.rank(x) - 1], tf.int32)], axis=0)
    reconstruction = decoded.log_prob(tf.tile(tf.cast(x, decoded.dtype), repeats))
    reconstruction = tf.reshape(reconstruction, tf.shape(z)[:2])
    return tf.cast(reconstruction, tf.float64) + tf.cast(p.log_prob(z) - q.log_prob(z), tf.float64)


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
