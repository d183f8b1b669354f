"""Everything a run needs to go on as if it had never stopped, in one file that is replaced as a whole."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from tfvae._files import write_file
from tfvae.cli._errors import UsageError, one_line

_LOGGED = {part + name for part in ("", "val_") for name in ("elbo", "kl", "loss", "reconstruction")}
_REMEDY = "Start again in another folder, or restore it from a copy."


@dataclasses.dataclass
class Progress:
    """How far training has come.

    Attributes:
        history: per log name, a value for every finished epoch.
        best_epoch: number of finished epochs when the validation ELBO was best; 0 before the first.
        best_weights: the model's weights then.
        seconds: time spent training, over all sessions.
    """

    history: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    best_epoch: int = 0
    best_weights: list[np.ndarray] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history.get("val_elbo", []))

    @property
    def best_elbo(self) -> float:
        """The best validation ELBO, nats per example; minus infinity before the first."""
        return self.history["val_elbo"][self.best_epoch - 1] if self.best_epoch else -np.inf


def save(path: Path, progress: Progress, variables: list[Any]) -> None:
    """Write the progress and the values of the model's and the optimizer's variables."""
    told = {"history": progress.history, "best_epoch": progress.best_epoch, "seconds": progress.seconds}
    arrays = {f"variable_{i}": variable.numpy() for i, variable in enumerate(variables)}
    arrays |= {f"best_{i}": value for i, value in enumerate(progress.best_weights)}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, progress=np.array(json.dumps(told)), **arrays)

    write_file(path, write)


def restore(path: Path, variables: list[Any], weights: list[Any]) -> Progress:
    """Put the saved values into the variables and return the progress; nothing is assigned unless all of it fits."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            values = [_fitting(archive[f"variable_{i}"], variable) for i, variable in enumerate(variables)]
            progress = _progress(json.loads(str(archive["progress"])))
            if progress.best_epoch:
                progress.best_weights = [_fitting(archive[f"best_{i}"], weight) for i, weight in enumerate(weights)]
    except Exception as error:  # zip, zlib, NumPy and JSON each raise their own for a damaged file
        raise UsageError(f"{path} cannot be used to resume ({one_line(error, 200)}). {_REMEDY}") from error
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return progress


def _fitting(value: np.ndarray, variable: Any) -> np.ndarray:
    if value.shape != tuple(variable.shape) or value.dtype.name != variable.dtype:
        there, here = f"{value.dtype.name} {value.shape}", f"{variable.dtype} {tuple(variable.shape)}"
        raise ValueError(f"{variable.path} is {there} there and {here} here")
    return value


def _progress(told: Any) -> Progress:
    history = {str(name): [float(value) for value in values] for name, values in dict(told["history"]).items()}
    lengths = {len(values) for values in history.values()}
    best_epoch, seconds = told["best_epoch"], float(told["seconds"])
    fits = set(history) == _LOGGED and len(lengths) == 1 and math.isfinite(seconds)
    if not fits or not isinstance(best_epoch, int) or not 0 <= best_epoch <= min(lengths):
        raise ValueError("its history does not fit together")
    return Progress(history, best_epoch, [], seconds)
