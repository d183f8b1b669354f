"""What Keras' own training loop does otherwise for a model of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


class Trainer(keras.Model):
    """A Keras model that works after a first step that failed, and on batches that replicas share.

    A ``tf.function`` may create variables, as unbuilt networks and optimizers do, in its first call only. So the
    functions are made anew while there are variables to create: the last ones never got that far.
    """

    def make_train_function(self, force: bool = False) -> Callable[[Any], Any]:
        """Make what takes steps."""
        unready = not self.built or (bool(self.trainable_weights) and not self.optimizer.built)
        return super().make_train_function(force or unready)

    def make_test_function(self, force: bool = False) -> Callable[[Any], Any]:
        """Make what evaluates."""
        return super().make_test_function(force or not self.built)

    def make_predict_function(self, force: bool = False) -> Callable[[Any], Any]:
        """Make what predicts."""
        return super().make_predict_function(force or not self.built)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Build on the part of one replica: Keras takes a mean over replicas, which fails where parts differ."""
        strategy = self.distribute_strategy
        if iterator is not None and strategy.num_replicas_in_sync > 1:
            _, _, batches = next(iter(iterator))
            batch = keras.tree.map_structure(lambda part: strategy.experimental_local_results(part)[0], next(batches))
            iterator, data_batch = None, batch
        super()._maybe_symbolic_build(iterator, data_batch)
