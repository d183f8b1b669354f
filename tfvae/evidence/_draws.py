"""Draws of the posterior with their log density ratios, the noise fixed by the seed and the draw's index alone."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfvae import ops
from tfvae.distributions._sample_and_kl import fused_arguments

# Draws that share a seed, and so the most that are held at once. Another number is another, equally good, noise.
BLOCK = 64


def draw_block(q: Any, p: Any, block: tf.Tensor, count: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the first ``count`` of block ``block``'s draws ``z ~ q`` and their ``log q(z) - log p(z)``.

    ``z`` is ``[count, *batch, *event]``, the ratio ``[count, *batch]``: by ``reparameterize_log_ratio`` where both are
    diagonal Gaussians, else as TFP has it.
    """
    block_seed = tf.random.experimental.stateless_fold_in(seed, block, alg="philox")
    fused = fused_arguments(q, p)
    if fused is not None:
        z, log_ratio = ops.reparameterize_log_ratio(**fused, seed=block_seed, num_samples=BLOCK)
        return z[:count], log_ratio[:count]

    def draw(index: tf.Tensor) -> tf.Tensor:
        draw_seed = tf.random.experimental.stateless_fold_in(block_seed, index, alg="philox")
        return q.sample(seed=tf.cast(draw_seed, tf.int32))

    z = tf.map_fn(draw, tf.range(count), fn_output_signature=q.dtype)
    z = tf.ensure_shape(z, tf.TensorShape([None]).concatenate(q.batch_shape).concatenate(q.event_shape))
    return z, q.log_prob(z) - p.log_prob(z)
