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


class NormalArray(tfd.Independent):
    """Independent Gaussians over an array of several axes that remember the raw ``log_var`` they came from."""

    log_var: tf.Tensor | None = None


class StandardNormalArray(NormalArray):
    """The standard normal over such an array, known as such without looking at its parameters."""


def normal_array(mean: tf.Tensor, log_var: tf.Tensor, rank: int, kind: type[NormalArray] = NormalArray) -> NormalArray:
    """Return ``N(mean, exp(log_var))`` over the last ``rank`` axes, as ``normal_diag``."""
    distribution = kind(tfd.Normal(mean, tf.exp(0.5 * log_var)), reinterpreted_batch_ndims=rank)
    distribution.log_var = log_var
    return distribution


def normal_diag(mean: tf.Tensor, log_var: tf.Tensor) -> NormalDiag:
    """Return ``N(mean, diag(exp(log_var)))`` carrying ``log_var``, so that no ``log(exp())`` is taken later."""
    distribution = NormalDiag(mean, tf.exp(0.5 * log_var))
    distribution.log_var = log_var
    return distribution


def log_var_of(distribution: Any) -> tf.Tensor:
    """Return the log-variances: those that the distribution remembers, else of its standard deviations."""
    log_var = getattr(distribution, "log_var", None)
    return 2.0 * tf.math.log(distribution.stddev()) if log_var is None else log_var


class _GaussianLatents(Family):
    """What the families over latent variables share: a size where there is one axis, else a shape."""

    support = "finite real numbers"

    def __init__(self, size: int | Sequence[int]) -> None:
        super().__init__(size)

    def get_config(self) -> dict[str, Any]:
        """Return ``{"size": D}``, or the shape."""
        return {"size": self.event_shape[0] if len(self.event_shape) == 1 else list(self.event_shape)}


@keras.saving.register_keras_serializable(package="tfvae")
class StandardNormal(_GaussianLatents):
    """The prior ``N(0, I)`` over ``size`` dimensions; it has no parameters.

    Source: Kingma & Welling, "Auto-Encoding Variational Bayes" (2013).

    Args:
        size: number of dimensions ``D``, or the shape of ``z`` where it has several axes.

    Example:

    >>> import tfvae
    >>> print(f"{tfvae.distributions.StandardNormal(3)().log_prob([0.0, 0.0, 0.0]):.4f}")
    -2.7568
    """

    parameters_per_element = 0

    def __call__(self, params: Any = None) -> Any:
        """Return ``N(0, I)``; an empty parameter tensor ``[0]`` may be given to say the dtype (float32 by default)."""
        return super().__call__(tf.zeros([0]) if params is None else params)

    def make(self, *parameters: tf.Tensor) -> NormalDiag | NormalArray:
        """Return ``N(0, I)`` in the dtype of the empty tensor given."""
        zeros = tf.zeros(self.event_shape, parameters[0].dtype)
        if len(self.event_shape) > 1:
            return normal_array(zeros, zeros, len(self.event_shape), StandardNormalArray)
        distribution = StandardNormalDiag(zeros, tf.ones_like(zeros))
        distribution.log_var = zeros
        return distribution


@keras.saving.register_keras_serializable(package="tfvae")
class DiagonalNormal(_GaussianLatents):
    """The Gaussian ``N(mean, diag(exp(log_var)))`` over ``size`` dimensions, the usual posterior.

    Parameters, flat: ``mean`` (``D`` values), then ``log_var`` (``D`` values, the log of the variance). Where ``z`` has
    several axes, ``(H, W, C)`` of a convolutional encoder say, also ``[..., H, W, 2 C]``: along the last axis the
    channels of ``mean``, then those of ``log_var``.

    Source: Kingma & Welling, "Auto-Encoding Variational Bayes" (2013), appendix C.2.

    Args:
        size: number of dimensions ``D``, or the shape of ``z`` where it has several axes.

    Example:

    >>> import tensorflow as tf, tfvae
    >>> q = tfvae.distributions.DiagonalNormal(2)([[1.0, 2.0, 0.0, 0.0]])
    >>> q.mean().numpy().tolist(), q.stddev().numpy().tolist()
    ([[1.0, 2.0]], [[1.0, 1.0]])
    >>> tfvae.distributions.DiagonalNormal((4, 4, 8))(tf.zeros([3, 4, 4, 16])).event_shape.as_list()
    [4, 4, 8]
    """

    parameters_per_element = 2

    def make(self, *parameters: tf.Tensor) -> NormalDiag | NormalArray:
        """Return ``N(mean, diag(exp(log_var)))``."""
        if len(self.event_shape) > 1:
            return normal_array(parameters[0], parameters[1], len(self.event_shape))
        return normal_diag(*parameters)


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
