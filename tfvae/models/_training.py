"""What a training step needs beyond the loss: counting over replicas, and updates that never spoil the weights."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tfvae.models import _checks


def num_replicas() -> int:
    """Return the number of replicas of the current strategy; 1 without one."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def global_sum(value: tf.Tensor) -> tf.Tensor:
    """Return the sum of ``value`` over all replicas; to be called in one of them."""
    if num_replicas() == 1:
        return value
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, value)


def example_weights(sample_weight: Any, values: tf.Tensor) -> tf.Tensor:
    """Return ``sample_weight`` as a vector like ``values`` ``[B]``; ones if it is None."""
    if sample_weight is None:
        return tf.ones_like(values)
    weight = tf.convert_to_tensor(sample_weight)
    if weight.shape.rank is None or _checks.are_in_a_column(weight.shape):
        weight = tf.reshape(weight, tf.shape(values))
    return tf.cast(weight, values.dtype)


def added_losses(losses: list[tf.Tensor], dtype: tf.DType) -> tf.Tensor:
    """Return the sum of the losses that the layers of the networks added."""
    return tf.add_n([tf.cast(loss, dtype) for loss in losses] or [tf.zeros([], dtype)])


def part_of_replica(weighted: tf.Tensor, added: tf.Tensor) -> tf.Tensor:
    """Return this replica's part of the loss, the mean over the global batch and over the replicas' added losses."""
    batch = global_sum(tf.cast(tf.shape(weighted)[0], weighted.dtype))
    return tf.math.divide_no_nan(tf.reduce_sum(weighted), batch) + added / num_replicas()


@contextlib.contextmanager
def losses_kept(network: keras.layers.Layer) -> Iterator[None]:
    """Keep what the layers of ``network`` added to the loss: a call of another one that has them too clears that."""
    before = [(layer, list(layer._losses)) for layer in network._flatten_layers() if layer._losses]
    yield
    for layer, losses in before:
        layer._losses[:0] = [loss for loss in losses if all(loss is not other for other in layer._losses)]


def forward_state(*networks: keras.layers.Layer) -> list[tuple[keras.Variable, tf.Tensor]]:
    """Return what a forward pass may change in the networks, moving means say, with its values as they are now."""
    layers = [layer for network in networks for layer in network._flatten_layers()]
    own = {id(variable): variable for layer in layers for variable in layer._non_trainable_variables}
    floating = [variable for variable in own.values() if tf.as_dtype(variable.dtype).is_floating]
    return [(variable, tf.identity(tf.convert_to_tensor(variable))) for variable in floating]


def apply_finite(
    optimizer: Any,
    gradients: list[tf.Tensor | None],
    weights: list[Any],
    skipped: keras.Variable,
    state: list[tuple[keras.Variable, tf.Tensor]],
) -> None:
    """Apply the gradients if all of them, on all replicas, are finite; else restore ``state`` and count in ``skipped``.

    A ``LossScaleOptimizer`` skips such updates by itself (and needs to see them, to find its scale); it is only made
    sure that all replicas agree, and nothing counted.
    """
    if not optimizer.built:
        optimizer.build(weights)
    finite = global_sum(tf.cast(tf.logical_not(_all_finite(gradients)), tf.float32)) == 0.0
    variables, values = [variable for variable, _ in state], [value for _, value in state]

    def update(gradients: Any, _: Any) -> None:
        optimizer.apply(gradients, weights)

    def restore(_: Any, values: Any) -> None:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def skip(gradients: Any, values: Any) -> None:
        restore(gradients, values)
        skipped.assign_add(1)

    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        if num_replicas() > 1:
            gradients = [None if g is None else _poison_unless(finite, g) for g in gradients]
        optimizer.apply(gradients, weights)
        if variables:
            _either(finite, lambda *_: None, restore, [], values)
        return
    _either(finite, update, skip, gradients, values)


def _either(condition: tf.Tensor, then: Any, otherwise: Any, *args: Any) -> None:
    """Call one of two functions of no result in all replicas by a condition that is the same in all of them."""
    if not tf.distribute.has_strategy():
        tf.cond(condition, lambda: then(*args), lambda: otherwise(*args))
        return

    def across_replicas(strategy: tf.distribute.Strategy, condition: Any, *args: Any) -> None:
        # A cond inside a replica may not merge replicas, as an optimizer does even where there is one, so it stands
        # around all of them.
        tf.cond(
            strategy.experimental_local_results(condition)[0],
            lambda: strategy.extended.call_for_each_replica(then, args=args),
            lambda: strategy.extended.call_for_each_replica(otherwise, args=args),
        )

    tf.distribute.get_replica_context().merge_call(across_replicas, args=(condition, *args))


def _all_finite(gradients: list[tf.Tensor | None]) -> tf.Tensor:
    values = [g.values if isinstance(g, tf.IndexedSlices) else g for g in gradients if g is not None]
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in values])


def _poison_unless(finite: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    gradient = tf.convert_to_tensor(gradient)
    return tf.where(finite, gradient, tf.fill(tf.shape(gradient), tf.constant(float("nan"), gradient.dtype)))


@contextlib.contextmanager
def telling_of_skipped(skipped: keras.Variable) -> Iterator[None]:
    """Warn at the end if ``skipped`` has grown meanwhile."""
    before = int(tf.convert_to_tensor(skipped))
    yield
    count = int(tf.convert_to_tensor(skipped)) - before
    if count > 0:
        # Attributed to the caller of fit, beyond this, contextlib and fit.
        warnings.warn(
            f"{count} updates were skipped because their gradients were not finite; the weights were kept as they "
            "were. Look for NaN or very large values in the data, or lower the learning rate.",
            RuntimeWarning,
            stacklevel=4,
        )
