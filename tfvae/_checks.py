"""Checks of arguments that several parts share."""

from __future__ import annotations

import inspect
import operator
from typing import Any

import numpy as np


def as_count(value: Any, name: str, at_least: int = 1) -> int:
    """Return ``value`` as a Python integer of ``at_least`` that much and below 2**63, or say what is wrong with it."""
    try:
        count = operator.index(value)
    except TypeError:
        count = at_least - 1
    if isinstance(value, bool) or count < at_least:
        kind = "a positive integer" if at_least == 1 else f"an integer of at least {at_least}"
        raise ValueError(f"{name} must be {kind}, not {value!r}.")
    if count >= 2**63:
        raise ValueError(f"{name} must be below 2**63, not {value!r}.")
    return count


def check_is_dense(x: Any) -> None:
    """Refuse sparse and ragged data, of SciPy or TensorFlow."""
    if any(hasattr(x, name) for name in ("toarray", "dense_shape", "row_splits")):
        raise ValueError(
            f"x must be dense, not a {type(x).__name__}. Take x.toarray() of a SciPy matrix, tf.sparse.to_dense(x) of "
            "a sparse tensor (in dataset.map, say), x.to_tensor() of a ragged one."
        )


def check_is_array(x: Any) -> None:
    """Refuse what gives data in batches, and what is no dense array."""
    check_is_dense(x)
    if x is None or inspect.isgenerator(x) or hasattr(x, "element_spec") or hasattr(x, "num_batches"):
        raise TypeError(
            f"x must be an array of examples, [N, *event], not {type(x).__name__}. Of data in batches give one at a "
            "time (for batch in x), or all of them: np.concatenate(list(x))."
        )


def check_finite(rows: np.ndarray, name: str) -> None:
    """Refuse an array whose first axis is examples if a value of one is NaN or infinite."""
    bad = ~np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
    if bad.any():
        raise ValueError(
            f"{name} must be finite, and {int(bad.sum())} of {len(rows)} have a NaN or infinite value, the first at "
            f"index {int(bad.argmax())}. Leave these out, and look at what the model made of their data."
        )
