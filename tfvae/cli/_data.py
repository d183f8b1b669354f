"""From a source of data to what a run trains, validates and tests on."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfvae import datasets, distributions
from tfvae.cli._errors import UsageError, one_line
from tfvae.cli._run_folder import Run
from tfvae.cli._settings import Settings
from tfvae.datasets._split import permutation

_VALIDATION_FRACTION = 0.1
_VALIDATION_SEED = 1
_SOME_SEED = 2


class Examples(NamedTuple):
    """Examples as a model expects them, and their classes where these are known."""

    x: np.ndarray
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None

    def some(self, count: int) -> Examples:
        """Return at most ``count`` of them, always the same ones, from all over, in their order."""
        if len(self.x) <= count:
            return self
        rows = np.sort(permutation(len(self.x), _SOME_SEED)[:count])
        return Examples(self.x[rows], None if self.labels is None else self.labels[rows], self.class_names)


@dataclasses.dataclass(frozen=True)
class Parts:
    """The data of a run, ``[N, *event_shape]`` each, and the likelihood that suits them."""

    train: np.ndarray
    validation: np.ndarray
    data: datasets.Dataset
    likelihood: str
    binarised: bool

    def family(self) -> distributions.Family:
        """Return the likelihood's family."""
        if self.likelihood == "bernoulli":
            return distributions.Bernoulli(self.data.event_shape)
        return distributions.Normal(self.data.event_shape, scale="learned")

    def test(self) -> Examples:
        """Return the test examples."""
        return Examples(self.data.test, self.data.test_labels, self.data.class_names)

    def digest(self) -> str:
        """Return a fingerprint of everything trained and tested on."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.data.test):
            digest.update(str(part.shape).encode())
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()


def prepare(name: str, likelihood: str) -> Parts:
    """Load the data, settle the likelihood, check that the data are in its support, and split off a validation part."""
    data = datasets.load(name)
    suits = "bernoulli" if data.kind == "binary" else "normal"
    chosen = suits if likelihood == "auto" else likelihood
    binarised = chosen == "bernoulli" and data.kind == "unit"
    if chosen == "bernoulli" and data.kind == "real":
        distributions.Bernoulli(data.event_shape).check_support(data.train)
        distributions.Bernoulli(data.event_shape).check_support(data.test)
    data = data.binarised() if binarised else data
    count = len(data.train)
    held_out = max(1, int(_VALIDATION_FRACTION * count))
    if count - held_out < 1:
        raise UsageError(f"{data.name} leaves {count} example for training; at least 2 are needed. Give more examples.")
    order = permutation(count, _VALIDATION_SEED)
    kept, held = np.sort(order[held_out:]), np.sort(order[:held_out])
    return Parts(data.train[kept], data.train[held], data, chosen, binarised)


def prepare_again(run: Run, settings: Settings, folder: Path, otherwise: str) -> Parts:
    """Prepare the data of a run anew and refuse others than it was begun with; ``otherwise`` tells what else to do."""
    try:
        parts = prepare(settings.data, settings.likelihood)
    except FileNotFoundError as error:
        raise UsageError(
            f"{one_line(error)} If the data of the run in {folder} were moved, give their new path with --data."
        ) from error
    if parts.digest() != run.data_sha256:
        raise UsageError(
            f"The data of {settings.data} are not those the run in {folder} was begun with. Bring them back, or "
            f"{otherwise}."
        )
    return parts


def batches(x: np.ndarray, batch_size: int, seed: int, first_epoch: int) -> tf.data.Dataset:
    """Return the batches of epoch ``first_epoch``, then those of the next, without end.

    The order within an epoch is a function of the seed and the epoch's number alone, so that a resumed run sees what it
    would have seen.
    """
    count = len(x)
    with tf.device("CPU"):
        values = tf.constant(x)

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        rows = tf.random.experimental.index_shuffle(
            tf.range(count, dtype=tf.int64), seed=tf.stack([tf.constant(seed, tf.int64), epoch]), max_index=count - 1
        )
        return tf.data.Dataset.from_tensor_slices(rows).batch(batch_size)

    def gather(rows: tf.Tensor) -> tf.Tensor:
        return tf.gather(values, rows)

    return tf.data.Dataset.counter(first_epoch).flat_map(one_epoch).map(gather).prefetch(2)


def in_blocks(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, rows: int = 512) -> np.ndarray:
    """Apply a function to a block of rows at a time."""
    return np.concatenate([np.asarray(function(x[first : first + rows])) for first in range(0, len(x), rows)])
