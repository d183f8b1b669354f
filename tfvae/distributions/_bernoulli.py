"""``log p(x|z)`` of binary pixels, for one draw of ``z`` or many."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfvae.distributions._tfp import tfd

# So many factors between 1 and 2 do not overflow.
_FACTORS = 64


def logits_of(decoded: Any) -> tf.Tensor | None:
    """Return the logits ``[N, *event]`` of independent Bernoulli variables, or None for any other distribution.

    Those in half precision, whose range 64 factors leave and whose digits are too few for a sum, in float32.
    """
    if type(decoded) is not tfd.Independent or type(decoded.distribution) is not tfd.Bernoulli:
        return None
    if decoded.distribution.validate_args:  # TFP looks at the data then.
        return None
    logits, event = decoded.distribution.logits, decoded.event_shape
    if logits is None or not event.is_fully_defined() or logits.shape.rank != event.rank + 1:
        return None
    return tf.cast(logits, tf.float32) if logits.dtype in (tf.float16, tf.bfloat16) else logits


def log_prob(logits: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Return what ``tfd.Bernoulli(logits)`` says of ``x``, summed over the event.

        sum_j x_j l_j - log(1 + exp(l_j)) = sum_j (x_j - [l_j > 0]) l_j - log prod_j (1 + exp(-|l_j|))

    by one logarithm for up to 64 pixels, and without a copy of ``x`` for every draw.

    Args:
        logits: ``[n B, *event]``, all examples of a draw side by side.
        x: ``[B, *event]`` of the same dtype.

    Returns:
        ``[n, B]``.
    """
    size = int(logits.shape[1:].num_elements())
    factors = max(count for count in range(1, _FACTORS + 1) if size % count == 0)
    examples = tf.shape(x)[0]
    draws = tf.shape(logits)[0] // tf.maximum(examples, 1)

    @tf.custom_gradient
    def of_all(logits: tf.Tensor, x: tf.Tensor) -> Any:
        linear = tf.math.multiply_no_nan(logits, x - tf.cast(logits > 0, logits.dtype))
        rest = tf.reshape(1.0 + tf.exp(-tf.abs(logits)), [draws, examples, size // factors, factors])
        value = tf.reduce_sum(linear, axis=-1) - tf.reduce_sum(tf.math.log(tf.reduce_prod(rest, axis=-1)), axis=-1)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            upstream = upstream[..., tf.newaxis]
            return upstream * (x - tf.sigmoid(logits)), tf.reduce_sum(upstream * logits, axis=0)

        return value, gradient

    return of_all(tf.reshape(logits, [draws, examples, size]), tf.reshape(x, [examples, size]))
