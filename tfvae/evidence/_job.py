"""Any number of examples in blocks: seeds, progress, and results kept in a file."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvae._checks import check_is_array
from tfvae.distributions import Family
from tfvae.evidence._store import Store, fingerprint_of_array, fingerprint_of_model
from tfvae.layers import NoiseState
from tfvae.layers._noise import as_seed_pair

# Examples of one block. The noise of an example is fixed by the seed and its row; another number is other noise.
ROWS = 64
# At most this many rows, and elements of x, go through the decoder at a time: few enough for the caches.
DECODER_ROWS = 4096
DECODER_ELEMENTS = 2**20

Work = Callable[[np.ndarray, tf.Tensor, Callable[[], None]], list[np.ndarray]]


@dataclass(frozen=True)
class Job:
    """A request to an estimator.

    Args:
        name: of the estimator.
        fields: of its results, each of one float64 per example.
        model: anything with ``posterior(x)``, ``prior()`` and ``likelihood(z)``.
        x: data ``[N, *event]``.
        seed: where the noise starts, an integer tensor ``[2]``.
        settings: whatever else the results depend on.
        store: where finished blocks are kept, or None.
        verbose: 1 for a progress bar, else 0.
    """

    name: str
    fields: tuple[str, ...]
    model: Any
    x: np.ndarray
    seed: tf.Tensor
    settings: dict[str, Any]
    store: Store | None
    verbose: int

    def run(self, work: Work, units: int) -> list[tf.Tensor]:
        """Return the fields, ``[N]`` each, from ``work(rows, seed, advance)`` on every block of ``x`` not yet done.

        ``work`` calls ``advance()`` ``units`` times and returns the fields of its rows.
        """
        results = [np.zeros(0) for _ in self.fields]
        if self.store is not None:
            results = self.store.finished(self._request(), ROWS, len(self.x))
        advance = self._progress(units, len(results[0]))
        seeds = seeds_of(self.seed, -(-len(self.x) // ROWS))
        for first in range(len(results[0]), len(self.x), ROWS):
            block = work(self.x[first : first + ROWS], seeds[first // ROWS], advance)
            results = [np.concatenate(parts) for parts in zip(results, block, strict=True)]
            if self.store is not None:
                self.store.write(results)
        return [tf.constant(values, tf.float64) for values in results]

    def _request(self) -> dict[str, Any]:
        return {
            "estimator": self.name,
            "seed": np.asarray(self.seed).tolist(),
            "x": fingerprint_of_array(self.x),
            "model": fingerprint_of_model(self.model, self.x),
            **self.settings,
        }

    def _progress(self, units: int, done: int) -> Callable[[], None]:
        if not self.verbose:
            return lambda: None
        bar = keras.utils.Progbar(target=-(-len(self.x) // ROWS) * units)
        bar.add(-(-done // ROWS) * units)
        return lambda: bar.add(1)


def make_job(
    name: str,
    fields: tuple[str, ...],
    model: Any,
    x: Any,
    seed: Any,
    settings: dict[str, Any],
    save_to: str | os.PathLike[str] | None = None,
    verbose: Any = 0,
) -> Job:
    """Return the job after a check of what all estimators share."""
    for method in ("posterior", "prior", "likelihood"):
        if not callable(getattr(model, method, None)):
            raise TypeError(
                f"model must be a tfvae.VAE, or have the methods posterior(x), prior() and likelihood(z) that return "
                f"TFP distributions; {type(model).__name__} has no {method}()."
            )
    if tf.is_tensor(x) and not hasattr(x, "numpy"):
        raise ValueError(
            f"{name} works on the values of x, block by block, which are not known inside a tf.function. Call it "
            "outside; in a graph take tfvae.VAE.elbo."
        )
    check_is_array(x)
    if isinstance(x, dict) or np.ndim(x) == 0:
        raise ValueError("x must be an array of examples, [N, *event]. For one example take x[None].")
    x = np.asarray(x)
    check_data(model, x)
    store = None if save_to is None else Store(save_to, fields)
    if seed is None and store is not None and store.seed() is not None:
        seed = store.seed()
    return Job(name, fields, model, x, as_seed(model, seed), settings, store, as_verbose(verbose))


def check_data(model: Any, x: np.ndarray) -> None:
    """Check shape and values against the family of ``p(x|z)``, of models that tell it."""
    family = getattr(model, "likelihood_family", None)
    if not isinstance(family, Family):
        return
    family.check_data_shape(x.shape)
    family.check_support(x)


def as_seed(model: Any, seed: Any) -> tf.Tensor:
    """Return a seed, ``[2]``: the one given; else the next of the model's noise state; else one from ``random``."""
    if seed is not None:
        return as_seed_pair(seed)
    noise = getattr(model, "noise", None)
    return noise.next_seed() if isinstance(noise, NoiseState) else as_seed_pair(random.randint(1, 2**31 - 1))


def seeds_of(seed: tf.Tensor, count: int) -> tf.Tensor:
    """Return seeds of their own for ``count`` parts, int32 ``[count, 2]``; for more parts, the same ones first."""
    return tf.random.stateless_uniform([count, 2], seed, minval=None, maxval=None, dtype=tf.int32, alg="philox")


def as_verbose(verbose: Any) -> int:
    """Return ``verbose`` as 0 or 1."""
    if verbose not in (0, 1):
        raise ValueError(f"verbose must be 0, or 1 for a progress bar, not {verbose!r}.")
    return int(verbose)


def padded(rows: np.ndarray) -> tf.Tensor:
    """Return a block of always ``ROWS`` rows, the last one repeated: an example's noise then is its place's alone."""
    return tf.convert_to_tensor(np.concatenate([rows, np.repeat(rows[-1:], ROWS - len(rows), axis=0)]))


def decoder_rows(x: tf.Tensor | np.ndarray) -> int:
    """Return how many rows go through the decoder at a time, for data of this shape."""
    elements = int(np.prod(x.shape[1:], dtype=np.int64))
    return max(1, min(DECODER_ROWS, DECODER_ELEMENTS // max(1, elements)))
