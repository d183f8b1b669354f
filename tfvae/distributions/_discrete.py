"""Families of discrete data."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvae.distributions._family import Family
from tfvae.distributions._tfp import tfd


@keras.saving.register_keras_serializable(package="tfvae")
class Bernoulli(Family):
    """Independent Bernoulli variables, the likelihood of binary data; the parameters are logits.

    Only 0 and 1 are data of a Bernoulli: for a grey value between them ``log p(x)`` is no log-probability and an ELBO
    no bound, so ``check_support`` refuses it. Binarise such data or take another likelihood.

    Args:
        event_shape: shape of one event.

    Example:

    >>> import tfvae
    >>> p = tfvae.distributions.Bernoulli(2)([[0.0, 0.0]])
    >>> print(f"{p.log_prob([[1.0, 0.0]])[0]:.4f}")
    -1.3863
    """

    support = "0 or 1"

    def make(self, *parameters: tf.Tensor) -> Any:
        """Return independent Bernoulli variables with these logits."""
        (logits,) = parameters
        return tfd.Independent(
            tfd.Bernoulli(logits=logits, dtype=logits.dtype), reinterpreted_batch_ndims=len(self.event_shape)
        )

    def is_supported(self, x: np.ndarray) -> np.ndarray:
        """Tell where ``x`` is 0 or 1."""
        return (x == 0) | (x == 1)

    def _advice(self) -> str:
        return "Binarise the data first (x > 0.5, say), or choose another likelihood such as Normal."


@keras.saving.register_keras_serializable(package="tfvae")
class Categorical(Family):
    """Independent categorical variables, the likelihood of integer data; the parameters are logits.

    The ``num_classes`` logits of one element lie side by side, in both layouts: ``[..., *event_shape, num_classes]``
    with its last two axes, or all of its event's axes, run together. The mean that ``predict`` gives is that of the
    one-hot coding, so the class probabilities ``[..., *event_shape, num_classes]``.

    Args:
        event_shape: shape of one event, without an axis for the classes.
        num_classes: number of classes; the data are integers from 0 to ``num_classes - 1``.

    Raises:
        ValueError: if ``num_classes`` is not an integer of at least 2.

    Example:

    >>> import tensorflow as tf, tfvae
    >>> likelihood = tfvae.distributions.Categorical(3, num_classes=4)
    >>> likelihood.params_size
    12
    >>> print(f"{likelihood(tf.zeros([1, 12])).log_prob([[0, 3, 2]])[0]:.4f}")
    -4.1589
    """

    def __init__(self, event_shape: int | Sequence[int], num_classes: int) -> None:
        super().__init__(event_shape)
        try:
            self.num_classes = operator.index(num_classes)
        except TypeError:
            self.num_classes = 0
        if isinstance(num_classes, bool) or self.num_classes < 2:
            raise ValueError(f"num_classes of Categorical must be an integer of at least 2, not {num_classes!r}.")
        self.parameters_per_element = self.num_classes
        self.support = f"integers from 0 to {self.num_classes - 1}"

    def make(self, *parameters: tf.Tensor) -> Any:
        """Return independent categorical variables with these logits, ``[..., *event_shape, num_classes]``."""
        (logits,) = parameters
        return tfd.Independent(tfd.Categorical(logits=logits), reinterpreted_batch_ndims=len(self.event_shape))

    def mean(self, distribution: Any) -> tf.Tensor:
        """Return the class probabilities, ``[..., *event_shape, num_classes]``."""
        return distribution.distribution.probs_parameter()

    def is_supported(self, x: np.ndarray) -> np.ndarray:
        """Tell where ``x`` is an integer from 0 to ``num_classes - 1``."""
        return (x >= 0) & (x < self.num_classes) & (x == np.floor(x))

    def get_config(self) -> dict[str, Any]:
        """Return ``{"event_shape": [...], "num_classes": ...}``."""
        return {**super().get_config(), "num_classes": self.num_classes}

    def _split(self, params: tf.Tensor, event_shaped: bool) -> list[tf.Tensor]:
        axes = len(self.event_shape) if event_shaped else 1
        shape = [*self.event_shape, self.num_classes]
        logits = tf.reshape(params, tf.concat([tf.shape(params)[:-axes], shape], axis=0))
        return [tf.ensure_shape(logits, params.shape[:-axes].concatenate(shape))]
