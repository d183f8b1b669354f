"""The training of ``tfvae train``: ``fit`` with a callback that reports, keeps the best weights and checkpoints."""

from __future__ import annotations

import csv
import io
import time
from typing import Any

import keras
import numpy as np

import tfvae
from tfvae._files import write_text
from tfvae.cli import _checkpoint
from tfvae.cli._data import Parts, batches
from tfvae.cli._errors import UsageError
from tfvae.cli._run_folder import RunFolder
from tfvae.cli._settings import Settings

_VALIDATION_BATCH = 256


class Session:
    """A model in training, and how far it has come."""

    def __init__(self, vae: tfvae.VAE, parts: Parts, settings: Settings, folder: RunFolder) -> None:
        vae.compile(keras.optimizers.Adam(settings.learning_rate), jit_compile=False)
        vae(parts.train[:1])
        vae.optimizer.build(vae.trainable_variables)
        self.vae, self.parts, self.settings, self.folder = vae, parts, settings, folder
        self.progress = _checkpoint.Progress()

    @property
    def variables(self) -> list[Any]:
        """Everything that training changes: weights, noise state and the optimizer's variables."""
        return [*self.vae.weights, *self.vae.optimizer.variables]

    def restore(self) -> None:
        """Go back to the last finished epoch, or to the beginning if there is none."""
        checkpoint, history = self.folder.checkpoint, self.folder.history
        if checkpoint.exists():
            self.progress = _checkpoint.restore(checkpoint, self.variables, self.vae.weights)
        elif history.exists():
            raise UsageError(
                f"{checkpoint} is missing, though {history.name} tells of finished epochs. Restore it from a copy, or "
                "train again in another folder."
            )

    @property
    def ended(self) -> bool:
        """Whether all epochs are done, or the validation ELBO has stopped rising."""
        patient_since = max(self.progress.best_epoch, self.settings.kl_warmup)
        waited = self.progress.epoch - patient_since
        return self.progress.epoch >= self.settings.epochs or waited >= self.settings.patience

    def fit(self) -> None:
        """Train on, to the end."""
        if self.ended:
            return
        callbacks: list[keras.callbacks.Callback] = [_Keeper(self)]
        if self.settings.kl_warmup:
            callbacks.insert(0, tfvae.callbacks.KLWarmup(epochs=self.settings.kl_warmup))
        train, settings = self.parts.train, self.settings
        print(_header(settings.epochs), flush=True)
        self.vae.fit(
            batches(train, settings.batch_size, settings.seed, self.progress.epoch),
            steps_per_epoch=-(-len(train) // settings.batch_size),
            initial_epoch=self.progress.epoch,
            epochs=settings.epochs,
            validation_data=(self.parts.validation,),
            validation_batch_size=_VALIDATION_BATCH,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )

    def take_best_weights(self) -> None:
        """Give the model the weights with which the validation ELBO was best."""
        if not self.progress.best_epoch:
            raise UsageError(
                f"The validation ELBO was not a finite number in any of {self.progress.epoch} epochs, so there is no "
                "model to keep. Try a smaller --learning-rate, or look for extreme values in the data."
            )
        for weight, value in zip(self.vae.weights, self.progress.best_weights, strict=True):
            weight.assign(value)

    def finish_epoch(self, logs: dict[str, Any], seconds: float) -> None:
        """Write down what an epoch gave, keep its weights if they are the best, checkpoint, report."""
        progress, best_elbo = self.progress, self.progress.best_elbo
        for name, value in logs.items():
            progress.history.setdefault(name, []).append(float(value))
        is_best = bool(progress.history["val_elbo"][-1] > best_elbo)
        if is_best:
            progress.best_epoch = progress.epoch
            progress.best_weights = [np.array(weight.numpy()) for weight in self.vae.weights]
        progress.seconds += seconds
        _checkpoint.save(self.folder.checkpoint, progress, self.variables)
        write_text(self.folder.history, history_csv(progress.history))
        print(_line(progress, self.settings.epochs, is_best), flush=True)


class _Keeper(keras.callbacks.Callback):
    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.perf_counter()
        self._session.finish_epoch(logs or {}, now - self._start)
        self._start = now
        if self._session.ended:
            self.model.stop_training = True


def history_csv(history: dict[str, list[float]]) -> str:
    """Return the history as CSV: a row for every epoch; numbers that read back to the same bits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", *history])
    for epoch, row in enumerate(zip(*history.values(), strict=True), start=1):
        writer.writerow([epoch, *map(repr, row)])
    return text.getvalue()


def _header(epochs: int) -> str:
    width = 2 * len(str(epochs)) + 1
    names = f"{'elbo':>11}{'reconstruction':>16}{'kl':>9}"
    return f"{'':{width}}{'training':>11}{'':25}   {'validation':>11}\n{'epoch':>{width}}{names}   {names}"


def _line(progress: _checkpoint.Progress, epochs: int, is_best: bool) -> str:
    last = {name: values[-1] for name, values in progress.history.items()}
    groups = (
        f" {last[part + 'elbo']:10.3f} {last[part + 'reconstruction']:15.3f} {last[part + 'kl']:8.3f}"
        for part in ("", "val_")
    )
    return f"{progress.epoch:{len(str(epochs))}}/{epochs}{'   '.join(groups)}{'  best' if is_best else ''}"
