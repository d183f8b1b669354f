"""Turn the arguments of the ops into tensors, or say what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae._checks import as_count

DTYPES = (tf.float16, tf.bfloat16, tf.float32, tf.float64)
_NAMES = ", ".join(dtype.name for dtype in DTYPES)


def as_seed(seed: Any) -> tf.Tensor:
    """Return ``seed`` as an integer tensor of shape [2]; Python integers become int64."""
    if seed is None:
        raise TypeError(
            "seed must be two integers, as for tf.random.stateless_normal, not None. Pass seed=[1, 2], say."
        )
    if not tf.is_tensor(seed) and getattr(seed, "dtype", None) in (None, np.dtype(object)):
        seed = _integers(seed)
    seed = tf.convert_to_tensor(seed)
    if seed.dtype not in (tf.int32, tf.int64):
        raise TypeError(f"seed must be int32 or int64, not {seed.dtype.name}.")
    if not seed.shape.is_compatible_with([2]):
        raise ValueError(f"seed must have shape [2], not {_show(seed.shape)}.")
    return seed


def _integers(seed: Any) -> Any:
    parts = tf.nest.flatten(seed)
    if any(tf.is_tensor(part) for part in parts):
        return seed
    # Looked at before NumPy converts them, because it would round 1.5 and read "1" silently.
    if all(np.asarray(part).dtype.kind in "iu" for part in parts):
        try:
            return np.asarray(seed, dtype=np.int64)
        except (TypeError, ValueError, OverflowError):
            pass
    raise TypeError(f"seed must be two integers that fit in 64 bits, not {seed!r}.")


def as_parameters(mean: Any, log_var: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Return ``mean`` and ``log_var`` as floating tensors of one dtype, one shape and rank at least 1."""
    mean = tf.convert_to_tensor(_dense("mean", mean))
    if mean.dtype not in DTYPES:
        raise TypeError(f"mean must be one of {_NAMES}, not {mean.dtype.name}.")
    log_var = _like_mean("log_var", log_var, mean)
    if mean.shape.rank == 0:
        raise ValueError("mean must have rank 1 or more (its last axis is the latent one), not shape [].")
    if not mean.shape.is_compatible_with(log_var.shape):
        raise ValueError(f"log_var must have the shape of mean, {_show(mean.shape)}, not {_show(log_var.shape)}.")
    return mean, log_var


def as_prior(prior_mean: Any, prior_log_var: Any, mean: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Return the prior's parameters, of the shape of ``mean`` or of its last axis, or nothing if both are None."""
    if prior_mean is None and prior_log_var is None:
        return ()
    if prior_mean is None or prior_log_var is None:
        missing = "prior_mean" if prior_mean is None else "prior_log_var"
        raise ValueError(f"prior_mean and prior_log_var must be given together, or neither; {missing} is None.")
    prior_mean = _like_mean("prior_mean", prior_mean, mean)
    prior_log_var = _like_mean("prior_log_var", prior_log_var, mean)
    if not prior_mean.shape.is_compatible_with(prior_log_var.shape):
        shapes = f"{_show(prior_mean.shape)}, not {_show(prior_log_var.shape)}"
        raise ValueError(f"prior_log_var must have the shape of prior_mean, {shapes}.")
    if not any(prior_mean.shape.is_compatible_with(shape) for shape in (mean.shape, mean.shape[-1:])):
        shapes = f"{_show(mean.shape)}, or its last axis alone, not {_show(prior_mean.shape)}"
        raise ValueError(f"prior_mean must have the shape of mean, {shapes}.")
    return prior_mean, prior_log_var


def _dense(name: str, value: Any) -> Any:
    if value is None or isinstance(value, tf.RaggedTensor | tf.SparseTensor):
        raise TypeError(f"{name} must be a dense tensor, or what converts to one, not {type(value).__name__}.")
    return value


def _like_mean(name: str, value: Any, mean: tf.Tensor) -> tf.Tensor:
    value = _dense(name, value)
    value = tf.convert_to_tensor(value) if hasattr(value, "dtype") else tf.convert_to_tensor(value, dtype=mean.dtype)
    if value.dtype != mean.dtype:
        raise TypeError(
            f"{name} must have the dtype of mean, {mean.dtype.name}, not {value.dtype.name}. Cast one of them."
        )
    return value


def as_flag(name: str, value: Any) -> bool:
    """Return ``value`` as a Python bool: the choice is made while tracing, so it cannot be a tensor."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, not {value!r}.")
    return bool(value)


def as_num_samples(value: Any, mean: tf.Tensor) -> int:
    """Return the number of draws; XLA makes no error of sizes whose product is too large, with those of 0 left out."""
    num_samples = as_count(value, "num_samples")
    sizes = mean.shape.as_list() if mean.shape.rank is not None else []
    if num_samples * math.prod(size or 1 for size in sizes) >= 2**60:
        raise ValueError(
            f"num_samples is {num_samples}, too many for a mean of shape {_show(mean.shape)}: the sizes of z other "
            "than 0 must have a product below 2**60. Take fewer."
        )
    return num_samples


def at_run_time(mean: tf.Tensor, log_var: tf.Tensor, prior: Sequence[tf.Tensor], seed: tf.Tensor) -> list[tf.Operation]:
    """Return assertions for what the static shapes leave open, for a backend whose ops would broadcast instead."""
    checks = []
    if not seed.shape.is_fully_defined():
        is_pair = tf.equal(tf.rank(seed), 1) & tf.equal(tf.size(seed), 2)
        checks.append(tf.debugging.Assert(is_pair, ["seed must have shape [2], not", tf.shape(seed)]))
    if mean.shape.rank is None:
        message = "mean must have rank 1 or more (its last axis is the latent one), not shape"
        checks.append(tf.debugging.Assert(tf.rank(mean) > 0, [message, tf.shape(mean, out_type=tf.int64)]))
    if not (mean.shape.is_fully_defined() and log_var.shape.is_fully_defined()):
        checks.append(_assert_shape("log_var must have the shape of mean,", log_var, mean))
    if prior and not all(tensor.shape.is_fully_defined() for tensor in (mean, *prior)):
        checks.append(_assert_shape("prior_log_var must have the shape of prior_mean,", prior[1], prior[0]))
        message = "prior_mean must have the shape of mean or of its last axis,"
        checks.append(_assert_shape(message, prior[0], mean, or_last_axis=True))
    return [check for check in checks if check is not None]


def _assert_shape(message: str, tensor: tf.Tensor, expected: tf.Tensor, or_last_axis: bool = False) -> tf.Operation:
    got, shape = tf.shape(tensor, out_type=tf.int64), tf.shape(expected, out_type=tf.int64)
    fits = _all_equal(got, shape)
    if or_last_axis:
        fits |= _all_equal(got, shape[-1:])
    return tf.debugging.Assert(fits, [message, shape, "not", got])


def _all_equal(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Whether two vectors, of the same or different length, are equal."""
    shared = tf.minimum(tf.size(a), tf.size(b))
    return tf.equal(tf.size(a), tf.size(b)) & tf.reduce_all(tf.equal(a[:shared], b[:shared]))


def _show(shape: tf.TensorShape) -> str:
    return str(shape.as_list()).replace("None", "?") if shape.rank is not None else "<unknown>"
