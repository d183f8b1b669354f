"""Densities of unbounded ``u`` where ``z = bijector(u)`` comes so near to its bound that it is rounded to it.

The density of ``z`` may have a pole there, and its product with the Jacobian, which is finite, then is ``inf * 0``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfvae.distributions._tfp import tfd


def log_density(p: Any) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """Return ``log p(u)`` of Betas (``z = sigmoid(u)``) or Gammas (``z = softplus(u)``); None of any other ``p``."""
    events = 0
    if isinstance(p, tfd.Independent):
        p, events = p.distribution, int(tf.get_static_value(p.reinterpreted_batch_ndims))
    formula = _FORMULAS.get(type(p))
    if formula is None:
        return None
    return lambda u: tf.reduce_sum(formula(p, u), axis=list(range(-events, 0)))


def _beta(p: Any, u: tf.Tensor) -> tf.Tensor:
    a, b = p.concentration1, p.concentration0
    normalizer = tf.math.lgamma(a) + tf.math.lgamma(b) - tf.math.lgamma(a + b)
    return a * tf.math.log_sigmoid(u) + b * tf.math.log_sigmoid(-u) - normalizer


def _gamma(p: Any, u: tf.Tensor) -> tf.Tensor:
    c, rate = p.concentration, p.rate if p.rate is not None else tf.exp(p.log_rate)
    # Below -35, and so before softplus(u) is 0, its logarithm is u to 16 digits.
    log_z = tf.math.log(tf.math.softplus(tf.maximum(u, -35.0))) + tf.minimum(u + 35.0, 0.0)
    normalizer = tf.math.lgamma(c) - c * tf.math.log(rate)
    return (c - 1.0) * log_z - rate * tf.math.softplus(u) + tf.math.log_sigmoid(u) - normalizer


_FORMULAS = {tfd.Beta: _beta, tfd.Gamma: _gamma}
