"""Many examples and samples in bounded memory."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tfvae.evidence._importance import LogLikelihood

ROWS = 128
DECODER_ROWS = 4096


def in_blocks(estimate: Callable[..., LogLikelihood], x: tf.Tensor, seed: tf.Tensor) -> LogLikelihood:
    """Run ``estimate(rows, seed=..., chunk_size=...)`` on blocks of ``ROWS`` rows, each with its own seed.

    ``chunk_size`` is such that at most about ``DECODER_ROWS`` rows go through the decoder at a time.
    """
    chunk_size = max(1, DECODER_ROWS // max(1, min(ROWS, len(x))))
    traced = tf.function(estimate, reduce_retracing=True)
    blocks = []
    for first in range(0, max(1, len(x)), ROWS):
        block_seed = tf.random.experimental.stateless_fold_in(seed, first, alg="philox")
        blocks.append(traced(x[first : first + ROWS], seed=block_seed, chunk_size=chunk_size))
    return LogLikelihood(*(tf.concat(parts, axis=0) for parts in zip(*blocks, strict=True)))
