"""What every source is turned into: training and test arrays with what is known about them."""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal

import numpy as np

Kind = Literal["binary", "unit", "real"]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set, checked: finite float32 examples of one shape, and optional integer labels.

    Attributes:
        name: what it was loaded from.
        train: training examples, float32 ``[N, *event_shape]``.
        test: test examples, float32 ``[M, *event_shape]``.
        train_labels: class of each training example, int64 ``[N]``, or None.
        test_labels: class of each test example, int64 ``[M]``, or None.
        class_names: names of the classes in the order of their labels, or None where they have none but the number.

    Example:

    >>> import tfvae
    >>> digits = tfvae.datasets.load("digits")
    >>> digits.train.shape, digits.test.shape, digits.kind
    ((1438, 8, 8, 1), (359, 8, 8, 1), 'unit')
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one example: ``(features,)`` for vectors, ``(height, width, channels)`` for images."""
        return tuple(self.train.shape[1:])

    @functools.cached_property
    def kind(self) -> Kind:
        """What the values are, and so which likelihood suits.

        ``"binary"``: only 0 and 1 (``Bernoulli``); ``"unit"``: in ``[0, 1]``, such as grey levels (``Normal``, or
        ``Bernoulli`` once binarised); ``"real"``: anything else (``Normal``).
        """
        parts = [self.train, self.test]
        if all(bool(((part == 0) | (part == 1)).all()) for part in parts):
            return "binary"
        if all(bool(((part >= 0) & (part <= 1)).all()) for part in parts):
            return "unit"
        return "real"

    def binarised(self) -> Dataset:
        """Return the data set with every value of at least 0.5 made 1 and every other made 0.

        Raises:
            ValueError: if there are values outside ``[0, 1]``, for which 0.5 means nothing.

        Example:

        >>> import tfvae
        >>> tfvae.datasets.load("digits").binarised().kind
        'binary'
        """
        return dataclasses.replace(self, train=binarise(self.train, self.name), test=binarise(self.test, self.name))


def binarise(x: np.ndarray, name: str = "x") -> np.ndarray:
    """Return float32 0 and 1: 1 where ``x`` is at least 0.5.

    Args:
        x: values in ``[0, 1]``.
        name: how the message calls them.

    Raises:
        ValueError: if there are values outside ``[0, 1]``, for which 0.5 means nothing.

    Example:

    >>> import numpy as np, tfvae
    >>> tfvae.datasets.binarise(np.array([0.2, 0.5, 1.0])).tolist()
    [0.0, 1.0, 1.0]
    """
    x = np.asarray(x)
    low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 1.0)
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"Only values in [0, 1] can be binarised, and those of {name} reach from {low:g} to {high:g}. "
            "Scale them to [0, 1] first, or use a Normal likelihood."
        )
    return (x >= 0.5).astype(np.float32)
