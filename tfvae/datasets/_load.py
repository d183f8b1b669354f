"""The front door: find out what a name or path means and read it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfvae.datasets import _builtin, _csv, _images, _numpy_files
from tfvae.datasets._dataset import Dataset
from tfvae.datasets._examples import Examples, Source, check_same_event_shape
from tfvae.datasets._split import split

NAMES = tuple(_builtin.READERS)
_FILE_READERS: dict[str, Callable[[Path], Source]] = {
    ".npy": _numpy_files.read_npy,
    ".npz": _numpy_files.read_npz,
    ".csv": _csv.read_csv,
}


def load(name_or_path: str | os.PathLike[str]) -> Dataset:
    """Load a data set with a training and a test part.

    A source without a test part is split: a fifth of its examples, always the same ones, become the test part.

    Args:
        name_or_path: one of

            - ``"digits"``: scikit-learn's bundled 8x8 digits, grey levels in ``[0, 1]`` (sixteenths);
            - ``"mnist"``, ``"fashion_mnist"``, ``"cifar10"``, ``"cifar100"``: from ``keras.datasets``, downloaded once,
              grey levels or colours in ``[0, 1]``;
            - a ``.npy`` file: ``[N, features]``, ``[N, height, width]`` or ``[N, height, width, channels]``;
            - a ``.npz`` file: ``x_train``, ``x_test`` and, for labels, ``y_train``, ``y_test``; or ``x`` and ``y``;
              or one array of any name;
            - a ``.csv`` file: commas between numbers, an example a line; where the first line has a word, or alone has
              quotes, it is a header; a column named ``label`` or ``class`` holds integer labels;
            - a folder of images of one size; where it has sub-folders, each is a class; where these are ``train`` and
              ``test``, they are the two parts, with or without classes.

            A name wins over a file of the same name: write ``./digits`` for the file. Bytes (uint8) are divided by 255,
            whatever they hold; store 0/1 data as bool or float32. Pickled objects in files are never read; Keras, of
            its own data sets, unpickles those of CIFAR, arrays only.

    Raises:
        FileNotFoundError: if there is no such name or path.
        ValueError: if what is there cannot be used: it says what was expected, what came and how to mend it.

    Example:

    >>> import tfvae
    >>> tfvae.datasets.load("digits").event_shape
    (8, 8, 1)
    """
    source = _read(name_or_path)
    if source.test is None:
        train, test = split(source.train, source.name)
    else:
        train, test = source.train, source.test
        check_same_event_shape(train, test, source.name)
    return Dataset(source.name, train.x, test.x, train.labels, test.labels, source.class_names)


def load_examples(name_or_path: str | os.PathLike[str]) -> np.ndarray:
    """Load the examples to apply a trained model to, float32 ``[N, *event_shape]``.

    The test part where the source has one of its own, else every example in the order of the file: nothing is split.

    Args:
        name_or_path: as for ``load``.

    Raises:
        FileNotFoundError: if there is no such name or path.
        ValueError: if what is there cannot be used.

    Example:

    >>> import tfvae
    >>> tfvae.datasets.load_examples("digits").shape
    (359, 8, 8, 1)
    """
    return read_examples(name_or_path)[0].x


def read_examples(name_or_path: str | os.PathLike[str]) -> tuple[Examples, tuple[str, ...] | None]:
    """Do as ``load_examples``; return the examples with their labels, and the names of classes."""
    source = _read(name_or_path)
    return source.test or source.train, source.class_names


def _read(name_or_path: str | os.PathLike[str]) -> Source:
    name = os.fspath(name_or_path)
    reader = _builtin.READERS.get(name)
    if reader is not None:
        return reader()
    return _read_path(name)


def _read_path(name: str) -> Source:
    path = Path(name)
    try:
        is_folder, is_file = bool(name) and path.is_dir(), path.is_file()
    except (OSError, ValueError):
        is_folder = is_file = False
    if is_folder:
        return _images.read_folder(path)
    if not is_file:
        raise FileNotFoundError(
            f"There is no data set or file called {name!r}. Give one of {', '.join(NAMES)}, "
            f"a {', '.join(_FILE_READERS)} file or a folder of images."
        )
    read_file = _FILE_READERS.get(path.suffix.lower())
    if read_file is None:
        raise ValueError(
            f"{name} is of an unknown type {path.suffix!r}; expected a {', '.join(_FILE_READERS)} file or a folder of "
            "images. Save the data as one of those, e.g. with numpy.save."
        )
    try:
        return read_file(path)
    except OSError as error:
        raise ValueError(f"{name} cannot be read ({error.strerror or error}). Check that it may be read.") from error
