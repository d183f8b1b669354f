"""Traced functions of a model, kept from one estimate to the next."""

from __future__ import annotations

import functools
import hashlib
import weakref
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from tfvae.distributions import Family
from tfvae.ops import _backend

T = TypeVar("T")


@dataclass
class _Kept:
    made_of: list[Any]
    graphs: dict[Hashable, Any] = field(default_factory=dict)


# What is told apart by value; everything else is by identity, and kept alive by nothing that is kept here.
_COMPARED = (bool, int, float, complex, str, bytes, np.generic)
_CONTAINERS = (dict, list, tuple, set, frozenset)
# Whose objects are not looked into.
_LIBRARIES = {"builtins", "functools", "keras", "numpy", "tensorflow", "tensorflow_probability", "tfvae"}

# By the model's id, for as long as it lives.
_kept: dict[int, _Kept] = {}


def traced(function: Callable[..., Any], signature: Sequence[Any]) -> Any:
    """Return the graph of ``function`` for tensors of this signature."""
    return tf.function(function, autograph=False).get_concrete_function(*signature)


def of_model(model: Any, key: tuple[Hashable, ...], make: Callable[[Any], T]) -> T:
    """Return ``make(model)``: what it traces of a Keras model is kept for the next estimate with the same ``key``.

    Weights are variables, so that a graph stays right while they are trained. Once a layer, a weight or a setting is
    another, or what a container or an array among its attributes holds, all is traced anew; what its methods read from
    elsewhere is not seen. What any other model is made of cannot be known, and nothing of it is kept.

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
    parts: list[Any] = []
    seen = {id(model)}  # Which would be kept alive by what is kept for it.
    for layer in model._flatten_layers():
        for name, value in vars(layer).items():
            if name not in _names_of_keras() and not name.startswith("_self_"):
                _add_parts(value, parts, seen)
    families = [value for value in vars(model).values() if isinstance(value, Family)]
    held = map(_held, [*model._flatten_layers(False), *model.weights])
    return [*parts, *(repr(family.get_config()) for family in families), *held]


@functools.cache
def _names_of_keras() -> frozenset[str]:
    """The attributes in which Keras keeps how a layer is called, built and trained: not what it computes."""
    of_training = {"history", "optimizer", "stop_training", "stop_evaluating", "stop_predicting"}
    private = {"_compile_config", "_compiled_trainable_state", "_eval_epoch_iterator", "_functional"}
    return frozenset(vars(keras.Model(name="any"))) | of_training | private


def _add_parts(value: Any, parts: list[Any], seen: set[int]) -> None:
    """Add an attribute's value, or what a container or a plain object is made of, to ``parts``."""
    if isinstance(value, np.ndarray):
        parts.append(f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}")
        return
    if not isinstance(value, _COMPARED):
        if id(value) in seen:
            return
        seen.add(id(value))
    parts.append(type(value) if isinstance(value, _CONTAINERS) else _held(value))
    inside: Iterable[Any] = ()
    if isinstance(value, dict):
        inside = [part for item in value.items() for part in item]
    elif isinstance(value, _CONTAINERS):
        inside = value
    elif _is_plain(value):
        inside = getattr(value, "__dict__", {}).values()
    for part in inside:
        _add_parts(part, parts, seen)


def _held(value: Any) -> Any:
    """Return what is one and the same for as long as ``value`` lives, which may refer to the model."""
    if isinstance(value, _COMPARED):
        return value
    try:
        return weakref.ref(value)
    except TypeError:
        return value


def _is_plain(value: Any) -> bool:
    """Tell whether to look into an object: a family, or one of the user's that is no layer, which is gone through."""
    of_user = type(value).__module__.split(".")[0] not in _LIBRARIES
    return isinstance(value, Family) or (of_user and not isinstance(value, keras.layers.Layer))


def _is_same(first: list[Any], second: list[Any]) -> bool:
    return len(first) == len(second) and all(map(_is_one, first, second))


def _is_one(first: Any, second: Any) -> bool:
    return first is second or (type(first) is type(second) and isinstance(first, _COMPARED) and first == second)
