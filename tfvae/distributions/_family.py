"""The base of all families: parameter tensor in, TFP distribution out."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf


class Family:
    """A family of distributions: turns the parameters a network gives into a TFP distribution over one event.

    Parameters come in either of two layouts, told apart by their shape:

    - flat, ``[..., params_size]``: the parameters one after another (all of ``mean``, then all of ``log_var``);
    - event-shaped, ``[..., *event_shape[:-1], C * p]`` with ``C = event_shape[-1]`` and ``p`` parameters per element:
      the channels of the first parameter, then those of the second. Where both fit, this one is taken, but for
      ``[1, C * p]`` of an event shape ``[1, C]``, which is a batch of one.

    Half-precision parameters are cast to float32, so distributions compute in float32 or float64.

    To add a family, subclass this with ``parameters_per_element``, ``support``, ``make`` and, if values can be outside
    the support, ``is_supported``; where TFP knows no mean also ``mean``. Decorate it with
    ``keras.saving.register_keras_serializable``. A family holds no variables, which would be neither trained nor saved:
    what is to be learned are its parameters. Nor is a setting changed once a model has the family: its traced functions
    would keep the old one.

    Args:
        event_shape: shape of one event (without batch axes), a positive integer or a sequence of them.

    Raises:
        ValueError: if ``event_shape`` is not one or more positive integers.

    Example:

    >>> import tfvae
    >>> family = tfvae.distributions.DiagonalNormal(2)
    >>> family.event_shape, family.params_size
    ((2,), 4)
    """

    parameters_per_element: int = 1
    support: str = "real numbers"

    def __init__(self, event_shape: int | Sequence[int]) -> None:
        self.event_shape = as_event_shape(event_shape, type(self).__name__)

    @property
    def params_size(self) -> int:
        """Number of parameters of one event."""
        return self.parameters_per_element * math.prod(self.event_shape)

    def make(self, *parameters: tf.Tensor) -> Any:
        """Return the TFP distribution with these parameters, each of shape ``[..., *event_shape]``.

        It is over events of ``event_shape``, with the batch shape ``[...]``.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement make().")

    def is_supported(self, x: np.ndarray) -> np.ndarray:
        """Tell for every element of ``x`` (no NaN among them) whether it is in the support; by default, if finite."""
        return np.isfinite(x)

    def mean(self, distribution: Any) -> tf.Tensor:
        """Return the mean of a distribution of this family, ``[..., *event_shape]`` unless the family says else.

        Raises:
            NotImplementedError: if TFP knows no mean: training and scoring do without, reconstructing does not.
        """
        try:
            return distribution.mean()
        except NotImplementedError as error:
            raise NotImplementedError(
                f"TFP knows no mean of {distribution.name}, which is what {type(self).__name__} is to give as a "
                f"reconstruction or sample. Override mean() of {type(self).__name__}, by the mode, say."
            ) from error

    def __call__(self, params: Any) -> Any:
        """Return the TFP distribution with the parameters ``params``.

        Args:
            params: floating tensor in one of the two layouts.

        Returns:
            A ``tfp.distributions.Distribution`` with this family's ``event_shape``; its dtype is float64 for float64
            ``params``, else float32 (for discrete families that of the log-probabilities).

        Raises:
            ValueError: if the shape of ``params`` fits neither layout, or ``make`` gives one over other events or
                batches.
            TypeError: if ``params`` is not floating.
        """
        params = tf.convert_to_tensor(params)
        if not params.dtype.is_floating:
            raise TypeError(f"The parameters of {self!r} must be floating, not {params.dtype.name}.")
        if params.dtype in (tf.float16, tf.bfloat16):
            params = tf.cast(params, tf.float32)
        event_shaped = self.check_params_shape(params.shape)
        distribution = self.make(*self._split(params, event_shaped))
        self._check_made(distribution, params.shape[: -len(self.event_shape) if event_shaped else -1])
        return distribution

    def check_params_shape(self, shape: Any, what: str = "The parameters") -> bool:
        """Check that parameters of this (possibly partly unknown) shape fit the family.

        Args:
            shape: shape of the parameter tensor; None for unknown axes.
            what: how the message calls the tensor, ``"The encoder's output"``, say.

        Returns:
            True if the shape is the event-shaped layout, False if it is the flat one.

        Raises:
            ValueError: if it is neither.
        """
        shape = tf.TensorShape(shape)
        event_shaped = [*self.event_shape[:-1], self.event_shape[-1] * self.parameters_per_element]
        if shape.rank is None:
            raise ValueError(f"{what} must have a known rank. Expected {self._layouts()}.")
        flat = shape.rank >= 1 and _matches(shape[-1:], [self.params_size])
        if shape.rank >= len(event_shaped) and _matches(shape[-len(event_shaped) :], event_shaped):
            # [1, C p] is both for an event shape of [1, C]: as [None, C p] it is a batch of flat ones.
            return not (flat and shape.rank == len(event_shaped) > 1)
        if flat:
            return False
        raise ValueError(f"{what} must have shape {self._layouts()} for {self!r}, not {_show(shape)}.")

    def check_event_shape(self, shape: Any, what: str = "The data") -> None:
        """Check that data of this (possibly partly unknown) shape ends in ``event_shape``.

        Raises:
            ValueError: if it does not.
        """
        shape = tf.TensorShape(shape)
        if shape.rank is None:
            return
        rank = len(self.event_shape)
        if shape.rank < rank or not shape[shape.rank - rank :].is_compatible_with(self.event_shape):
            raise ValueError(
                f"{what} must have a shape that ends in {list(self.event_shape)}, the event shape of {self!r}, "
                f"not {_show(shape)}. Reshape the data, or give the family their event shape."
            )

    def check_data_shape(self, shape: Any) -> None:
        """Check that data of this (possibly partly unknown) shape is a batch of events, ``[B, *event_shape]``.

        Raises:
            ValueError: if it is not.
        """
        advice = "For one example take x[None]; a tf.data.Dataset of single examples wants .batch(64), say."
        self.check_batch_shape(shape, "The data", advice)

    def check_batch_shape(self, shape: Any, what: str, advice: str) -> None:
        """Check that this (possibly partly unknown) shape is that of a batch of events, ``[B, *event_shape]``.

        Args:
            shape: None for unknown axes.
            what: how the message calls the tensor.
            advice: what the message says last of one with other axes before those of the event.

        Raises:
            ValueError: if it is not.
        """
        shape = tf.TensorShape(shape)
        self.check_event_shape(shape, what)
        expected = ["B", *self.event_shape]
        if shape.rank is not None and shape.rank != len(expected):
            raise ValueError(f"{what} must have shape [{', '.join(map(str, expected))}], not {_show(shape)}. {advice}")

    def check_support(self, x: Any) -> None:
        """Check that every value of ``x`` can come from this family.

        Args:
            x: array of shape ``[..., *event_shape]``.

        Raises:
            ValueError: naming the first offending value, where it is, and how many there are; or a shape that does
                not end in ``event_shape``.

        Example:

        >>> import numpy as np, tfvae
        >>> tfvae.distributions.Bernoulli(2).check_support(np.array([[0.0, 255.0]]))
        Traceback (most recent call last):
        ...
        ValueError: Bernoulli expects values that are 0 or 1; 1 of 2 values is not, the first being 255.0 at index \
[0, 1]. Binarise the data first (x > 0.5, say), or choose another likelihood such as Normal.
        """
        x = np.asarray(x)
        if x.dtype == tf.bfloat16.as_numpy_dtype:  # No number to NumPy.
            x = x.astype(np.float32)
        if not (np.issubdtype(x.dtype, np.number) or x.dtype == bool) or np.iscomplexobj(x):
            raise ValueError(f"{type(self).__name__} expects numbers, not an array of dtype {x.dtype}.")
        self.check_event_shape(x.shape)
        bad = np.isnan(x)
        if not bad.any():
            bad = ~self.is_supported(x)
            if not bad.any():
                return
        index = [int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape)]
        count = int(bad.sum())
        raise ValueError(
            f"{type(self).__name__} expects values that are {self.support}; {count} of {x.size} "
            f"values {'is' if count == 1 else 'are'} not, the first being {x[tuple(index)].item()!r} at index "
            f"{index}. {self._advice()}"
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values."""
        return {"event_shape": list(self.event_shape)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Family:
        """Return the family that ``get_config`` described; the constructor validates every value."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Family) and type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash((type(self), repr(self)))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"

    def _check_made(self, distribution: Any, batch_shape: tf.TensorShape) -> None:
        """Check what ``make`` gave: of other shapes, its densities would be added to those of other examples."""
        got = tf.TensorShape(distribution.event_shape)
        if not got.is_compatible_with(self.event_shape):
            axes = len(self.event_shape)
            raise ValueError(
                f"make() of {self!r} must give a distribution over events of shape {list(self.event_shape)}, not "
                f"{_show(got)}. If the axes of the event are among those of its batch, wrap it in "
                f"tfp.distributions.Independent(..., reinterpreted_batch_ndims={axes})."
            )
        got = tf.TensorShape(distribution.batch_shape)
        if self.parameters_per_element and not got.is_compatible_with(batch_shape):
            raise ValueError(
                f"make() of {self!r} must give a distribution for every row of its parameters, of batch shape "
                f"{_show(batch_shape)}, not {_show(got)}."
            )

    def _advice(self) -> str:
        return "Clean or rescale the data."

    def _layouts(self) -> str:
        channels = self.event_shape[-1] * self.parameters_per_element
        flat = f"[..., {self.params_size}]"
        if len(self.event_shape) == 1:
            return flat
        return f"{flat} (flat) or [..., {', '.join(map(str, [*self.event_shape[:-1], channels]))}] (event-shaped)"

    def _split(self, params: tf.Tensor, event_shaped: bool) -> list[tf.Tensor]:
        if self.parameters_per_element == 0:
            return [params]
        parts = tf.split(params, self.parameters_per_element, axis=-1) if self.parameters_per_element > 1 else [params]
        if event_shaped:
            return parts
        batch_shape = tf.shape(params)[:-1]
        return [_reshape(part, batch_shape, self.event_shape) for part in parts]


def as_event_shape(event_shape: Any, name: str) -> tuple[int, ...]:
    """Return ``event_shape`` as a tuple of positive integers, or say what is wrong with it."""
    message = f"The event shape of {name} must be one or more positive integers, not {event_shape!r}."
    sizes = event_shape if isinstance(event_shape, Sequence) and not isinstance(event_shape, str) else [event_shape]
    try:
        shape = tuple(operator.index(size) for size in sizes)
    except TypeError:
        raise ValueError(message) from None
    if not shape or any(size < 1 or isinstance(raw, bool) for size, raw in zip(shape, sizes, strict=True)):
        raise ValueError(message)
    return shape


def _reshape(part: tf.Tensor, batch_shape: tf.Tensor, event_shape: tuple[int, ...]) -> tf.Tensor:
    shaped = tf.reshape(part, tf.concat([batch_shape, event_shape], axis=0))
    return tf.ensure_shape(shaped, part.shape[:-1].concatenate(event_shape))


def _matches(shape: tf.TensorShape, expected: list[int]) -> bool:
    return all(got is None or got == want for got, want in zip(shape.as_list(), expected, strict=True))


def _show(shape: tf.TensorShape) -> str:
    return str(shape.as_list()).replace("None", "?")
