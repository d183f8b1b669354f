"""The weight of the KL in a loss, which models and layers share."""

from __future__ import annotations

from typing import Any

import keras

from tfvae.layers._checks import as_kl_weight


class WeightedKL(keras.layers.Layer):
    """A layer or model with ``kl_weight``, a saved float32 weight that may be assigned at any time."""

    _kl_weight: keras.Variable | None = None

    def _add_kl_weight(self, initial: float) -> None:
        self.initial_kl_weight = as_kl_weight(initial)
        self._kl_weight = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self.initial_kl_weight),
            dtype="float32",
            trainable=False,
            autocast=False,
            name="kl_weight",
        )

    @property
    def kl_weight(self) -> keras.Variable:
        """The weight of the KL in the loss, a float32 variable.

        ``model.kl_weight = 4.0`` assigns to it, as ``model.kl_weight.assign(4.0)`` does: compiled steps see it and
        files keep it. Raises ValueError for anything but a finite number of at least 0.
        """
        if self._kl_weight is None:
            raise AttributeError(f"{self.name} adds no loss (return_kl=True), so it has no kl_weight.")
        return self._kl_weight

    @kl_weight.setter
    def kl_weight(self, value: Any) -> None:
        self.kl_weight.assign(as_kl_weight(value))
