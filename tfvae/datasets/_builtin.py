"""Data sets known by name."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable

import numpy as np

from tfvae.datasets._examples import Examples, Source, as_examples
from tfvae.datasets._split import split

_KERAS_NAMES = ("mnist", "fashion_mnist", "cifar10", "cifar100")
_CLASS_NAMES = {
    "fashion_mnist": ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}


def _digits() -> Source:
    from sklearn.datasets import load_digits

    bundled = load_digits()
    grey = (bundled.images / 16.0).astype(np.float32)[..., np.newaxis]
    train, test = split(Examples(grey, bundled.target.astype(np.int64)), "digits")
    return Source("digits", train, test)


def _keras(name: str) -> Source:
    module = importlib.import_module(f"keras.datasets.{name}")
    try:
        (x_train, y_train), (x_test, y_test) = module.load_data()
    except Exception as error:  # keras raises a bare Exception for a failed download
        reason = " ".join(str(error).split())
        raise ValueError(
            f"keras.datasets could not load {name} ({reason}). It is downloaded on first use: check the network, or "
            "save the data as .npz and give that path."
        ) from error
    train = as_examples(np.asarray(x_train), np.asarray(y_train), f"the training part of {name}")
    test = as_examples(np.asarray(x_test), np.asarray(y_test), f"the test part of {name}")
    return Source(name, train, test, _CLASS_NAMES.get(name))


READERS: dict[str, Callable[[], Source]] = {
    "digits": _digits,
    **{name: functools.partial(_keras, name) for name in _KERAS_NAMES},
}
