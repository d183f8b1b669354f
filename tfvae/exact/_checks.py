"""Checks of parameters and data."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfvae._checks import as_count


def as_parameter(value: Any, name: str, *axes: str) -> np.ndarray:
    """Return a parameter as a finite float64 array with as many axes as are named, each of at least one element."""
    array = as_numbers(value, name)
    if array.ndim != len(axes) or not array.size:
        raise ValueError(f"{name} must have shape [{', '.join(axes)}], not {list(array.shape)}.")
    return array


def as_numbers(value: Any, name: str) -> np.ndarray:
    """Return ``value`` as a finite float64 array."""
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers, not {value!r}.") from None
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; {int((~np.isfinite(array)).sum())} of {array.size} values are not.")
    return array


def as_positive(value: Any, name: str) -> np.ndarray:
    """Return ``value`` as a float64 array of positive, finite numbers."""
    array = as_numbers(value, name)
    if not (array > 0).all():
        raise ValueError(f"{name} must be positive, not {float(array.min())!r}.")
    return array


def in_float64(values: Any) -> tf.Tensor:
    """Return a tensor of ``values`` in float64, lists of numbers without a way through float32."""
    return tf.cast(tf.convert_to_tensor(values, dtype_hint=tf.float64), tf.float64)


def as_training_data(x: Any, latent_size: Any) -> tuple[np.ndarray, int]:
    """Return data ``[N, D]`` in float64 and the number of latent dimensions, checked to be smaller than ``D``."""
    rows = as_parameter(x, "x", "N", "D")
    size = as_count(latent_size, "latent_size")
    if len(rows) < 2:
        raise ValueError("x must have at least two examples to fit a model to, not 1.")
    if size >= rows.shape[1]:
        raise ValueError(
            f"latent_size must be smaller than the number of features, {rows.shape[1]}, not {size}: the directions "
            "that are left over tell the noise."
        )
    return rows, size


def as_matching_positive(**parameters: Any) -> list[np.ndarray]:
    """Return positive parameters, each a number or ``[D]``, broadcast to one shape."""
    arrays = {name: as_positive(value, name) for name, value in parameters.items()}
    shapes = {array.shape for array in arrays.values()} - {()}
    if len(shapes) > 1 or any(len(shape) > 1 or not shape[0] for shape in shapes):
        given = " and ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        raise ValueError(f"The parameters must be numbers or of one shape [D], not {given}.")
    return list(np.broadcast_arrays(*arrays.values()))
