"""Data on its way to ``fit`` and ``evaluate``: is it what the likelihood gives a probability to?"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvae.distributions import Family
from tfvae.models import _checks


class SupportCheck:
    """Checks arrays against a likelihood's support at once; of datasets and generators the first batch as it is read.

    Examples with NaN are let through there: an update that they spoil is skipped. A dataset is not started to be
    checked, which could take long and would change the order of examples; the check is part of its pipeline. TensorFlow
    wraps what is raised there in an error of its own, so the reading belongs into a ``with`` of this, which raises the
    plain ``ValueError`` instead.
    """

    def __init__(self, likelihood: Family) -> None:
        self._likelihood = likelihood
        self._problem: ValueError | None = None

    def __enter__(self) -> SupportCheck:
        return self

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        if self._problem is not None and isinstance(error, tf.errors.OpError):
            raise self._problem from None

    def arguments(self, x: Any, y: Any, sample_weight: Any, class_weight: Any = None) -> tuple[Any, Any, Any]:
        """Return the arguments of ``fit``: ``x`` checked, and targets only where Keras needs them.

        It drops the weights without, and could refuse what it finds in targets that nothing reads: names of classes.
        """
        x = self.data(x)
        if class_weight is not None and y is None and _checks.as_numpy(x) is not None:
            raise ValueError("class_weight needs the classes of the examples: pass them as y. Or pass sample_weight.")
        if sample_weight is not None and isinstance(x, (tf.data.Dataset, types.GeneratorType, keras.utils.PyDataset)):
            raise ValueError("sample_weight goes with arrays; let the batches of other data be (x, y, sample_weight).")
        if sample_weight is not None:
            sample_weight = _as_vector(sample_weight)
        if class_weight is None and hasattr(x, "shape"):
            y = None if sample_weight is None else np.zeros([len(x), 1], np.float32)
        return x, y, sample_weight

    def data(self, x: Any) -> Any:
        """Return ``x``, checked or to be checked; what else Keras takes is let through unread."""
        if isinstance(x, tf.data.Dataset):
            batch = keras.utils.unpack_x_y_sample_weight(x.element_spec)[0]
            if isinstance(batch, tf.TensorSpec):
                self._likelihood.check_data_shape(batch.shape)
            return x.enumerate().map(self._watch_dataset())
        if isinstance(x, types.GeneratorType):
            return self._watch_generator(x)
        if isinstance(x, keras.utils.PyDataset):
            self._check_first(x[0])
        else:
            _checks.check_data(x, self._likelihood)
        return x

    def _watch_dataset(self) -> Callable[[tf.Tensor, Any], Any]:
        checked = False

        def check(x: np.ndarray) -> bool:
            nonlocal checked
            if not checked:  # In later epochs the first batch is another one.
                checked = True
                self._check_first(x)
            return True

        def watched(number: tf.Tensor, batch: Any) -> Any:
            x = keras.utils.unpack_x_y_sample_weight(batch)[0]
            if isinstance(x, tf.Tensor):
                tf.cond(number == 0, lambda: tf.numpy_function(check, [x], tf.bool), lambda: True)
            return batch

        return watched

    def _watch_generator(self, batches: Iterator[Any]) -> Iterator[Any]:
        for number, batch in enumerate(batches):
            if number == 0:
                self._check_first(batch)
            yield batch

    def _check_first(self, batch: Any) -> None:
        x = _checks.as_numpy(keras.utils.unpack_x_y_sample_weight(batch)[0])
        if x is None:
            return
        if np.ndim(x):
            x = x[np.all(x == x, axis=tuple(range(1, np.ndim(x))))]
        try:
            _checks.check_data(x, self._likelihood)
        except ValueError as problem:
            self._problem = problem
            raise


def _as_vector(sample_weight: Any) -> Any:
    """Return weights in a column as a vector, or Keras would trace for either in turn, and then for none."""
    weight = _checks.as_numpy(sample_weight)
    return sample_weight if weight is None or not _checks.are_in_a_column(weight.shape) else weight[:, 0]
