"""What a run was asked to do."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

LIKELIHOODS = ("auto", "bernoulli", "normal")


@dataclasses.dataclass(frozen=True)
class Settings:
    """The options of ``tfvae train``; the defaults are those of the command line."""

    data: str
    latent_size: int = 10
    epochs: int = 200
    batch_size: int = 64
    learning_rate: float = 1e-3
    likelihood: str = "auto"
    kl_warmup: int = 0
    patience: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.data, str) or not self.data:
            raise ValueError(f"data must be the name of a data set or a path, not {self.data!r}.")
        for name, smallest in _SMALLEST.items():
            _check_integer(name, getattr(self, name), smallest)
        rate = self.learning_rate
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not (math.isfinite(rate) and rate > 0):
            raise ValueError(f"learning_rate must be a positive number, not {rate!r}. The default is 0.001.")
        if self.likelihood not in LIKELIHOODS:
            raise ValueError(f"likelihood must be one of {', '.join(LIKELIHOODS)}, not {self.likelihood!r}.")
        if self.kl_warmup > self.epochs:
            raise ValueError(
                f"kl_warmup is {self.kl_warmup} epochs and epochs only {self.epochs}, so the KL would never reach its "
                "full weight. Train longer or warm up for fewer epochs."
            )

    @classmethod
    def from_dict(cls, values: Any) -> Settings:
        """Return the settings in a dictionary read from a file; every value is checked."""
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or set(values) != names:
            raise ValueError(f"expected settings with the entries {', '.join(sorted(names))}, not {values!r}")
        return cls(**values)


_SMALLEST = {"latent_size": 1, "epochs": 1, "batch_size": 1, "kl_warmup": 0, "patience": 1, "seed": 0}
_LARGEST = 2**31 - 1


def _check_integer(name: str, value: Any, smallest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not smallest <= value <= _LARGEST:
        raise ValueError(f"{name} must be an integer from {smallest} to {_LARGEST}, not {value!r}.")
