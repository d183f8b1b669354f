"""What the callbacks share that look at held-out data from time to time."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfvae._checks import as_count
from tfvae.evidence._job import check_data


class HeldOutCallback(keras.callbacks.Callback):
    """Calls ``look()`` after epochs ``1``, ``1 + every`` and so on and the last, and logs the numbers it returns.

    In the epochs between, the names are logged as NaN, so that all entries of a history have one value per epoch.
    """

    names: tuple[str, ...]

    def __init__(self, x_val: Any, every: int) -> None:
        super().__init__()
        self.x_val = np.asarray(x_val)
        if self.x_val.ndim < 2 or not self.x_val.size:
            raise ValueError(
                f"x_val must be an array of held-out data [N, *event] with at least one example, not of shape "
                f"{list(self.x_val.shape)}."
            )
        self.every = as_count(every, "every")
        self.is_fresh = True  # Whether the epoch that ended last was looked at.

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Check that the data are those of the model, before an epoch is spent."""
        check_data(self.model, self.x_val)

    def look(self) -> dict[str, float]:
        """Return a number for each of ``names``."""
        raise NotImplementedError

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look, where it is time to, and log."""
        last = epoch + 1 == self.params.get("epochs") or self.model.stop_training
        self.is_fresh = last or epoch % self.every == 0
        found = self.look() if self.is_fresh else dict.fromkeys(self.names, float("nan"))
        if logs is not None:
            logs.update(found)
