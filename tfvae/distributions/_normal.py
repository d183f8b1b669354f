"""Gaussian families."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfvae.distributions._family import Family
from tfvae.distributions._tfp import tfd


class NormalDiag(tfd.MultivariateNormalDiag):
    """A ``MultivariateNormalDiag`` that remembers the raw ``log_var`` it came from."""

    log_var: tf.Tensor | None = None


class StandardNormalDiag(NormalDiag):
    """The standard normal, known as such without looking at its parameters."""


def normal_diag(mean: tf.Tensor, log_var: tf.Tensor) -> NormalDiag:
    """Return ``N(mean, diag(exp(log_var)))`` carrying ``log_var``, so that no ``log(exp())`` is taken later."""
    distribution = NormalDiag(mean, tf.exp(0.5 * log_var))
    distribution.log_var = log_var
    return distribution


@keras.saving.register_keras_serializable(package="tfvae")
class StandardNormal(Family):
    """The prior ``N(0, I)`` over ``size`` dimensions; it has no parameters.

    Source: Kingma & Welling, "Auto-Encoding Variational Bayes" (2013).

    Args:
        size: number of dimensions ``D``.

    Example:

    >>> import tfvae
    >>> print(f"{tfvae.distributions.StandardNormal(3)().log_prob([0.0, 0.0, 0.0]):.4f}")
    -2.7568
    """

    parameters_per_element = 0
    support = "finite real numbers"

    def __init__(self, size: int) -> None:
        super().__init__(size)
        _check_vector(self)

    def __call__(self, params: Any = None) -> Any:
        """Return ``N(0, I)``; an empty parameter tensor ``[0]`` may be given to say the dtype (float32 by default)."""
        return super().__call__(tf.zeros([0]) if params is None else params)

    def make(self, *parameters: tf.Tensor) -> NormalDiag:
        """Return ``N(0, I)`` in the dtype of the empty tensor given."""
        zeros = tf.zeros(self.event_shape, parameters[0].dtype)
        distribution = StandardNormalDiag(zeros, tf.ones_like(zeros))
        distribution.log_var = zeros
        return distribution

    def get_config(self) -> dict[str, Any]:
        """Return ``{"size": D}``."""
        return {"size": self.event_shape[0]}


@keras.saving.register_keras_serializable(package="tfvae")
class DiagonalNormal(Family):
    """The Gaussian ``N(mean, diag(exp(log_var)))`` over ``size`` dimensions, the usual posterior.

    Parameters, flat: ``mean`` (``D`` values), then ``log_var`` (``D`` values, the log of the variance).

    Source: Kingma & Welling, "Auto-Encoding Variational Bayes" (2013), appendix C.2.

    Args:
        size: number of dimensions ``D``.

    Example:

    >>> import tfvae
    >>> q = tfvae.distributions.DiagonalNormal(2)([[1.0, 2.0, 0.0, 0.0]])
    >>> q.mean().numpy().tolist(), q.stddev().numpy().tolist()
    ([[1.0, 2.0]], [[1.0, 1.0]])
    """

    parameters_per_element = 2
    support = "finite real numbers"

    def __init__(self, size: int) -> None:
        super().__init__(size)
        _check_vector(self)

    def make(self, *parameters: tf.Tensor) -> NormalDiag:
        """Return ``N(mean, diag(exp(log_var)))``."""
        return normal_diag(*parameters)

    def get_config(self) -> dict[str, Any]:
        """Return ``{"size": D}``."""
        return {"size": self.event_shape[0]}


@keras.saving.register_keras_serializable(package="tfvae")
class Normal(Family):
    """Independent Gaussians over the elements of an event, the likelihood of real-valued data.

    With a fixed ``scale`` the parameters are the ``mean`` of every element; with ``scale="learned"`` they are ``mean``,
    then ``log_var``.

    Args:
        event_shape: shape of one event.
        scale: standard deviation of every element, a positive number, or ``"learned"``.

    Raises:
        ValueError: if ``scale`` is neither.

    Example:

    >>> import tensorflow as tf, tfvae
    >>> likelihood = tfvae.distributions.Normal((8, 8, 1), scale=0.5)
    >>> likelihood.params_size, likelihood(tf.zeros([3, 64])).event_shape.as_list()
    (64, [8, 8, 1])
    """

    support = "finite real numbers"

    def __init__(self, event_shape: int | Sequence[int], scale: float | str = 1.0) -> None:
        super().__init__(event_shape)
        learned = isinstance(scale, str) and scale == "learned"
        if isinstance(scale, bool) or not (learned or _is_positive(scale)):
            raise ValueError(f'The scale of Normal must be a positive number or "learned", not {scale!r}.')
        self.scale: float | str = scale if isinstance(scale, str) else float(scale)
        self.parameters_per_element = 2 if learned else 1

    def make(self, *parameters: tf.Tensor) -> Any:
        """Return independent Gaussians with these means and, if learned, log-variances."""
        mean = parameters[0]
        scale = tf.exp(0.5 * parameters[1]) if self.scale == "learned" else tf.constant(self.scale, mean.dtype)
        return tfd.Independent(tfd.Normal(mean, scale), reinterpreted_batch_ndims=len(self.event_shape))

    def get_config(self) -> dict[str, Any]:
        """Return ``{"event_shape": [...], "scale": ...}``."""
        return {**super().get_config(), "scale": self.scale}


def _is_positive(value: Any) -> bool:
    try:
        return math.isfinite(value) and value > 0
    except (TypeError, OverflowError):
        return False


def _check_vector(family: Family) -> None:
    if len(family.event_shape) != 1:
        raise ValueError(
            f"{type(family).__name__} takes one number of dimensions, not the shape {list(family.event_shape)}."
        )
