"""Do the parts of a model fit together, and the data the model?"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvae.distributions import Family


def check_parts(encoder: Any, decoder: Any, **families: Any) -> None:
    """Check that the networks are Keras layers and the families are families."""
    for name, network in (("encoder", encoder), ("decoder", decoder)):
        if not isinstance(network, keras.layers.Layer):
            raise TypeError(f"{name} must be a Keras model or layer, not {network!r}.")
    for name, family in families.items():
        if not isinstance(family, Family):
            raise TypeError(
                f"{name} must be a family such as tfvae.distributions.Normal(event_shape), not {family!r}. "
                "For another distribution of TensorFlow Probability, subclass tfvae.distributions.Family."
            )


def check_sizes(encoder: Any, decoder: Any, posterior: Family, likelihood: Family, prior: Family) -> None:
    """Check what is known of the sizes before the first call."""
    if prior.event_shape != posterior.event_shape:
        raise ValueError(
            f"prior and posterior must be over the same z, not of event shapes {list(prior.event_shape)} and "
            f"{list(posterior.event_shape)}."
        )
    for network, family, what in (
        (encoder, posterior, "The encoder's output"),
        (decoder, likelihood, "The decoder's output"),
    ):
        shape = _known_shape(network, "output_shape")
        if shape is not None:
            family.check_params_shape(shape, what)
    taken = _known_shape(decoder, "input_shape")
    if taken is not None:
        posterior.check_event_shape(taken, "The decoder's input")


def check_network_output(params: Any, family: Family, network: str) -> tf.Tensor:
    """Return what a network gave, or say how it does not fit the family."""
    if not tf.is_tensor(params):
        raise TypeError(
            f"The {network} must give one tensor with the parameters of {family!r} along its last axis, not "
            f"{type(params).__name__}. Concatenate them: mean, then log_var."
        )
    family.check_params_shape(params.shape, f"The {network}'s output")
    return params


def as_kl_weight(value: Any) -> float:
    """Return a KL weight as a float, or say what is wrong with it."""
    try:
        good = not isinstance(value, (bool, str)) and math.isfinite(value) and value >= 0
    except TypeError:
        good = False
    if not good:
        raise ValueError(f"The weight of the KL must be a finite number of at least 0, not {value!r}.")
    return float(value)


def check_data(x: Any, likelihood: Family) -> None:
    """Check arrays against the likelihood's support; what only a graph can read (datasets, generators) is let through."""
    if isinstance(x, np.ndarray) or (tf.is_tensor(x) and hasattr(x, "numpy")):
        likelihood.check_support(x)


def with_targets(data: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
    """Return ``(x, y, sample_weight)`` with stand-in targets: Keras drops the weights of data that have none."""
    x, y, sample_weight = data
    if sample_weight is not None and y is None:
        y = np.zeros([len(x), 1], np.float32)
    return x, y, sample_weight


def _known_shape(network: Any, attribute: str) -> Any:
    """Return the shape of a functional or built Sequential model; None where only calling it would tell."""
    try:
        shape = getattr(network, attribute, None)
    except (AttributeError, ValueError, RuntimeError):
        return None
    return shape if isinstance(shape, tuple) and all(n is None or isinstance(n, int) for n in shape) else None
