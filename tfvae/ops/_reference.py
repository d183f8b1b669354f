"""The op's specification in plain TensorFlow, differentiated by TensorFlow itself.

Noise is a pure function of the seed and of the element's position: Philox-4x32-10 words (Salmon et al. 2011) turned
into normals by Box-Muller with TensorFlow's conventions. The Box-Muller step is written out on the raw words because
stock ``stateless_normal`` gives other normals under XLA, while the words agree everywhere.

No tensor has more than two gradients to be added up: three TensorFlow adds in the order in which they come, so that
training on the reference would not repeat bit by bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

# ``(prior_mean, prior_log_var)``, each of the shape of mean or of its last axis; empty for the standard normal.
Prior = Sequence[tf.Tensor]

_SMALLEST_UNIFORM = 1e-7  # TensorFlow's guard against log(0), for both precisions.
_SERIES_RADIUS = 0.5


def accumulation_dtype(dtype: tf.DType) -> tf.DType:
    """Return the dtype of noise, arithmetic and sums: float32 for the half precisions, else ``dtype``."""
    return tf.float64 if dtype == tf.float64 else tf.float32


def standard_normal(shape: tf.Tensor, seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Return ``tf.random.stateless_normal(shape, seed, alg="philox")`` in any execution mode, float32 or float64."""
    shape = tf.cast(shape, tf.int64)
    size = tf.reduce_prod(shape)
    per_group = 2 if dtype == tf.float64 else 4
    groups = (size + per_group - 1) // per_group
    words = tf.random.stateless_uniform(
        tf.stack([groups, 4]), seed, dtype=tf.uint32, minval=None, maxval=None, alg="philox"
    )
    if dtype == tf.float64:
        high = tf.bitwise.bitwise_and(words[:, 0::2], np.uint32(0xFFFFF))
        bits = tf.bitwise.left_shift(tf.cast(high, tf.uint64), np.uint64(32)) | tf.cast(words[:, 1::2], tf.uint64)
        uniform = tf.bitcast(bits | np.uint64(1023 << 52), tf.float64) - 1.0
    else:
        bits = tf.bitwise.bitwise_and(words, np.uint32(0x7FFFFF))
        uniform = tf.bitcast(tf.bitwise.bitwise_or(bits, np.uint32(127 << 23)), tf.float32) - 1.0
    radius = tf.sqrt(-2.0 * tf.math.log(tf.maximum(uniform[:, 0::2], _SMALLEST_UNIFORM)))
    # TensorFlow multiplies by 2 pi in double precision and rounds the angle once.
    angle = tf.cast(2.0 * math.pi * tf.cast(uniform[:, 1::2], tf.float64), dtype)
    normals = tf.stack([tf.sin(angle) * radius, tf.cos(angle) * radius], axis=-1)
    return tf.reshape(tf.reshape(normals, [-1])[:size], shape)


@tf.custom_gradient
def expm1_minus(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Return ``exp(x) - 1 - x`` without the cancellation near zero, by its series ``x^2 (1/2 + x/6 + ...)`` there.

    The gradient is ``exp(x) - 1``, and not that of the series: TensorFlow would add up its many terms in whatever order
    they come, and no two runs would agree to the bit.
    """
    near = tf.abs(x) < _SERIES_RADIUS
    small = tf.where(near, x, tf.zeros_like(x))
    terms = 18 if x.dtype == tf.float64 else 9
    series = tf.zeros_like(x)
    for k in reversed(range(2, terms)):
        series = series * small + 1.0 / math.factorial(k)
    large = tf.where(near, tf.ones_like(x), x)
    value = tf.where(near, small * small * series, tf.math.expm1(large) - large)
    return value, lambda upstream: upstream * tf.math.expm1(x)


def reparameterize_kl(
    mean: tf.Tensor, log_var: tf.Tensor, prior: Prior, seed: tf.Tensor, per_dimension: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return ``z = mean + exp(log_var / 2) eps`` and ``KL(N(mean, exp(log_var)) || prior)``."""
    dtype = accumulation_dtype(mean.dtype)
    m, lv, *p = (tf.cast(tensor, dtype) for tensor in (mean, log_var, *prior))
    z = m + tf.exp(0.5 * lv) * standard_normal(tf.shape(mean, out_type=tf.int64), seed, dtype)
    if prior:
        kl = 0.5 * (tf.square(m - p[0]) * tf.exp(-p[1]) + expm1_minus(lv - p[1]))
    else:
        # The identity, because TensorFlow differentiates no branch whose custom gradient takes a tensor from outside.
        kl = 0.5 * (tf.square(m) + expm1_minus(tf.identity(lv)))
    return tf.cast(z, mean.dtype), kl if per_dimension else tf.reduce_sum(kl, axis=-1)


def reparameterize_log_ratio(
    mean: tf.Tensor,
    log_var: tf.Tensor,
    prior: Prior,
    seed: tf.Tensor,
    num_samples: int,
    stop_density_gradient: bool,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return ``num_samples`` draws ``z`` and their ``log q(z) - log p(z)``."""
    dtype = accumulation_dtype(mean.dtype)
    m, lv, *p = (tf.cast(tensor, dtype) for tensor in (mean, log_var, *prior))
    shape = tf.concat([[num_samples], tf.shape(mean, out_type=tf.int64)], axis=0)
    eps = standard_normal(shape, seed, dtype)
    sigma = tf.exp(0.5 * lv)
    z = m + sigma * eps
    if stop_density_gradient:
        # Of the value eps, with the gradient that (z - mean) / sigma has by z alone.
        nothing = (z - tf.stop_gradient(z)) / tf.stop_gradient(sigma)
        eps += tf.where(tf.math.is_nan(nothing), tf.zeros_like(nothing), nothing)
        lv = tf.stop_gradient(lv)
    distance = tf.square(z - p[0]) * tf.exp(-p[1]) + p[1] if prior else tf.square(z)
    log_ratio = tf.reduce_sum(0.5 * (distance - tf.square(eps) - lv), axis=-1)
    return tf.cast(z, mean.dtype), log_ratio
