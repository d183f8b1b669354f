"""Checks that turn whatever a source gave into finite float32 examples and integer labels."""

from __future__ import annotations

import dataclasses

import numpy as np

_WHAT_FITS = (
    "[examples, features] for vectors, [examples, height, width] or [examples, height, width, channels] for images"
)


@dataclasses.dataclass(frozen=True)
class Examples:
    """Examples of one shape, float32 ``[N, *event_shape]``, with their labels, int64 ``[N]``, or None."""

    x: np.ndarray
    labels: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """What a source holds: one set of examples, or a training and a test part."""

    name: str
    train: Examples
    test: Examples | None = None
    class_names: tuple[str, ...] | None = None


def as_examples(x: np.ndarray, labels: np.ndarray | None, where: str) -> Examples:
    """Check an array and its labels; ``where`` names them in messages.

    What becomes of the values depends on the type alone: bytes (uint8) are divided by 255, so that a dark image has the
    scale of all others; booleans are 0 and 1; other numbers stay what they are.
    """
    x = _as_float32(_as_shaped(_as_numeric(x, where), where), where)
    return Examples(x, None if labels is None else _as_labels(labels, len(x), where))


def check_same_event_shape(train: Examples, test: Examples, name: str) -> None:
    """Raise if the test examples have another shape than the training examples."""
    if train.x.shape[1:] != test.x.shape[1:]:
        raise ValueError(
            f"The training examples of {name} have shape {train.x.shape[1:]} and its test examples {test.x.shape[1:]}. "
            "Give both parts examples of the same shape."
        )


def _as_numeric(x: np.ndarray, where: str) -> np.ndarray:
    if x.dtype.kind not in "biuf":
        raise ValueError(
            f"{where} has dtype {x.dtype}; expected booleans, integers or real floating-point numbers. "
            "Convert it, e.g. with x.astype('float32')."
        )
    return x


def _as_shaped(x: np.ndarray, where: str) -> np.ndarray:
    if x.ndim not in (2, 3, 4):
        raise ValueError(
            f"{where} has shape {x.shape}; expected {_WHAT_FITS}. Reshape it, e.g. with x.reshape(len(x), -1)."
        )
    if x.size == 0:
        raise ValueError(
            f"{where} is empty: its shape is {x.shape}. Give at least one example with at least one value."
        )
    return x[..., np.newaxis] if x.ndim == 3 else x


def _as_float32(x: np.ndarray, where: str) -> np.ndarray:
    if x.dtype == np.uint8:
        if x.max() == 1:
            raise ValueError(
                f"{where} has dtype uint8 and no value over 1, which is ambiguous: images of bytes reach up to 255 and "
                "are divided by that. Store 0/1 data as bool or float32: x.astype(bool). For images this dark: "
                "x.astype('float32') / 255."
            )
        return x.astype(np.float32) / np.float32(255)
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(x, dtype=np.float32)
    bad = ~np.isfinite(converted)
    if bad.any():
        raise ValueError(_describe_bad(x, bad, where))
    return converted


def _describe_bad(x: np.ndarray, bad: np.ndarray, where: str) -> str:
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    value = float(x[index])
    problem = f"{value:g}, which is more than float32 holds" if np.isfinite(value) else f"{value}"
    inside = f"column {index[1]}" if x.ndim == 2 else f"position {index[1:]}"
    return (
        f"{where} holds {problem}, in row {index[0]}, {inside} (counted from 0); {int(bad.sum())} of {x.size} values "
        "are like that. Every value must be a finite number: remove those rows, or fill or rescale the values."
    )


def _as_labels(labels: np.ndarray, count: int, where: str) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise ValueError(
            f"The labels of {where} have shape {labels.shape}; expected one per example, shape ({count},). "
            "Leave the labels out, or give one integer for each example."
        )
    if (
        labels.dtype.kind == "f"
        and np.isfinite(labels).all()
        and (labels == np.round(labels)).all()
        and (abs(labels) < 2**53).all()
    ):
        return labels.astype(np.int64)
    if labels.dtype.kind not in "biu" or (labels.dtype.kind == "u" and (labels >= 2**63).any()):
        raise ValueError(
            f"The labels of {where} have dtype {labels.dtype}; expected integers below 2**63. Number the classes 0, 1, "
            "2, ..."
        )
    return labels.astype(np.int64)
