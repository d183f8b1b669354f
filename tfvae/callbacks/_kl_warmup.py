"""The warm-up of the KL."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from tfvae._checks import as_count
from tfvae.layers._checks import as_kl_weight


class KLWarmup(keras.callbacks.Callback):
    r"""Raises the weight of the KL linearly from ``start`` to ``target`` over the first epochs or steps of training.

    After ``t`` of ``T`` epochs (or steps) the weight is ``start + (target - start) min(t / T, 1)``, and exactly
    ``target`` from ``t = T`` on; by epochs it is constant within one. Only the loss is weighted: the reported ``elbo``
    stays the unweighted bound, so monitor ``val_elbo`` with ``mode="max"``, not ``val_loss``. ``t`` is counted from the
    epoch number, so a run resumed with ``initial_epoch`` (or by ``BackupAndRestore``) goes on where it stopped; by
    steps, with ``steps_per_execution`` the weight changes once per execution. The weight is one of the model's, so what
    brings earlier weights back (``EarlyStopping(restore_best_weights=True)``) brings back this one of that epoch too.

    Works on a ``tfvae.VAE`` and on all ``tfvae.layers.GaussianLatent`` layers of any model.

    Args:
        epochs: length of the warm-up in epochs.
        steps: length of the warm-up in training steps, that is in batches; one of the two must be given.
        start: weight at the beginning.
        target: weight at the end; None takes the ``kl_weight`` that the model, or each layer, was constructed with.

    Raises:
        ValueError: for a bad argument; at the start of ``fit`` if the model has no weight of a KL.

    Warns:
        UserWarning: if training is too short for the target, or ends before it.

    Source: Bowman et al., "Generating Sentences from a Continuous Space" (2016); Sonderby et al., "Ladder Variational
    Autoencoders" (2016).

    Example:

    >>> import keras, numpy as np, tfvae
    >>> vae = tfvae.VAE(
    ...     keras.Sequential([keras.Input([8]), keras.layers.Dense(4)]),
    ...     keras.Sequential([keras.Input([2]), keras.layers.Dense(8)]),
    ...     posterior=tfvae.distributions.DiagonalNormal(2),
    ...     likelihood=tfvae.distributions.Normal(8),
    ...     kl_weight=4.0,
    ... )
    >>> vae.compile("adam")
    >>> history = vae.fit(np.zeros([8, 8]), epochs=3, callbacks=[tfvae.callbacks.KLWarmup(epochs=2)], verbose=0)
    >>> float(vae.kl_weight.numpy())
    4.0
    """

    def __init__(
        self, *, epochs: int | None = None, steps: int | None = None, start: float = 0.0, target: float | None = None
    ) -> None:
        super().__init__()
        if (epochs is None) == (steps is None):
            raise ValueError(f"Give KLWarmup either epochs or steps, not epochs={epochs!r} and steps={steps!r}.")
        self.by_epochs = epochs is not None
        self.length = as_count(epochs if self.by_epochs else steps, "The length of a KL warm-up")
        self.start = as_kl_weight(start)
        self.target = None if target is None else as_kl_weight(target)
        self._weights: list[tuple[keras.Variable, float]] = []
        self._warned = False
        self._reached: int | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Find the weights to set, and warn if the run is known to be too short."""
        self._weights = self._weights_and_targets()
        if not self._weights:
            raise ValueError(
                "KLWarmup found no weight of a KL in the model. It works on a tfvae.VAE and on models with "
                "tfvae.layers.GaussianLatent layers (without return_kl)."
            )
        self._reached = None
        planned = self._planned()
        self._warned = planned is not None and planned < self.length
        if self._warned and planned is not None:
            unit = "epochs" if self.by_epochs else "steps"
            warnings.warn(
                f"Training ends after {planned} {unit}, before the KL warm-up of {self.length}: the weight of the KL "
                f"will end at {self._short_of_target(planned)}. Train longer or shorten the warm-up.",
                stacklevel=2,
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the weight of this epoch."""
        if self.by_epochs:
            self._set(epoch)
        else:
            self._epoch_start = self._steps_before(epoch)
            self._set(self._epoch_start)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the weight of the next step."""
        if not self.by_epochs:
            self._set(self._epoch_start + batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the weight of the next epoch, so that what is saved now goes on with it."""
        if self.by_epochs:
            self._set(epoch + 1)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Warn if training stopped early, before the target was reached."""
        if not self._warned and self._reached is not None and self._reached < self.length:
            warnings.warn(
                "Training stopped during the KL warm-up, when the weight of the KL was "
                f"{self._short_of_target(self._reached)}.",
                stacklevel=2,
            )

    def _set(self, time: int) -> None:
        self._reached = time
        for weight, target in self._weights:
            weight.assign(self._weight_at(time, target))

    def _weight_at(self, time: int, target: float) -> float:
        if time >= self.length:
            return target
        return self.start + (target - self.start) * time / self.length

    def _short_of_target(self, time: int) -> str:
        pairs = dict.fromkeys(f"{self._weight_at(time, target):g}, not {target:g}" for _, target in self._weights)
        return "; ".join(pairs)

    def _planned(self) -> int | None:
        epochs, steps = self.params.get("epochs"), self.params.get("steps")
        if epochs is None or self.by_epochs:
            return epochs
        return None if steps is None else epochs * steps

    def _steps_before(self, epoch: int) -> int:
        """Return the steps taken before ``epoch``, where ``steps`` is unknown those seen, or told by the model."""
        steps = self.params.get("steps")
        if steps is not None:
            return epoch * steps
        if self._reached is not None:
            return self._reached
        return self._steps_of_model() if epoch else 0

    def _steps_of_model(self) -> int:
        """Return the batches the model was trained on: its updates, times what they accumulate, and the skipped."""
        optimizer = self.model.optimizer
        counts = optimizer.iterations, getattr(self.model, "skipped_updates", 0)
        updates, skipped = (int(keras.ops.convert_to_numpy(count)) for count in counts)
        return updates * (getattr(optimizer, "gradient_accumulation_steps", None) or 1) + skipped

    def _weights_and_targets(self) -> list[tuple[keras.Variable, float]]:
        """Return the weights of the KL of the model and of all layers in it, each once, and where each is to end."""
        found = {}
        for layer in self.model._flatten_layers():
            weight = getattr(layer, "kl_weight", None)
            if isinstance(weight, keras.Variable):
                initial = getattr(layer, "initial_kl_weight", 1.0)
                found[id(weight)] = weight, initial if self.target is None else self.target
        return list(found.values())
