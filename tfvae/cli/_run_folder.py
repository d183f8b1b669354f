"""The folder of a run: what lies where, and reading it with suspicion."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shlex
import zipfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

import tfvae
from tfvae._files import write_text
from tfvae.cli._errors import UsageError, one_line
from tfvae.cli._settings import Settings


@dataclasses.dataclass(frozen=True)
class Run:
    """What ``run.json`` holds: the settings, and what was made of them."""

    settings: Settings
    likelihood: str
    binarised: bool
    data_sha256: str


class RunFolder:
    """The paths in the folder of a run, and the command to go on with it."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.run = self.path / "run.json"
        self.checkpoint = self.path / "checkpoint.npz"
        self.model = self.path / "model.keras"
        self.saved_model = self.path / "saved_model"
        self.history = self.path / "history.csv"
        self.metrics = self.path / "metrics.json"
        self.evidence = self.path / "evidence.json"
        self.evidence_values = self.path / "evidence.npz"
        self.unfinished_evidence_values = self.path / "evidence_unfinished.npz"
        self.resume_command = f"tfvae train --output {shlex.quote(str(self.path))} --resume"

    def check_is_new(self) -> None:
        """Raise if something is already there, or TensorFlow could not write there."""
        try:
            str(self.path).encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"The name of the --output folder, {str(self.path)!r}, is not UTF-8 text. Choose another name, or set "
                "LANG to a locale of UTF-8."
            ) from None
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise UsageError(f"{self.path} is a file; --output takes the name of a folder. Choose another name.")
        if self.run.is_file():
            raise self._already_begun()
        if any(self.path.iterdir()):
            raise UsageError(f"{self.path} is not empty. Choose another --output folder, or empty it first.")

    def _already_begun(self) -> UsageError:
        return UsageError(
            f"{self.path} already holds a run. Continue it with --resume, or choose another --output folder."
        )

    def begin(self, run: Run) -> None:
        """Make the folder and write ``run.json``, which one of several processes can."""
        self.path.mkdir(parents=True, exist_ok=True)
        with self.held():
            if self.run.exists():
                raise self._already_begun()
            self.write_run(run)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from writing into the folder meanwhile; the system lets go when this one dies."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"Another process is at work in {self.path}. Wait for its end, or stop it first."
                ) from None
            except OSError:
                pass  # Some network file systems have no locks.
            yield
        finally:
            os.close(descriptor)

    def write_run(self, run: Run) -> None:
        """Write ``run.json`` anew."""
        content = {"tfvae": tfvae.__version__, **dataclasses.asdict(run)}
        write_text(self.run, json.dumps(content, indent=2) + "\n")

    def read_run(self) -> Run:
        """Read ``run.json``; every value is checked."""
        if not self.run.is_file():
            raise UsageError(f"{self.path} holds no run (no run.json). Give the --output folder of a `tfvae train`.")
        try:
            content = json.loads(self.run.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise ValueError("expected a JSON object")
            run = Run(
                Settings.from_dict(content.get("settings")),
                content.get("likelihood", ""),
                content.get("binarised") is True,
                str(content.get("data_sha256")),
            )
            if run.likelihood not in ("bernoulli", "normal"):
                raise ValueError(f"likelihood must be bernoulli or normal, not {run.likelihood!r}")
        except (ValueError, OverflowError, RecursionError) as error:
            raise UsageError(
                f"{self.run} is damaged ({one_line(error)}). Restore it from a copy, or train again in another folder."
            ) from error
        return run

    def load_model(self) -> tfvae.VAE:
        """Load ``model.keras``."""
        if not self.model.is_file():
            raise UsageError(
                f"{self.path} holds no model.keras: training has not ended, or the file was removed. Continue it with "
                f"`{self.resume_command}`, which writes it."
            )
        with self.model.open("rb"):
            pass  # What may not be read is not damaged.
        try:
            if not zipfile.is_zipfile(self.model):
                raise ValueError("it is no whole zip archive")
            model = keras.models.load_model(self.model)
        except Exception as error:  # zip, JSON, HDF5 and Keras each raise their own
            raise UsageError(
                f"{self.model} cannot be read; it is truncated or damaged ({one_line(error, 200)}). "
                f"Write it again with `{self.resume_command}`, or restore it from a copy."
            ) from error
        if not isinstance(model, tfvae.VAE):
            raise UsageError(
                f"{self.model} holds a {type(model).__name__}; expected a tfvae.VAE written by tfvae train."
            )
        return model


def check_event_shape(x: np.ndarray, model: tfvae.VAE, name: str) -> None:
    """Raise if these are not examples of the kind the model was trained on."""
    expected = model.likelihood_family.event_shape
    if x.shape[1:] != expected:
        raise UsageError(
            f"The examples of {name} have shape {x.shape[1:]} and the model was trained on {expected}. "
            "Give data of that shape."
        )
