"""A folder of images of one size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from tfvae.datasets._examples import Examples, Source

_PARTS = ("train", "test")
_OTHER_PARTS = ("val", "valid", "validation", "training", "testing")
_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
_GREY = {"1", "L", "LA"}
_COLOUR = {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
# Of what cameras say of how they were held: turned by a quarter.
_ON_ITS_SIDE = {5, 6, 7, 8}


def read_folder(folder: Path) -> Source:
    """Read the images of a folder, or of its sub-folders, each of which is then a class.

    Sub-folders ``train`` and ``test``, in any letter case and beside no other, are the two parts, each of them such a
    folder. Grey levels or colours are divided by 255; transparency is dropped; if any image has colours, all are read
    as RGB.
    """
    folders = _folders_in(folder)
    parts = {path.name.lower(): path for path in folders}
    if len(set(parts) & {*_PARTS, *_OTHER_PARTS}) < 2 or _images_in(folder):
        found = _classes_in(folder)
        names = _names_of(found)
        return Source(str(folder), _as_examples(_read_all(_files_of(found)), found, names), class_names=names)
    if set(parts) != set(_PARTS) or len(folders) > len(parts):
        raise ValueError(
            f"{folder} holds the sub-folders {', '.join(path.name for path in folders)}; expected train and "
            "test alone, or a sub-folder for each class. Rename or join the parts; validation is taken from train."
        )
    train, test = (_classes_in(parts[name]) for name in _PARTS)
    names, split = _names_of(train, test), len(_files_of(train))
    pixels = _read_all(_files_of(train) + _files_of(test))  # In one go, for one size, and colours in both or neither.
    examples = _as_examples(pixels[:split], train, names), _as_examples(pixels[split:], test, names)
    return Source(str(folder), *examples, class_names=names)


# Files by class; all of them under the name None where there are no classes.
_Found = dict[str | None, list[Path]]


def _classes_in(folder: Path) -> _Found:
    for deeper in (path for below in _folders_in(folder) for path in _folders_in(below)):
        if _images_in(deeper):
            raise ValueError(
                f"{deeper} holds images, two folders below {folder}; expected them directly in it or in its "
                f"sub-folders, one for each class. Move them up, or point to {deeper.parent}."
            )
    own = _images_in(folder)
    classes: _Found = {path.name: files for path in _folders_in(folder) if (files := _images_in(path))}
    if own and classes:
        raise ValueError(
            f"{folder} holds images both directly and in sub-folders ({next(iter(classes))}, ...). "
            "Put all of them directly in it, or all in sub-folders, one for each class."
        )
    if not own and not classes:
        raise ValueError(
            f"{folder} holds no images; expected {', '.join(sorted(_SUFFIXES))} files in it or in its sub-folders. "
            "Point to the folder that holds them."
        )
    return classes or {None: own}


def _names_of(*parts: _Found) -> tuple[str, ...] | None:
    names = {name for found in parts for name in found}
    if None not in names:
        return tuple(sorted(name for name in names if name is not None))
    if len(names) > 1:
        raise ValueError(
            "One of the sub-folders train and test holds images directly and the other in sub-folders, one for each "
            "class. Arrange both alike."
        )
    return None


def _files_of(found: _Found) -> list[Path]:
    return [file for files in found.values() for file in files]


def _as_examples(pixels: np.ndarray, found: _Found, names: tuple[str, ...] | None) -> Examples:
    if names is None:
        return Examples(pixels)
    numbers = [names.index(name) for name in found if name is not None]
    return Examples(pixels, np.repeat(np.array(numbers, np.int64), [len(files) for files in found.values()]))


def _folders_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


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
            if image.getexif().get(ExifTags.Base.Orientation) in _ON_ITS_SIDE:
                size = size[::-1]
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
            upright = ImageOps.exif_transpose(image)
            return np.asarray(upright.convert(mode), dtype=np.float32) / np.float32(255)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> ValueError:
    reason = "its content is of no known image type" if isinstance(error, UnidentifiedImageError) else str(error)
    return ValueError(f"{file} cannot be read as an image ({reason}). Save it again, or take it out of the folder.")
