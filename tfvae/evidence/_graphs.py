"""Traced functions of a model, kept from one estimate to the next."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import keras
import tensorflow as tf

from tfvae.distributions import Family
from tfvae.ops import _backend

T = TypeVar("T")


@dataclass
class _Kept:
    made_of: list[Any]
    graphs: dict[Hashable, Any] = field(default_factory=dict)


# By the model's id, for as long as it lives.
_kept: dict[int, _Kept] = {}


def traced(function: Callable[..., Any], signature: Sequence[Any]) -> Any:
    """Return the graph of ``function`` for tensors of this signature."""
    return tf.function(function, autograph=False).get_concrete_function(*signature)


def of_model(model: Any, key: tuple[Hashable, ...], make: Callable[[Any], T]) -> T:
    """Return ``make(model)``: what it traces of a Keras model is kept for the next estimate with the same ``key``.

    Weights are variables, so that a graph stays right while they are trained. Once a layer, a weight or a setting is
    another, all is traced anew. What any other model is made of cannot be known, and nothing of it is kept.

    Args:
        model: the model.
        key: whatever the graphs depend on besides the model and the backend.
        make: called with a stand-in for the model that does not keep it alive.
    """
    if not isinstance(model, keras.Model):
        return make(model)
    key = (*key, _backend.asked())
    if id(model) not in _kept:
        weakref.finalize(model, _kept.pop, id(model), None).atexit = False
    kept = _kept.get(id(model))
    if kept is None or not _is_same(kept.made_of, _made_of(model)):
        kept = _kept[id(model)] = _Kept([])
    if key not in kept.graphs:
        kept.graphs[key] = make(weakref.proxy(model))
        kept.made_of = _made_of(model)  # Tracing builds what is not built yet.
    return kept.graphs[key]


def _made_of(model: keras.Model) -> list[Any]:
    """Return the families, layers, weights and settings that a graph of the model has in it."""
    own: list[Any] = [value for name, value in vars(model).items() if not name.startswith("_")]
    parts = [value for value in own if isinstance(value, Family) or type(value) in (bool, int, float, str)]
    parts += [repr(value.get_config()) for value in own if isinstance(value, Family)]
    for layer in model._flatten_layers(include_self=False):
        parts += [layer, *(value for name, value in vars(layer).items() if not name.startswith("_"))]
    return [*parts, *model.weights]


def _is_same(first: list[Any], second: list[Any]) -> bool:
    return len(first) == len(second) and all(map(_is_one, first, second))


def _is_one(first: Any, second: Any) -> bool:
    return first is second or (isinstance(first, str) and first == second)
