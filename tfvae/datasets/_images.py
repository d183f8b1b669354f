"""A folder of images of one size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from tfvae.datasets._examples import Examples, Source

_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
_GREY = {"1", "L", "LA"}
_COLOUR = {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}


def read_folder(folder: Path) -> Source:
    """Read the images of a folder, or of its sub-folders, each of which is then a class.

    Grey levels or colours are divided by 255; transparency is dropped; if any image has colours, all are read as RGB.
    """
    own = _images_in(folder)
    classes = {path: _images_in(path) for path in sorted(folder.iterdir()) if _is_class(path)}
    classes = {path: files for path, files in classes.items() if files}
    if own and classes:
        raise ValueError(
            f"{folder} holds images both directly and in sub-folders ({next(iter(classes)).name}, ...). "
            "Put all of them directly in it, or all in sub-folders, one for each class."
        )
    files = own or [file for found in classes.values() for file in found]
    if not files:
        raise ValueError(
            f"{folder} holds no images; expected {', '.join(sorted(_SUFFIXES))} files in it or in its sub-folders. "
            "Point to the folder that holds them."
        )
    pixels = _read_all(files)
    if not classes:
        return Source(str(folder), Examples(pixels))
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), [len(found) for found in classes.values()])
    return Source(str(folder), Examples(pixels, labels), class_names=tuple(path.name for path in classes))


def _is_class(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _images_in(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in _SUFFIXES and not file.name.startswith(".") and file.is_file()
    )


def _read_all(files: list[Path]) -> np.ndarray:
    headers = [_header(file) for file in files]
    size = headers[0][0]
    for file, (other, _) in zip(files, headers, strict=True):
        if other != size:
            raise ValueError(
                f"{file} is {other[0]}x{other[1]} pixels and {files[0]} is {size[0]}x{size[1]} (width x height). "
                "All images must have one size: resize or crop them."
            )
    mode = "L" if all(found in _GREY for _, found in headers) else "RGB"
    pixels = np.stack([_pixels(file, mode) for file in files])
    return pixels.reshape(len(files), size[1], size[0], -1)


def _header(file: Path) -> tuple[tuple[int, int], str]:
    """Size and mode, without decoding the pixels."""
    try:
        with Image.open(file) as image:
            size, mode = image.size, image.mode
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(file, error) from error
    if mode not in _GREY | _COLOUR:
        raise ValueError(
            f"{file} has pixels of mode {mode!r}; expected 8-bit grey levels or colours. "
            "Convert it, or save the values in a .npy file."
        )
    return size, mode


def _pixels(file: Path, mode: str) -> np.ndarray:
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert(mode), dtype=np.float32) / np.float32(255)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> ValueError:
    reason = "its content is of no known image type" if isinstance(error, UnidentifiedImageError) else str(error)
    return ValueError(f"{file} cannot be read as an image ({reason}). Save it again, or take it out of the folder.")
