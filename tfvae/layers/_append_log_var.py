"""A learned noise level for decoders that only give a mean."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfvae.layers._checks import is_finite_number


@keras.saving.register_keras_serializable(package="tfvae")
class AppendLogVar(keras.layers.Layer):
    """Appends one trainable ``log_var``, shared by all elements, to a decoder's means.

    As a decoder's last layer it makes ``tfvae.distributions.Normal(event_shape, scale="learned")`` learn one noise
    level for all elements, as in probabilistic PCA: ``[..., C]`` in, ``[..., 2 C]`` out, its second half ``log_var``.

    Source: Tipping & Bishop, "Probabilistic Principal Component Analysis" (1999).

    Args:
        initial: value of ``log_var`` at the start.

    Raises:
        ValueError: if ``initial`` is not a finite number.

    Example:

    >>> import tensorflow as tf, tfvae
    >>> tfvae.layers.AppendLogVar(initial=-1.0)(tf.zeros([1, 2])).numpy().tolist()
    [[0.0, 0.0, -1.0, -1.0]]
    """

    def __init__(self, initial: float = 0.0, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if not is_finite_number(initial):
            raise ValueError(f"The initial log_var must be a finite number, not {initial!r}.")
        self.initial = float(initial)
        self.log_var = self.add_weight(shape=(), initializer=keras.initializers.Constant(self.initial), name="log_var")
        self.built = True

    def call(self, mean: tf.Tensor) -> tf.Tensor:
        """Return ``mean`` and ``log_var`` side by side."""
        return tf.concat([mean, tf.fill(tf.shape(mean), tf.cast(self.log_var, mean.dtype))], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "initial": self.initial}
