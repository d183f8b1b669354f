"""Turn the arguments of the ops into tensors, or say what is wrong with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

DTYPES = (tf.float16, tf.bfloat16, tf.float32, tf.float64)
_NAMES = ", ".join(dtype.name for dtype in DTYPES)


def as_seed(seed: Any) -> tf.Tensor:
    """Return ``seed`` as an integer tensor of shape [2]; Python integers become int64."""
    if seed is None:
        raise TypeError(
            "seed must be two integers, as for tf.random.stateless_normal, not None. Pass seed=[1, 2], say."
        )
    if not tf.is_tensor(seed) and not hasattr(seed, "dtype"):
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
        except (ValueError, OverflowError):
            pass
    raise TypeError(f"seed must be two integers that fit in 64 bits, not {seed!r}.")


def as_parameters(mean: Any, log_var: Any, second: str = "log_var") -> tuple[tf.Tensor, tf.Tensor]:
    """Return ``mean`` and ``log_var`` as floating tensors of one dtype, one shape and rank at least 1."""
    mean = tf.convert_to_tensor(mean)
    if mean.dtype not in DTYPES:
        raise TypeError(f"mean must be one of {_NAMES}, not {mean.dtype.name}.")
    log_var = (
        tf.convert_to_tensor(log_var) if hasattr(log_var, "dtype") else tf.convert_to_tensor(log_var, dtype=mean.dtype)
    )
    if log_var.dtype != mean.dtype:
        raise TypeError(
            f"{second} must have the dtype of mean, {mean.dtype.name}, not {log_var.dtype.name}. Cast one of them."
        )
    if mean.shape.rank == 0:
        raise ValueError("mean must have rank 1 or more (its last axis is the latent one), not shape [].")
    if not mean.shape.is_compatible_with(log_var.shape):
        raise ValueError(f"{second} must have the shape of mean, {_show(mean.shape)}, not {_show(log_var.shape)}.")
    return mean, log_var


def as_flag(name: str, value: Any) -> bool:
    """Return ``value`` as a Python bool: the choice is made while tracing, so it cannot be a tensor."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, not {value!r}.")
    return bool(value)


def at_run_time(mean: tf.Tensor, log_var: tf.Tensor, seed: tf.Tensor) -> list[tf.Operation]:
    """Return assertions for what the static shapes leave open, for a backend whose ops would broadcast instead."""
    checks = []
    if not seed.shape.is_fully_defined():
        is_pair = tf.equal(tf.rank(seed), 1) & tf.equal(tf.size(seed), 2)
        checks.append(tf.debugging.Assert(is_pair, ["seed must have shape [2], not", tf.shape(seed)]))
    if not (mean.shape.is_fully_defined() and log_var.shape.is_fully_defined()):
        a, b = tf.shape(mean, out_type=tf.int64), tf.shape(log_var, out_type=tf.int64)
        message = "log_var must have the shape of mean,"
        checks.append(tf.debugging.Assert(_all_equal(a, b), [message, a, "not", b]))
    if mean.shape.rank is None:
        message = "mean must have rank 1 or more (its last axis is the latent one), not shape"
        checks.append(tf.debugging.Assert(tf.rank(mean) > 0, [message, tf.shape(mean, out_type=tf.int64)]))
    return [check for check in checks if check is not None]


def _all_equal(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Whether two vectors, of the same or different length, are equal."""
    shared = tf.minimum(tf.size(a), tf.size(b))
    return tf.equal(tf.size(a), tf.size(b)) & tf.reduce_all(tf.equal(a[:shared], b[:shared]))


def _show(shape: tf.TensorShape) -> str:
    return str(shape.as_list()).replace("None", "?") if shape.rank is not None else "<unknown>"
