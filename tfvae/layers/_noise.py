"""The noise state: where a model's seeds come from, kept as a saved weight."""

from __future__ import annotations

import operator
import random
import threading
from typing import Any

import keras
import tensorflow as tf

from tfvae.ops import _checks

# Of all layers, because one that a layer held could not be copied with it.
_NEXT = threading.Lock()


def as_python_seed(seed: Any, name: str) -> int | None:
    """Return a constructor's ``seed`` as an int64-sized integer or None, or say what is wrong with it."""
    if seed is None:
        return None
    try:
        value = operator.index(seed)
    except TypeError:
        value = 2**63
    if isinstance(seed, bool) or not -(2**63) <= value < 2**63:
        raise ValueError(f"The seed of {name} must be None or an integer that fits in 64 bits, not {seed!r}.")
    return value


def as_seed_pair(seed: Any) -> tf.Tensor:
    """Return a user's ``seed`` (an integer, or two) as an integer tensor of shape [2]."""
    if tf.is_tensor(seed) and seed.shape.rank == 0 and seed.dtype in (tf.int32, tf.int64):
        return tf.stack([tf.cast(seed, tf.int64), tf.constant(0, tf.int64)])
    if isinstance(seed, (list, tuple)) or getattr(seed, "shape", ()) != ():
        return _checks.as_seed(seed)
    return tf.constant([as_python_seed(seed, "this call"), 0], tf.int64)


@keras.saving.register_keras_serializable(package="tfvae")
class NoiseState(keras.layers.Layer):
    """Gives a fresh seed for every draw and is saved with the model, so training resumes with the noise to come.

    The state is one non-trainable int64 weight ``[seed, counter]``; every call of ``next_seed`` counts one up. Under a
    ``tf.distribute`` strategy every replica folds its own id in, and all their counters advance alike.

    Args:
        seed: an integer, or None to draw one from Python's ``random`` (which ``keras.utils.set_random_seed`` seeds).
        name: name of the layer.

    Raises:
        ValueError: if ``seed`` is neither.

    Example:

    >>> from tfvae.layers import NoiseState
    >>> noise = NoiseState(seed=7)
    >>> noise.next_seed().numpy().tolist(), noise.next_seed().numpy().tolist()
    ([7, 0], [7, 1])
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.seed = as_python_seed(seed, type(self).__name__)
        start = random.randint(1, 2**31 - 1) if self.seed is None else self.seed
        # A copy of every replica's own: what replicas assign together they wait for each other at, in the middle of a
        # forward pass, and what the layers before it have added to the loss is cleared by the next replica's.
        with keras.name_scope(self.name, caller=self):
            self.state = keras.Variable(
                lambda shape, dtype: tf.constant([start, 0], dtype),
                shape=(2,),
                dtype="int64",
                trainable=False,
                aggregation="only_first_replica",
                synchronization="on_read",
                name="state",
            )
        self.built = True

    def next_seed(self) -> tf.Tensor:
        """Return a seed, int64 ``[2]``, and advance the counter; of eager calls, also from several threads at once."""
        replica = tf.distribute.get_replica_context()
        if replica is None or replica.num_replicas_in_sync == 1:
            with _NEXT:
                return self._take()
        seed = self._take()
        replica_id = tf.cast(replica.replica_id_in_sync_group, tf.int64)
        return tf.random.experimental.stateless_fold_in(seed, replica_id, alg="philox")

    def _take(self) -> tf.Tensor:
        seed = tf.convert_to_tensor(self.state)
        self.state.assign(seed + tf.constant([0, 1], tf.int64))
        return seed

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}
