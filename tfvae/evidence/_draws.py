"""Draws with their log density ratios and log-weights, the noise fixed by the seed and the draw's index alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfvae import ops
from tfvae.distributions import _bernoulli
from tfvae.distributions._sample_and_kl import as_events, fused_arguments
from tfvae.evidence._job import ROWS, decoder_rows
from tfvae.objectives import as_values_of

# Draws that share a seed, and so the most that are held at once. Another number is another, equally good, noise.
BLOCK = 128
# Draws of one pass through the traced function.
PASS = 32 * BLOCK

Terms = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def draw(q: Any, p: Any, seed: tf.Tensor, num_samples: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Draw ``num_samples`` times ``z ~ q`` and return them with their ``log q(z) - log p(z)``.

    ``z`` is ``[num_samples, *batch, *event]``, the ratio ``[num_samples, *batch]``: by ``reparameterize_log_ratio``
    where both are diagonal Gaussians, else as TFP has it.
    """
    fused = fused_arguments(q, p)
    if fused is not None:
        z, ratio = ops.reparameterize_log_ratio(**fused, seed=seed, num_samples=num_samples)
        return as_events(z, q), ratio
    z = q.sample(num_samples, seed=tf.cast(seed, tf.int32))
    return z, log_ratio(q, p, z)


def log_ratio(q: Any, p: Any, z: tf.Tensor) -> tf.Tensor:
    """Return ``log q(z) - log p(z)``."""
    return q.log_prob(z) - p.log_prob(z)


def log_likelihood(model: Any, x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """Return ``log p(x|z)``, ``[n, B]`` in float64, for ``x`` ``[B, *event]`` and ``z`` ``[n, B, *latent]``."""
    decoded = model.likelihood(tf.reshape(z, tf.concat([[-1], tf.shape(z)[2:]], axis=0)))
    x = as_values_of(decoded, x)
    logits = _bernoulli.logits_of(decoded)
    if logits is not None:
        return tf.cast(_bernoulli.log_prob(logits, tf.cast(x, logits.dtype)), tf.float64)
    repeats = tf.concat([tf.shape(z)[:1], tf.ones([tf.rank(x) - 1], tf.int32)], axis=0)
    log_prob = decoded.log_prob(tf.tile(x, repeats))
    return tf.cast(tf.reshape(log_prob, tf.shape(z)[:2]), tf.float64)


def passes(draws: int) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Return the first block and the number of draws of every pass that ``draws`` take."""
    return [(tf.constant(first // BLOCK), tf.constant(min(PASS, draws - first))) for first in range(0, draws, PASS)]


def of_draws(terms: Terms, seed: tf.Tensor, first: tf.Tensor, draws: tf.Tensor, values: int) -> tf.Tensor:
    """Return ``terms(seed of a block, draws of it)`` of a pass's blocks one after another, ``[draws, B, values]``."""
    blocks = -(-draws // BLOCK)
    parts = tf.TensorArray(tf.float64, size=blocks, infer_shape=False, element_shape=[None, None, values])

    def add(index: tf.Tensor, parts: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        block_seed = tf.random.experimental.stateless_fold_in(seed, first + index, alg="philox")
        return index + 1, parts.write(index, terms(block_seed, tf.minimum(draws - index * BLOCK, BLOCK)))

    _, parts = tf.while_loop(lambda index, _: index < blocks, add, (tf.constant(0), parts), parallel_iterations=1)
    return parts.concat()


def counted(tensor: tf.Tensor, draws: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Return the draws and rows that count of ``[BLOCK, ROWS, ...]``; not copied where all rows do."""
    tensor = tensor[:draws]
    return tf.cond(count == ROWS, lambda: tensor, lambda: tensor[:, :count])


def in_chunks(of_chunk: Callable[..., tf.Tensor], x: tf.Tensor, *of_draw: tf.Tensor) -> tf.Tensor:
    """Return ``of_chunk(*some draws of each)`` for all of them, ``[n, B, values]``, few enough at a time to decode.

    The tensors ``of_draw`` are ``[n, B, ...]``, ``x`` is ``[B, *event]``.
    """
    chunk = tf.maximum(1, decoder_rows(x) // tf.maximum(1, tf.shape(x)[0]))
    count = tf.shape(of_draw[0])[0]
    pieces = -(-count // chunk)
    parts = tf.TensorArray(tf.float64, size=pieces, infer_shape=False, element_shape=[None, None, None])

    def add(index: tf.Tensor, parts: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        some = slice(index * chunk, (index + 1) * chunk)
        return index + 1, parts.write(index, of_chunk(*(tensor[some] for tensor in of_draw)))

    _, parts = tf.while_loop(lambda index, _: index < pieces, add, (tf.constant(0), parts), parallel_iterations=2)
    return parts.concat()


def signature(x: tf.Tensor) -> list[tf.TensorSpec]:
    """Return what a pass is called with: rows of ``x`` as ``padded``, how many count, a seed, first block, draws."""
    shape, scalar = [ROWS, *x.shape[1:]], tf.TensorSpec([], tf.int32)
    return [tf.TensorSpec(shape, x.dtype), scalar, tf.TensorSpec([2], tf.int32), scalar, scalar]
