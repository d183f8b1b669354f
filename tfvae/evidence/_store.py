"""Finished blocks in a file, from which the same request goes on."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae._files import write_file
from tfvae.distributions import Family

_VERSION = 2
_REMEDY = "Remove it, or give save_to another name."
# How far densities may be from those in the file: libraries round differently from one day to another.
_TOLERANCE = 1e-4


class StoreError(ValueError):
    """A file that is no answer to the request: of another one, damaged, or something else."""


class Store:
    """Results of the first rows of ``x`` in an ``.npz`` file, beside a description of the request they answer.

    Args:
        path: the file; it may not exist yet, its folder must.
        fields: names of the results.

    Raises:
        ValueError: if the name does not end in ``.npz``; a ``StoreError`` if the file is damaged or none of these.
        FileNotFoundError: if there is no such folder.
    """

    def __init__(self, path: str | os.PathLike[str], fields: tuple[str, ...]) -> None:
        self.path, self.fields = Path(path), fields
        if self.path.suffix != ".npz":
            raise ValueError(f"save_to must be the name of an .npz file, not {str(path)!r}.")
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"The folder of save_to, {self.path.parent}, does not exist. Make it first.")
        self._request: dict[str, Any] | None = None
        self._results = [np.zeros(0) for _ in fields]
        if self.path.exists():
            self._request, self._results = self._read()

    def seed(self) -> list[int] | None:
        """Return the seed of the request that the file holds, or None where there is no file."""
        return None if self._request is None else self._request["seed"]

    def finished(self, request: dict[str, Any], rows: int, examples: int) -> list[np.ndarray]:
        """Return the results of the rows already done for ``request``, blocks of ``rows`` out of ``examples``.

        Raises:
            StoreError: if the file holds those of another request.
        """
        request = {**request, "version": _VERSION}
        if self._request is not None:
            names = sorted({*request, *self._request})
            other = [name for name in names if not _is_same(request.get(name), self._request.get(name))]
            if other:
                raise StoreError(
                    f"{self.path} holds the results of another request: its {', '.join(other)} "
                    f"{'is' if len(other) == 1 else 'are'} not as asked for here. {_REMEDY}"
                )
        self._request = request
        done = len(self._results[0])
        if done > examples or (done % rows and done != examples):
            raise StoreError(f"{self.path} holds {done} results, which is no number of whole blocks. {_REMEDY}")
        return self._results

    def write(self, results: list[np.ndarray]) -> None:
        """Write all results so far."""
        arrays = {"request": np.array(json.dumps(self._request)), **dict(zip(self.fields, results, strict=True))}

        def save(temporary: Path) -> None:
            with temporary.open("wb") as file:  # Of a name, NumPy would make one that ends in .npz.
                np.savez(file, **arrays)  # type: ignore[arg-type]

        write_file(self.path, save)

    def _read(self) -> tuple[dict[str, Any], list[np.ndarray]]:
        try:
            with self.path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                request = json.loads(str(file["request"][()]))
                results = [file[name] for name in self.fields]
        except Exception as error:  # zip, zlib, NumPy and JSON each raise their own for a damaged file
            raise StoreError(
                f"{self.path} cannot be read as results of this estimator: it is damaged, or something else ({error}). "
                f"{_REMEDY}"
            ) from error
        shapes = {array.shape for array in results}
        sound = len(shapes) == 1 and all(array.ndim == 1 and array.dtype == np.float64 for array in results)
        seed = request.get("seed") if isinstance(request, dict) else None
        if not isinstance(seed, list) or [type(word) for word in seed] != [int, int] or not sound:
            raise StoreError(f"{self.path} does not hold float64 results of one length and their request. {_REMEDY}")
        return request, results


def fingerprint_of_array(x: np.ndarray) -> str:
    """Return a hash of an array's dtype, shape and values."""
    digest = hashlib.sha256(f"{x.dtype.str}{x.shape}".encode())
    digest.update(np.ascontiguousarray(x).tobytes())
    return digest.hexdigest()


def fingerprint_of_model(model: Any, x: np.ndarray) -> list[str | float]:
    """Return a hash of a Keras model's weights, families and layers, and of any model what it says of some of ``x``.

    The noise state of a VAE, its counters and the weight of its KL are no part of what it computes here. What methods
    read from elsewhere is in no hash, and seen where it changes densities.
    """
    densities = _some_densities(model, x[:32])  # First, because it builds what is not built yet.
    arrays: list[str] = []
    if hasattr(model, "weights"):
        weights = [weight for weight in model.weights if weight is not getattr(model, "kl_weight", None)]
        floating = [np.asarray(weight) for weight in weights if tf.as_dtype(weight.dtype).is_floating]
        families = [value for name, value in sorted(vars(model).items()) if isinstance(value, Family)]
        arrays += [fingerprint_of_array(array) for array in floating]
        arrays += [f"{type(family).__name__}{family.get_config()}" for family in families]
        arrays += [_description(layer) for layer in getattr(model, "_flatten_layers", tuple)()]
    return [hashlib.sha256(" ".join(arrays).encode()).hexdigest(), *densities]


def _some_densities(model: Any, rows: np.ndarray) -> list[float]:
    q, p = model.posterior(rows), model.prior()
    z = q.sample(seed=tf.constant([1, 2]))
    decoded = model.likelihood(z)
    terms = [q.log_prob(z), p.log_prob(z), decoded.log_prob(tf.cast(rows, decoded.dtype))]
    return [value for term in terms for value in np.ravel(np.asarray(term, np.float64)).tolist()]


def _is_same(asked: Any, there: Any) -> bool:
    """Tell whether entries of two requests are equal, but for the rounding of densities in a model's fingerprint."""
    if not (isinstance(asked, list) and isinstance(there, list) and len(asked) == len(there)):
        return bool(asked == there)
    return all(
        np.isclose(here, stored, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)
        if isinstance(here, float) and isinstance(stored, float)
        else here == stored
        for here, stored in zip(asked, there, strict=True)
    )


def _description(layer: Any) -> str:
    """Return the settings of a layer with none inside, but for those that change no output: no weight tells them."""
    if layer._flatten_layers(include_self=False, recursive=False):
        return ""
    try:
        config = {name: value for name, value in layer.get_config().items() if name not in ("name", "trainable")}
    except NotImplementedError:  # A layer of the user's own that does not tell.
        config = {}
    return type(layer).__name__ + json.dumps(config, sort_keys=True, default=lambda value: type(value).__name__)
